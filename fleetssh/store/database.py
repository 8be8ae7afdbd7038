"""The SQLite state file: making it, opening only what is ours, and saying what is wrong with it."""

from __future__ import annotations

import os
import secrets
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from fleetssh import clock
from fleetssh.core.errors import StoreError
from fleetssh.store.schema import MIGRATIONS, migrate, version_of

APPLICATION_ID = 0x666C7368
"""``flsh`` in the file's header: how we, and file(1), know the file is ours."""

BUSY_SECONDS = 5.0
"""How long to wait for another process's transaction; ours take milliseconds."""

_OLDEST_SQLITE = (3, 37, 0)  # the first with STRICT tables

_SMALLEST_BYTES = 512  # one page of the smallest size; SQLite takes a shorter file for a new one
_PRIMARY = 0xFF  # the byte of an extended error code that says what kind of error it is

RESTORE = (
    "'fleetssh state check' tells more; 'fleetssh state restore' puts a backup back, and without one "
    "'fleetssh state rebuild' makes the state anew from what the machines have"
)

_REASONS: dict[int, tuple[str, str]] = {
    sqlite3.SQLITE_NOTADB: ("is damaged or no state file", RESTORE),
    sqlite3.SQLITE_CORRUPT: ("is damaged", RESTORE),
    sqlite3.SQLITE_FULL: ("cannot be written: the disk is full", "free some space and run it again"),
    sqlite3.SQLITE_IOERR_SHMSIZE: (
        "cannot be used: the disk is full",
        "free some space and run it again",
    ),
    sqlite3.SQLITE_READONLY: ("cannot be written: it is read-only", "check its mode, owner and file system"),
    sqlite3.SQLITE_CANTOPEN: ("cannot be opened", "its folder must exist and be writable too"),
    sqlite3.SQLITE_PERM: ("cannot be opened: no permission", "check its mode and owner"),
    sqlite3.SQLITE_BUSY: ("is kept busy by another process", "end that process, or try again"),
    sqlite3.SQLITE_IOERR: ("cannot be read or written: the disk reports an error", "check the disk"),
}


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what SQLite and the operating system say about ``path`` into ``StoreError``."""
    try:
        yield
    except (sqlite3.ProgrammingError, sqlite3.InterfaceError):
        raise  # our mistake, not the file's
    except sqlite3.Error as error:
        code = _code(error)
        known = _REASONS.get(code) or _REASONS.get(code & _PRIMARY)
        reason, hint = known or ("cannot be used", RESTORE)
        raise StoreError(f"the state file {path} {reason} ({error})", hint) from error
    except UnicodeDecodeError as error:
        # SQLite quotes what it stumbles over, and Python cannot read its message then.
        raise damaged(path, "its tables are not described in UTF-8") from error
    except UnicodeEncodeError as error:
        raise StoreError(f"this cannot be kept in the state file {path}: {error}") from error
    except OSError as error:
        raise StoreError(f"the state file {path} cannot be used: {error.strerror}") from error


def _code(error: sqlite3.Error) -> int:
    # Python's own complaint about undecodable text has no code.
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)


def damaged(path: Path, what: str) -> StoreError:
    """Return the error for content that SQLite can read and we cannot understand."""
    return StoreError(f"the state file {path} is damaged: {what}", RESTORE)


def reading_alone(path: Path) -> str:
    """Return the options to read the file ``path``, which no process has open, from any medium."""
    rest = path.with_name(path.name + "-wal")
    return "mode=ro" if rest.exists() else "mode=ro&immutable=1"


def open_database(path: Path, now: Callable[[], float] = clock.now) -> sqlite3.Connection:
    """Open the state file at ``path``, making it (mode 0600, folder 0700) when there is none; the time of a
    new one begins at ``now()``, seconds since the epoch, for people who read it.

    Raises ``StoreError`` for anything that is not a state file of this schema version or an older one,
    and leaves it as it is, byte for byte. An older one is brought up to date.
    """
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise StoreError(
            f"this Python uses SQLite {sqlite3.sqlite_version}, which is too old to keep the state",
            f"use a Python with SQLite {'.'.join(map(str, _OLDEST_SQLITE))} or newer",
        )
    with explained(path):
        if not path.exists():
            _create(path, now())
        require_file(path)
        probe(path)
        connection = connect(path, "mode=rw")
        try:
            _check_content(path, connection)
            _upgrade(connection)
        except BaseException:
            connection.close()
            raise
        return connection


def connect(path: Path, options: str) -> sqlite3.Connection:
    """Open the database ``path`` with the ``options`` of a SQLite URI. Raises ``sqlite3.Error``."""
    connection = sqlite3.connect(
        f"{path.as_uri()}?{options}", uri=True, timeout=BUSY_SECONDS, isolation_level=None
    )
    try:
        # FULL: what was committed outlives a power cut, because machines are told of it right after.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _create(path: Path, began: float) -> None:
    # Made under another name and linked when complete: nobody ever sees half a state file, and of two
    # who make it at once, one wins.
    for folder in reversed([path.parent, *path.parent.parents]):
        if not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    try:
        with closing(connect(draft, "mode=rw")) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            migrate(connection)
            connection.execute(
                "INSERT INTO meta (id, cluster, revision, clock_last) VALUES (1, ?, 0, ?)",
                (secrets.token_hex(16), began),
            )
            connection.execute("COMMIT")
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            pass
    finally:
        for suffix in ("", "-wal", "-shm"):
            draft.with_name(draft.name + suffix).unlink(missing_ok=True)


def require_file(path: Path, *, writable: bool = True) -> None:
    """Raise ``StoreError`` unless ``path`` is a file that can be read, and written unless nobody wants to."""
    # Looked at from outside: closing a descriptor of our own would drop the locks that another
    # connection of this process has on the file (POSIX locks belong to the process).
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise StoreError(f"the state file {path} is a folder", "name a file inside it")
    if not stat.S_ISREG(status.st_mode):
        raise StoreError(f"the state file {path} is no ordinary file", "name another one")
    if not os.access(path, os.R_OK | (os.W_OK if writable else 0), effective_ids=True):
        wanted = "read and written" if writable else "read"
        raise StoreError(
            f"the state file {path} cannot be {wanted}: no permission, or a read-only file system",
            "check its mode, owner and file system, or name another one",
        )


def identity(path: Path) -> tuple[int, int]:
    """Return what tells the file at ``path`` from another one of the same name."""
    with explained(path):
        status = path.stat()
    return status.st_dev, status.st_ino


def require_same(path: Path, file: tuple[int, int]) -> None:
    """Raise ``StoreError`` when ``path`` is no longer the ``file`` that was opened: what is written to that
    one is lost to everybody else."""
    if not path.exists() or identity(path) != file:
        raise StoreError(
            f"the state file {path} was moved away, deleted or replaced while it was in use",
            "nothing was changed; run the command again to go on with the file that is there now",
        )


def probe(path: Path) -> None:
    """Raise ``StoreError`` for what can be seen not to be a state file of ours, without touching it."""
    size = path.stat().st_size
    if size < _SMALLEST_BYTES:
        raise StoreError(f"the state file {path} is damaged or no state file: it has {size} bytes", RESTORE)
    # An immutable connection touches nothing, so a stranger's file is turned away unchanged. It doesn't
    # read the -wal file: when a checkpoint was cut short the rest of the file is there, and only a real
    # connection can tell that from damage.
    try:
        with closing(connect(path, "mode=ro&immutable=1")) as connection:
            _check_content(path, connection)
    except sqlite3.DatabaseError as error:
        if _code(error) & _PRIMARY != sqlite3.SQLITE_CORRUPT:
            raise


def _check_content(path: Path, connection: sqlite3.Connection) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != APPLICATION_ID:
        raise StoreError(
            f"the file {path} is a SQLite database of another program", "name another file for the state"
        )
    version = version_of(connection)
    if version > len(MIGRATIONS):
        raise StoreError(
            f"the state file {path} was written by a newer fleetssh "
            f"(schema {version}, this one knows {len(MIGRATIONS)})",
            "upgrade fleetssh on this computer",
        )
    if version < 1 or connection.execute("SELECT cluster FROM meta").fetchone() is None:
        raise damaged(path, "it does not say which cluster it belongs to")


def _upgrade(connection: sqlite3.Connection) -> None:
    if version_of(connection) == len(MIGRATIONS):
        return
    with transaction(connection, "IMMEDIATE"):
        migrate(connection)


@contextmanager
def transaction(connection: sqlite3.Connection, kind: str) -> Iterator[None]:
    """Run the ``with`` as one transaction; ``kind`` is ``DEFERRED`` (to read) or ``IMMEDIATE`` (to write)."""
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # SQLite has rolled back by itself when the disk is full.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
