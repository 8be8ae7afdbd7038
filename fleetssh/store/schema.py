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
