"""Where decisions live: one narrow interface, and the door that opens the store a person named."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fleetssh import clock
from fleetssh.clock import Uptime
from fleetssh.core.errors import StoreError, UsageError
from fleetssh.core.model import MachineRecord, State

REIGN = 1_000_000
"""Fences between one controller and the next."""

FRESH_SECONDS = 20.0
"""How far behind the stored time of a machine's last look may be: a loop that finds nothing new every two
seconds then writes to the disk three times a minute."""

HISTORY_LIMIT = 10_000
"""Events kept: weeks of an ordinary cluster in about 2 MB, so the history can never fill a disk."""

_CLUSTER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Event:
    """One line of history. ``at`` is seconds since the epoch, ``who`` the operator or controller,
    ``kind`` a word to filter by, ``subject`` a unit or machine, ``text`` what happened."""

    at: float
    who: str
    kind: str
    subject: str
    text: str


class Store(Protocol):
    """Where decisions live. Every method is one transaction: all of it happens, or nothing.

    A store belongs to the thread that opened it. Every method raises ``StoreError`` when the state
    cannot be read or written; nothing that cannot be understood is ever overwritten.
    """

    def load(self) -> State:
        """Return one consistent reading; the cluster id in it was made once, with the store."""
        ...

    def commit(self, state: State, events: Iterable[Event] = ()) -> State:
        """Make ``state`` the truth, append ``events`` to the history, and return the state with the next
        revision.

        ``state.revision`` is the parent. Raises ``StoreConflict`` when somebody committed first; then
        nothing is written.
        """
        ...

    def machines(self) -> Mapping[str, MachineRecord]:
        """Return what is remembered of machines, by inventory host name, sorted. Not part of a revision."""
        ...

    def remember(
        self,
        machines: Iterable[MachineRecord],
        forgotten: Iterable[str] = (),
        events: Iterable[Event] = (),
    ) -> None:
        """Drop the hosts ``forgotten``, then write ``machines`` over what was remembered of them; append
        ``events`` to the history.

        All of it is durable on return, with one exception: a record that differs from the stored one in
        nothing but ``last_good``, ``uptime`` and ``read_at``, each by less than ``FRESH_SECONDS``, may be
        written later. This same object's ``machines()`` tells the newest all the same.
        """
        ...

    def record(self, events: Iterable[Event]) -> None:
        """Append to the history; beyond ``HISTORY_LIMIT`` the oldest are dropped."""
        ...

    def history(self, limit: int) -> tuple[Event, ...]:
        """Return at most ``limit`` of the latest events, the newest last."""
        ...

    def hold(self, who: str, doing: str, wait_seconds: float) -> AbstractContextManager[int]:
        """Be the only controller inside the ``with``, which is given the fence; ``who`` (``user@host``) says
        who that is, ``doing`` what it does.

        The fence is on disk before the ``with`` begins. It is the last one when this same object held the
        store last, one more after another process of the same ``who``, and ``REIGN`` more after another
        ``who`` or in a copy of the file: two copies of one state never catch up with each other.

        Waits up to ``wait_seconds``, then raises ``StoreHeld`` naming who holds it since when. The hold
        ends with the process, however that ends. Reading and committing don't need it.
        """
        ...

    def time(self, uptime: Uptime) -> float:
        """Return the store's own time at ``uptime``, in seconds: for all callers and processes of one boot it
        only grows, at the pace of uptimes, whatever the wall clock does.

        After another boot of the controller it goes on from the latest instant that was remembered of a
        machine: none of them ever lies in the future, and an interval is never taken for longer than it was.
        """
        ...

    def found(self, cluster: str, fence: int) -> State:
        """Make an empty store that of ``cluster``, with at least ``fence``; return its state. Inside a hold,
        this same object goes on with that fence from its next hold on; anybody else gets a greater one.

        Raises ``StoreError`` when anything was ever committed, or ``cluster`` is no id of a cluster.
        """
        ...

    def raise_fence(self, fence: int) -> int:
        """Make the stored fence at least ``fence``, and return it. Inside a hold, this same object goes on
        with it from its next hold on; anybody else gets a greater one."""
        ...

    def close(self) -> None:
        """Let go of the store; it cannot be used afterwards."""
        ...


def open_store(
    location: str | None,
    cluster: str,
    environ: Mapping[str, str],
    now: Callable[[], float] = clock.now,
) -> Store:
    """Open the store at ``location``, making it when it isn't there yet.

    ``location`` is a path, ``sqlite:PATH`` or ``memory:``. Without one, ``FLEETSSH_STATE`` decides, then
    the XDG state folder: ``~/.local/state/fleetssh/<cluster>/state.db``. Raises ``UsageError`` for a
    ``cluster`` that is no plain folder name, ``StoreError`` when the store cannot be opened.
    """
    location = _locate(location, cluster, environ)
    scheme, rest = _split(location)
    if scheme == "memory" and not rest:
        from fleetssh.store.memory import MemoryStore

        return MemoryStore(now=now)
    if scheme == "sqlite" and rest:
        from fleetssh.store.sqlite import SqliteStore

        return SqliteStore(_path(rest, environ), now=now)
    if scheme == "etcd":
        raise StoreError("state in etcd is not supported yet in this version; use a SQLite file")
    raise StoreError(
        f"{location!r} is not a place where state can be kept",
        "give the path of a SQLite file, sqlite:PATH or memory: (a path with a colon begins with ./ or /)",
    )


def store_exists(location: str | None, cluster: str, environ: Mapping[str, str]) -> bool:
    """Whether ``open_store`` would open what is there already. Makes nothing; raises ``UsageError``."""
    path = _sqlite_path(_locate(location, cluster, environ), environ)
    return path is not None and path.is_file()


def state_file(location: str | None, cluster: str, environ: Mapping[str, str]) -> Path:
    """Return the path of the file that ``open_store`` would open, whether it is there or not. Raises
    ``UsageError``, and ``StoreError`` for a store that is no file."""
    location = _locate(location, cluster, environ)
    path = _sqlite_path(location, environ)
    if path is None:
        raise StoreError(f"the state in {location!r} is no file", "name a SQLite file with --state PATH")
    return path


def _locate(location: str | None, cluster: str, environ: Mapping[str, str]) -> str:
    if not _CLUSTER_NAME.fullmatch(cluster):
        raise UsageError(
            f"{cluster!r} cannot be the name of a cluster",
            "use up to 64 letters, digits, dots, dashes and underscores, beginning with a letter or digit",
        )
    return location or environ.get("FLEETSSH_STATE") or str(_default_path(cluster, environ))


def _sqlite_path(location: str, environ: Mapping[str, str]) -> Path | None:
    scheme, rest = _split(location)
    return _path(rest, environ) if scheme == "sqlite" and rest else None


def _split(location: str) -> tuple[str, str]:
    match = _SCHEME.fullmatch(location)
    return (match[1].lower(), match[2]) if match else ("sqlite", location)


def _path(text: str, environ: Mapping[str, str]) -> Path:
    # The shell leaves the tilde alone in sqlite:~/x and in systemd's Environment=.
    path = _home(environ) / text[2:] if text.startswith("~/") else Path(text).absolute()
    try:
        path.exists()
    except OSError as error:  # pathlib lets no path be asked about whose names are too long
        raise StoreError(f"the state file {path} cannot be used: {error.strerror}") from error
    return path


def _default_path(cluster: str, environ: Mapping[str, str]) -> Path:
    # XDG: a relative path in the variable is invalid and must be ignored.
    configured = Path(environ.get("XDG_STATE_HOME", ""))
    folder = configured if configured.is_absolute() else _home(environ) / ".local" / "state"
    return folder / "fleetssh" / cluster / "state.db"


def _home(environ: Mapping[str, str]) -> Path:
    home = environ.get("HOME")
    return Path(home) if home else Path.home()
