"""State files of every age open."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fleetssh.clock import Uptime
from fleetssh.core.model import MachineRecord, Placement, Requirements, Seen, State, TargetState, Wanted
from fleetssh.store import Event
from fleetssh.store.schema import MIGRATIONS, migrate, version_of
from fleetssh.store.sqlite import SqliteStore
from tests.store.samples import make_unit

OLDEST = Path(__file__).with_name("schema-1.sql")


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        yield connection


def test_file_of_the_oldest_schema_opens_with_everything_in_it(tmp_path):
    path = tmp_path / "state.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(OLDEST.read_text())
    path.chmod(0o600)
    unit = make_unit(
        "web@1.service",
        description="A web server",
        requirements=Requirements(metadata=(("region", ("eu",)),)),
        installs=True,
        bound_to=("db.service",),
    )
    with closing(SqliteStore(path)) as store:
        assert store.load() == State(
            cluster="0123456789abcdef0123456789abcdef",
            revision=41,
            wanted={unit.name: Wanted(unit, TargetState.LAUNCHED, 3)},
            placements={unit.name: Placement(unit.name, "m1", "least loaded")},
        )
        seen = Seen(unit.name, TargetState.LAUNCHED, "loaded", "active", "running")
        record = MachineRecord(
            "h1",
            "m1",
            "b1",
            "10.1.1.1",
            {"region": "eu"},
            1700000000.5,
            1700000060.5,
            2,
            "timed out",
            True,
            (seen,),
        )
        assert store.machines() == {"h1": record}
        assert store.history(5) == (Event(1700000000.5, "ann", "start", unit.name, "launched"),)
        # No silence is longer than before, and time goes on from what the wall clock said last.
        assert store.time(Uptime("boot", 77.0)) == 1700000060.5
        with store.hold("ann@desk", "looking", 0) as fence:
            assert fence == 1
    with closing(sqlite3.connect(path)) as connection:
        assert version_of(connection) == len(MIGRATIONS)


def test_silences_that_a_wrong_clock_had_counted_are_counted_anew(tmp_path):
    path = tmp_path / "state.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(OLDEST.read_text())
        connection.execute("UPDATE machine SET silent_since = 5, last_good = 1.7e9")
        connection.commit()
    with closing(SqliteStore(path)) as store:
        at = store.time(Uptime("boot", 77.0))
        assert at == 1.7e9
        assert store.machines()["h1"].silent_since == at
        assert store.machines()["h1"].missed == 2


STEPS = (
    ("CREATE TABLE a (x)", "INSERT INTO a VALUES (1)"),
    ("ALTER TABLE a ADD COLUMN y DEFAULT 2",),
    ("UPDATE a SET y = 3", "CREATE TABLE b (z)"),
)


@pytest.mark.parametrize("already", range(len(STEPS) + 1))
def test_steps_are_taken_once_and_in_order_from_any_version(connection, already):
    """F-072: an older schema is raised, an equal one is left alone."""
    migrate(connection, STEPS[:already])
    assert version_of(connection) == already
    migrate(connection, STEPS)
    migrate(connection, STEPS)
    assert version_of(connection) == len(STEPS)
    assert connection.execute("SELECT x, y FROM a").fetchall() == [(1, 3)]


def test_step_that_fails_leaves_the_version_it_found(connection):
    migrate(connection, STEPS[:1])
    connection.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, (*STEPS[:2], ("INSERT INTO nowhere VALUES (1)",)))
    connection.execute("ROLLBACK")
    assert version_of(connection) == 1
    assert connection.execute("SELECT * FROM a").fetchall() == [(1,)]


def test_version_beyond_the_last_step_is_left_alone(connection):
    connection.execute("PRAGMA user_version = 9")
    migrate(connection, STEPS)
    assert version_of(connection) == 9
