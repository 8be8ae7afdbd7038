"""Backups of the state file: made while others write, put back as one change, and nothing is ever lost."""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from fleetssh import clock
from fleetssh.core.errors import StoreError
from fleetssh.store import REIGN, Event
from fleetssh.store.database import (
    connect,
    explained,
    open_database,
    reading_alone,
    require_file,
    transaction,
)
from fleetssh.store.examination import Examination, examine
from fleetssh.store.lock import hold_file, require_rest
from fleetssh.store.rows import MACHINE_COLUMNS

_FINDINGS_TOLD = 3

REVISIONS_ASIDE = 1000
"""Between the last revision that anybody may have read and the restored one: commits need no hold, and this
is more than could be made while a file is copied."""

# Nobody knows how long ago the backup was made, nor what happened since: every silence is counted anew, a
# lease may have been renewed just now, and a machine may hold units that the backup does not know. Without a
# boot it counts as one that was not read yet, which no pass touches while it holds anything.
_NOTHING_IS_KNOWN = """
    UPDATE machine SET silent_since = NULL, missed = 0, failure = '', lost = 0, uptime = 0, read_at = 0,
        boot_id = '', armed_at = (SELECT clock_last FROM meta)
"""


@dataclass(frozen=True, slots=True)
class Restored:
    """What came of a restore: what the ``backup`` holds, and where what was there is ``kept``, unless there
    was nothing. ``knows_machines`` tells that what is known of them is of now; else they are read anew."""

    backup: Examination
    kept: Path | None
    knows_machines: bool


def back_up(path: Path, target: Path, *, force: bool = False) -> Examination:
    """Write a copy of the state file ``path``, as it is at one moment, to ``target`` (mode 0600).

    Returns what it holds. The copy is complete, checked and on disk before it gets its name. An existing
    ``target`` is overwritten only with ``force``. Raises ``StoreError``, also for a state that is damaged.
    """
    if not force and os.path.lexists(target):
        raise StoreError(f"{target} exists already", "name another file, or overwrite it with --force")
    _require_other(path, target)
    with explained(path):
        require_file(path, writable=False)
    with _draft(target) as draft:
        _copy(path, draft, "mode=ro")
        found = examine(draft, alone=True)
        _require_sound(found, f"the state file {path} is damaged, so this would be no backup")
        with explained(target):
            if force:
                _sync(draft)
                draft.replace(target)
                _sync(target.parent)
            else:
                _link(draft, target)
    return found


def restore(
    path: Path,
    source: Path,
    holder: str,
    events: Iterable[Event] = (),
    *,
    force: bool = False,
    now: Callable[[], float] = clock.now,
) -> Restored:
    """Make the backup ``source`` the state in ``path``, in one change; what was there is kept beside it.

    The fence goes on above that of both, so that machines take this state for the newer one, and what is
    known of the machines of this cluster stays as it is now; without a sound state of it here, they are to be
    read anew. Raises ``StoreHeld`` while a controller is at
    work, ``StoreError`` for a ``source`` that is damaged, or that of another cluster without ``force``.
    """
    with explained(source):
        require_file(source, writable=False)
    _require_other(path, source)
    backup = examine(source, alone=True)
    _require_sound(backup, f"{source} is no sound backup")
    with explained(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = path.with_name(path.name + ".lock")
    if not force:
        require_rest(lock)
    with hold_file(lock, holder, 0, now), _draft(path) as draft:
        present = examine(path) if path.exists() else None
        if not force and present and present.cluster not in ("", backup.cluster):
            raise StoreError(
                f"{source} is a backup of cluster {backup.cluster}, the state here is of {present.cluster}",
                "name the right --state, or replace this one with --force; it is kept beside it",
            )
        _copy(source, draft, reading_alone(source))
        kept = _install(draft, path, present, events, clock.as_local(now()))
    knows = present is not None and not present.findings and present.cluster == backup.cluster
    return Restored(backup, kept, knows)


def _install(
    draft: Path, path: Path, present: Examination | None, events: Iterable[Event], when: str
) -> Path | None:
    """Makes ``draft``, the copy of a backup, the state in ``path``; where what was there is kept."""
    if present is None:
        _adjust(draft, None, events)
        with explained(path):
            _link(draft, path)
        return None
    kept = _kept_name(path, when[:19].replace(":", ""))
    if present.findings:
        # Damaged: its file is moved away whole, so that it can still be looked into.
        _adjust(draft, None, events)
        with explained(path):
            _link(path, kept)
            _move_rest(path, kept)
            draft.replace(path)
            _sync(path.parent)
        return kept
    with explained(path), closing(open_database(path)) as live:
        with _draft(kept) as copy:
            _copy(path, copy, "mode=ro")
            _link(copy, kept)
        _adjust(draft, live, events)
        # Into the very same file: those who have it open go on with what is restored.
        with closing(connect(draft, "mode=ro")) as restored:
            restored.backup(live)
    return kept


def _adjust(draft: Path, live: sqlite3.Connection | None, events: Iterable[Event]) -> None:
    """Makes the copy of a backup what follows upon ``live``, or upon a state that nobody can read."""
    with explained(draft), closing(open_database(draft)) as connection, transaction(connection, "IMMEDIATE"):
        ours, theirs = _meta(connection), _meta(live) if live else None
        revision = max(ours["revision"], theirs["revision"] if theirs else 0) + REVISIONS_ASIDE
        connection.execute("UPDATE meta SET revision = ?, fence_token = ''", (revision,))
        if live and theirs and theirs["cluster"] == ours["cluster"]:
            _take_over_machines(connection, live)
            last = max(ours, theirs, key=lambda meta: int(meta["fence"]))
            values = (last["fence"] + 1, last["fence_who"])
            connection.execute("UPDATE meta SET fence = ?, fence_who = ?", values)
            clocks = (theirs["clock_boot"], theirs["clock_base"], theirs["clock_last"])
            connection.execute("UPDATE meta SET clock_boot = ?, clock_base = ?, clock_last = ?", clocks)
        else:
            connection.execute("UPDATE meta SET clock_boot = NULL, fence = fence + ?", (REIGN,))
            connection.execute(_NOTHING_IS_KNOWN)
        lines = [astuple(event) for event in events]
        connection.executemany(
            "INSERT INTO event (at, who, kind, subject, text) VALUES (?, ?, ?, ?, ?)", lines
        )


def _take_over_machines(connection: sqlite3.Connection, live: sqlite3.Connection) -> None:
    # They say how the machines are, not what is wanted of them: the newer the better.
    rows = live.execute(f"SELECT {MACHINE_COLUMNS} FROM machine").fetchall()
    connection.execute("DELETE FROM machine")
    marks = ", ".join("?" * len(MACHINE_COLUMNS.split()))
    connection.executemany(f"INSERT INTO machine ({MACHINE_COLUMNS}) VALUES ({marks})", rows)


def _meta(connection: sqlite3.Connection) -> dict[str, Any]:
    columns = ("cluster", "revision", "fence", "fence_who", "clock_boot", "clock_base", "clock_last")
    row = connection.execute(f"SELECT {', '.join(columns)} FROM meta").fetchone()
    return dict(zip(columns, row, strict=True))


def _require_other(path: Path, other: Path) -> None:
    with explained(other):
        same = other.exists() and path.exists() and other.samefile(path)
    if same:
        raise StoreError(f"{other} is the state file itself", "name another file")


def _require_sound(found: Examination, otherwise: str) -> None:
    if found.findings:
        told = "; ".join(found.findings[:_FINDINGS_TOLD])
        raise StoreError(f"{otherwise}: {told}", "'fleetssh state check' tells everything about a state file")


@contextmanager
def _draft(target: Path) -> Iterator[Path]:
    """The path of an empty file beside ``target`` that only the owner can read; gone again afterwards."""
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    with explained(target):
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    try:
        yield draft
    finally:
        for suffix in ("", "-wal", "-shm"):
            draft.with_name(draft.name + suffix).unlink(missing_ok=True)


def _copy(source: Path, target: Path, options: str) -> None:
    with (
        explained(target),
        closing(connect(source, options)) as one,
        closing(connect(target, "mode=rw")) as other,
    ):
        one.backup(other)  # in one step: a moment's content, and one transaction


def _kept_name(path: Path, stamp: str) -> Path:
    names = (path.with_name(f"{path.name}.{stamp}{more}") for more in ("", *(f".{n}" for n in range(2, 100))))
    return next(name for name in names if not os.path.lexists(name))


def _move_rest(path: Path, kept: Path) -> None:
    # A -wal file of the old state would be taken for one of the new; the -shm file only tells where in it.
    rest = path.with_name(path.name + "-wal")
    if rest.exists() and rest.stat().st_size:
        rest.replace(kept.with_name(kept.name + "-wal"))
    rest.unlink(missing_ok=True)
    path.with_name(path.name + "-shm").unlink(missing_ok=True)


def _link(draft: Path, target: Path) -> None:
    _sync(draft)
    try:
        target.hardlink_to(draft)
    except FileExistsError:
        raise StoreError(
            f"{target} has just been made by somebody else", "look at it, and run it again"
        ) from None
    _sync(target.parent)


def _sync(path: Path) -> None:
    """On disk, so that a power cut after the answer takes nothing away."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
