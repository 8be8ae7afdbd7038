"""The tables of the SQLite state file, as the ordered steps that lead from one version to the next."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

# Steps are never edited once released: a state file may stand at any of them. Version n of the schema
# (PRAGMA user_version) is what the first n steps make.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE meta (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            cluster TEXT NOT NULL,
            revision INTEGER NOT NULL
        ) STRICT
        """,
        # The bytes of unit files, each kept once however many units share it.
        """
        CREATE TABLE text (
            digest TEXT PRIMARY KEY,
            bytes BLOB NOT NULL
        ) STRICT
        """,
        # What follows from the text is kept beside it, so that loading parses no unit file.
        """
        CREATE TABLE unit (
            name TEXT PRIMARY KEY,
            digest TEXT NOT NULL REFERENCES text (digest),
            target TEXT NOT NULL,
            generation INTEGER NOT NULL,
            hash TEXT NOT NULL,
            description TEXT,
            requirements TEXT NOT NULL,
            installs INTEGER NOT NULL,
            bound_to TEXT NOT NULL
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX unit_digest ON unit (digest)",
        """
        CREATE TABLE placement (
            unit TEXT PRIMARY KEY,
            machine TEXT NOT NULL,
            reason TEXT NOT NULL
        ) STRICT, WITHOUT ROWID
        """,
        """
        CREATE TABLE machine (
            host TEXT PRIMARY KEY,
            machine_id TEXT NOT NULL,
            boot_id TEXT NOT NULL,
            address TEXT NOT NULL,
            metadata TEXT NOT NULL,
            last_good REAL NOT NULL,
            silent_since REAL,
            missed INTEGER NOT NULL,
            failure TEXT NOT NULL,
            lost INTEGER NOT NULL,
            seen TEXT NOT NULL
        ) STRICT, WITHOUT ROWID
        """,
        """
        CREATE TABLE event (
            id INTEGER PRIMARY KEY,
            at REAL NOT NULL,
            who TEXT NOT NULL,
            kind TEXT NOT NULL,
            subject TEXT NOT NULL,
            text TEXT NOT NULL
        ) STRICT
        """,
    ),
    (
        # Who held the store last, so that the next one can be told from it.
        "ALTER TABLE meta ADD COLUMN fence INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE meta ADD COLUMN fence_who TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE meta ADD COLUMN fence_token TEXT NOT NULL DEFAULT ''",
        # The store's own time (store/timeline.py); it begins near what the wall clock said last.
        "ALTER TABLE meta ADD COLUMN clock_boot TEXT",
        "ALTER TABLE meta ADD COLUMN clock_base REAL NOT NULL DEFAULT 0",
        "ALTER TABLE meta ADD COLUMN clock_last REAL NOT NULL DEFAULT 0",
        """
        UPDATE meta SET clock_last =
            coalesce((SELECT max(max(last_good, coalesce(silent_since, 0))) FROM machine), 0)
        """,
        # What the wall clock had counted of a silence may be wrong: its seconds are counted anew.
        "UPDATE machine SET silent_since = (SELECT clock_last FROM meta) WHERE silent_since IS NOT NULL",
        "ALTER TABLE machine ADD COLUMN uptime REAL NOT NULL DEFAULT 0",
        "ALTER TABLE machine ADD COLUMN read_at REAL NOT NULL DEFAULT 0",
        "ALTER TABLE machine ADD COLUMN armed_at REAL",
        "ALTER TABLE machine ADD COLUMN way TEXT NOT NULL DEFAULT '{}'",
    ),
)


def version_of(connection: sqlite3.Connection) -> int:
    """Return the schema version of an open file."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def migrate(connection: sqlite3.Connection, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> None:
    """Take the steps that the file has not taken yet; the caller holds a write transaction.

    A file that is already at the last version, or beyond it, is left as it is.
    """
    for version, statements in enumerate(migrations, start=1):
        if version <= version_of(connection):
            continue
        for statement in statements:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {version}")
