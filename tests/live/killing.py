"""A controller that kills itself: the real command line in a child that dies by SIGKILL at its n-th write.

A write is a statement that changes the state file and its commit, any other change to a file or folder, and
every SSH message that is sent. ``python -m tests.live.killing`` imports the program once and forks a child
for every command line that it reads.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from tests.live.cutting import Cut, Scissors

ROOT = Path(__file__).resolve().parents[2]

NEVER = 0
"""The number of no write: the child lives."""

AFTER = frozenset({"channel-eof"})
"""Messages after which there is one more moment to die in: the machine has the whole program then, and is at
work until the next message is sent."""

CHANGING = frozenset({"ALTER", "CREATE", "DELETE", "DROP", "INSERT", "REPLACE", "UPDATE"})
HANDSHAKE = range(80)
"""SSH messages of key exchange and login: nothing of ours is on the machine yet."""

FILE_CHANGES = frozenset({"os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate"})
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


# ---------------------------------------------------------------- in the test


@dataclass(frozen=True)
class Done:
    """How a command line ended: its exit code (``None``: it was killed), what it said, its writes when it was
    to be killed, and what it heard of the visit that was to be cut."""

    code: int | None
    out: str
    err: str
    writes: tuple[str, ...]
    heard: bytes


class ForkServer:
    """Runs command lines in children that share one import of the program; one at a time."""

    def __init__(self, folder: Path) -> None:
        self._paths = {name: folder / name for name in ("out", "err", "writes", "heard")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.live.killing"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self,
        arguments: Iterable[str],
        cwd: Path,
        env: Mapping[str, str],
        *,
        at: int = NEVER,
        fine: bool = True,
        cut: Cut | None = None,
    ) -> Done:
        """Runs fleetssh, killed before its write number ``at`` (from 1; see Counter for ``fine``), or with a
        connection that is ``cut``."""
        for path in self._paths.values():
            path.write_bytes(b"")
        order = {
            "arguments": list(arguments),
            "cwd": str(cwd),
            "env": dict(env),
            "at": at,
            "fine": fine,
            "cut": asdict(cut) if cut else None,
            **{name: str(path) for name, path in self._paths.items()},
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        out, err, writes, heard = (path.read_bytes() for path in self._paths.values())
        lines = tuple(writes.decode().splitlines())
        killed = status == -signal.SIGKILL
        assert killed == (at != NEVER and len(lines) >= at), (status, err)
        return Done(None if killed else status, out.decode(), err.decode(), lines, heard)

    def close(self) -> None:
        """Ends it."""
        with self._process as process:
            assert process.stdin is not None
            process.stdin.close()


# ---------------------------------------------------------------- in the child


class Counter:
    """Counts writes, logs each, and ends the process at the chosen one.

    Unless ``fine``, what is the same in every command is left out: statements between the first and the
    commit of a transaction, which is one write; the lock file; key exchange and login.
    """

    def __init__(self, at: int, log: str, fine: bool) -> None:
        self.fine = fine
        self._at = at
        self._log = os.open(log, os.O_WRONLY)
        self._count = 0
        self._lock = threading.Lock()

    def __call__(self, what: str) -> None:
        with self._lock:
            self._count += 1
            os.write(self._log, f"{what}\n".encode())
            if self._count == self._at:
                os.kill(os.getpid(), signal.SIGKILL)


def watch(count: Counter) -> None:
    """Counts every write of this process."""
    watch_statements(count)
    watch_messages(count)
    watch_files(count)


def watch_statements(count: Counter) -> None:
    """Counts what changes a SQLite file: every row of every statement, and the commit."""

    class Connection(sqlite3.Connection):
        changes = 0

        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            word = sql.split()[0].upper()
            if word == "BEGIN":
                self.changes = 0
            elif word in CHANGING or (word == "PRAGMA" and "=" in sql and self.in_transaction):
                self.changes += 1
                if count.fine or self.changes == 1:
                    count(" ".join(sql.split())[:60])
            elif (word == "COMMIT" and self.changes) or "journal_mode =" in sql:
                count(sql)
            return super().execute(sql, *values)

        def executemany(self, sql: str, rows: Iterable[Any]) -> sqlite3.Cursor:  # type: ignore[override]
            for row in rows:
                self.execute(sql, row)
            return self.cursor()

    connect: Callable[..., sqlite3.Connection] = sqlite3.connect
    sqlite3.connect = lambda *args, **options: connect(*args, factory=Connection, **options)  # type: ignore[assignment]


def watch_files(count: Counter) -> None:
    """Counts what makes, changes or removes a file or folder, but for what SQLite does by itself."""

    def hook(event: str, values: tuple[Any, ...]) -> None:
        if event in FILE_CHANGES or (event == "open" and _opens_to_write(*values)):
            count(f"{event} {values[0]}")

    write: Callable[[int, bytes, int], int] = os.pwrite

    def pwrite(descriptor: int, data: bytes, offset: int) -> int:
        count("pwrite")
        return write(descriptor, data, offset)

    if count.fine:
        sys.addaudithook(hook)
        os.pwrite = pwrite


def _opens_to_write(path: object, _: object, flags: int) -> bool:
    return bool(flags & WRITING) and not isinstance(path, int) and not str(path).startswith("/dev/")


def watch_messages(count: Counter) -> None:
    """Counts SSH messages, before each is sent; see AFTER."""
    from paramiko.common import MSG_NAMES
    from paramiko.packet import Packetizer

    send: Callable[[Packetizer, Any], None] = Packetizer.send_message

    def send_message(self: Packetizer, data: Any) -> None:
        kind = data.asbytes()[0]
        name = MSG_NAMES[kind]
        if count.fine or kind not in HANDSHAKE:
            count(f"ssh {name}")
        send(self, data)
        if name in AFTER:
            count(f"ssh after {name}")

    Packetizer.send_message = send_message  # type: ignore[method-assign]


def live(order: Mapping[str, Any]) -> NoReturn:
    """Becomes the command line of ``order``."""
    import fleetssh.cli.main

    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    for number, name in enumerate((os.devnull, order["out"], order["err"])):
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT | (os.O_TRUNC if number else 0))
        os.dup2(descriptor, number)
        os.close(descriptor)
    if order["cut"]:
        Scissors(Cut(**order["cut"]), order["heard"]).attach()
    elif order["at"]:
        watch(Counter(order["at"], order["writes"], order["fine"]))
    sys.argv = ["fleetssh", *order["arguments"]]
    fleetssh.cli.main.run()


def serve() -> None:
    """Forks a child for each line of standard input and says how it ended.

    Everything is imported first: a child is quick, and an edited file changes nothing until the next test."""
    sys.dont_write_bytecode = True  # a child's write would be counted
    import fleetssh.cli

    for module in pkgutil.iter_modules(fleetssh.cli.__path__):
        importlib.import_module(f"fleetssh.cli.{module.name}")
    for name in ("hosts.over_fabric", "store.sqlite", "control.reconcile", "inventory.reading"):
        importlib.import_module(f"fleetssh.{name}")
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            live(json.loads(line))
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
