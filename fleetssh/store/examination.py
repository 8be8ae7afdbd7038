"""Reading every detail of a state file to find what is wrong with it; nothing is changed, damaged or not."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from fleetssh.core.errors import StoreError, UnitError
from fleetssh.store.changes import CLUSTER_ID, has_digest
from fleetssh.store.database import connect, explained, probe, reading_alone, require_file
from fleetssh.store.rows import MACHINE_COLUMNS, UNIT_COLUMNS, Row, machine_of, wanted_of
from fleetssh.store.schema import MIGRATIONS, migrate, version_of

PAGE_FINDINGS = 10
"""Of SQLite's own check: more of them say nothing new about what to do."""

Value = TypeVar("Value")


@dataclass(slots=True)
class Examination:
    """What a state file holds: ``counts`` by what was read, in that order; ``findings`` is empty for a sound
    file. ``cluster`` is empty, and the numbers are 0, where they could not be read."""

    path: Path
    schema: int = 0
    cluster: str = ""
    revision: int = 0
    fence: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)


def examine(path: Path, *, alone: bool = False) -> Examination:
    """Read everything in the state file ``path`` as it is at one moment, whoever writes meanwhile.

    ``alone`` tells that no process has it open, as with a backup; then it is read even from a medium that
    nobody can write to. Raises ``StoreError`` when there is nothing to be read: no file, no permission.
    """
    found = Examination(path)
    with explained(path):
        require_file(path, writable=False)
    options = reading_alone(path) if alone else "mode=ro"
    try:
        with explained(path):
            probe(path)
            with closing(connect(path, options)) as connection:
                connection.execute("BEGIN")
                _examine(connection, found)
    except StoreError as error:
        found.findings.append(error.message)
    return found


def _examine(connection: sqlite3.Connection, found: Examination) -> None:
    connection.text_factory = _text
    found.schema = version_of(connection)
    with _survived(found, "the file"):
        for (line,) in connection.execute(f"PRAGMA integrity_check({PAGE_FINDINGS})"):
            if line != "ok":
                found.findings.extend(line.splitlines())
    if found.schema == len(MIGRATIONS):
        _examine_tables(connection, found)
        return
    with _survived(found, "the file"), closing(sqlite3.connect(":memory:", isolation_level=None)) as upgraded:
        connection.execute("COMMIT")
        connection.backup(upgraded)
        upgraded.text_factory = _text
        migrate(upgraded)
        _examine_tables(upgraded, found)


def _examine_tables(connection: sqlite3.Connection, found: Examination) -> None:
    latest = 0.0
    for row in _rows(connection, found, "meta", "cluster, revision, fence, clock_last", counted=""):
        found.cluster, found.revision, found.fence, latest = row
        if not CLUSTER_ID.fullmatch(found.cluster):
            found.findings.append(f"its cluster is {found.cluster!r}")
    _examine_units(connection, found)
    for row in _rows(connection, found, "machine", MACHINE_COLUMNS, counted="machines"):
        with _survived(found, f"machine {row[0]}"):
            record = machine_of(row)
            instants = (record.silent_since, record.read_at, record.armed_at)
            if any(at is not None and at > latest for at in instants):
                found.findings.append(f"machine {row[0]}: it was seen after the end of the stored time")
    for _ in _rows(connection, found, "event", "at, who, kind, subject, text", counted="events"):
        pass


def _examine_units(connection: sqlite3.Connection, found: Examination) -> None:
    texts: dict[str, bytes] = {}
    for digest, text in _rows(connection, found, "text", "digest, bytes", counted="unit texts"):
        texts[digest] = text
        if not has_digest(text, digest):
            found.findings.append(f"unit text {digest}: it was altered")
    names = set()
    for row in _rows(connection, found, "unit", UNIT_COLUMNS, counted="units"):
        names.add(row[0])
        if row[1] not in texts:
            found.findings.append(f"unit {row[0]}: its text {row[1]} is missing")
            continue
        with _survived(found, f"unit {row[0]}"):
            wanted_of([row], texts)
    left = 0
    for row in _rows(connection, found, "placement", "unit, machine, reason", counted="placements"):
        left += row[0] not in names
    if left:
        # Nothing wrong: a unit may be forgotten before the machine that runs it could be told.
        found.counts["of them left by destroyed units"] = left


def _rows(
    connection: sqlite3.Connection, found: Examination, table: str, columns: str, counted: str
) -> Iterator[Row]:
    """Every row that can be read at all, in the order of the table."""
    number = 0
    with _survived(found, f"table {table}"):
        for row in connection.execute(f"SELECT {columns} FROM {table}"):
            number += 1
            if any(isinstance(value, str) and not _is_unicode(value) for value in row):
                found.findings.append(f"table {table}, row {number}: text that is no UTF-8")
            else:
                yield row
    if counted:
        found.counts[counted] = number
    elif number == 0:
        found.findings.append(f"table {table} is empty")


@contextmanager
def _survived(found: Examination, what: str) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, UnitError, StoreError, ValueError, KeyError, TypeError) as error:
        found.findings.append(f"{what}: {error}")


def _text(raw: bytes) -> str:
    return raw.decode(errors="surrogateescape")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
