"""Whatever is wrong with a state file is found; nothing is changed by looking, and no damage ends it."""

from __future__ import annotations

import random
import re
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from fleetssh.core.errors import StoreError
from fleetssh.core.model import MachineRecord
from fleetssh.store import Event
from fleetssh.store.examination import examine
from fleetssh.store.schema import MIGRATIONS
from fleetssh.store.sqlite import SqliteStore
from tests.store.processes import kill, start
from tests.store.samples import NOW, fill


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "state.db"
    with closing(SqliteStore(path, now=lambda: NOW)) as store, store.hold("ann@desk", "looking", 0):
        store.commit(fill(store.load(), 1), [Event(NOW, "ann", "start", "u", "x")])
        store.remember([MachineRecord("h1", "m1", metadata={"a": "b"}, read_at=NOW + 1)])
    return path


def vandalize(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as vandal:
        vandal.execute(statement)
        vandal.commit()


def findings(path: Path) -> list[str]:
    before = path.read_bytes()
    found = examine(path).findings
    assert found == examine(path, alone=True).findings
    assert path.read_bytes() == before
    return found


def test_of_a_sound_file_it_is_told_what_was_read(path):
    found = examine(path)
    assert found.findings == []
    with closing(SqliteStore(path)) as store:
        state = store.load()
        assert (found.cluster, found.revision, found.fence) == (state.cluster, 1, 1)
        assert found.schema == len(MIGRATIONS)
        counts = {"unit texts": 20, "units": 20, "placements": 20, "machines": 1, "events": 1}
        assert found.counts == counts
        store.commit(replace(state, wanted={}))
    assert examine(path).findings == []
    assert examine(path).counts["of them left by destroyed units"] == 20


def test_it_reads_one_moment_while_others_write(path):
    child = start("commit_for_ever", path)
    assert child.stdout is not None
    told = 0
    for _ in range(10):
        told = int(child.stdout.readline())
        found = examine(path)
        assert (found.findings, found.counts["units"]) == ([], 20)
        assert found.revision >= told
    kill(child)


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("DELETE FROM meta", "does not say which cluster"),
        ("DROP TABLE meta", "no such table: meta"),
        ("UPDATE meta SET cluster = 'x'", "its cluster is 'x'"),
        ("PRAGMA user_version = 99", r"written by a newer fleetssh \(schema 99, this one knows"),
        ("PRAGMA application_id = 1", "database of another program"),
        ("DROP TABLE placement", "table placement: no such table: placement"),
        ("DROP TABLE event", "table event: no such table: event"),
        ("DROP INDEX unit_digest", None),
        ("UPDATE text SET bytes = x'00' WHERE rowid = 1", "unit text [0-9a-f]{40}: it was altered"),
        ("DELETE FROM text WHERE rowid = 1", r"unit u\d+\.service: its text [0-9a-f]{40} is missing"),
        ("UPDATE unit SET target = 'asleep' WHERE name = 'u3.service'", r"unit u3\.service: 'asleep'"),
        (
            "UPDATE unit SET requirements = '{' WHERE name = 'u3.service'",
            r"unit u3\.service: a stored document",
        ),
        ("UPDATE unit SET requirements = '{\"version\":9}'", r"unit u0\.service: .*version 9, this fleetssh"),
        ("UPDATE unit SET name = 'a b.service' WHERE name = 'u3.service'", r"unit a b\.service: "),
        ("UPDATE unit SET hash = CAST(x'ff' AS TEXT)", "table unit, row 20: text that is no UTF-8"),
        ("UPDATE meta SET cluster = CAST(x'ff' AS TEXT)", "UTF-8"),
        ("UPDATE machine SET metadata = '[]'", "machine h1: a stored document cannot be understood"),
        ("UPDATE machine SET seen = '[[1]]'", "machine h1: a stored document cannot be understood"),
        ("UPDATE machine SET armed_at = 1e12", "machine h1: it was seen after the end of the stored time"),
    ],
)
def test_what_means_nothing_is_found_and_named(path, statement, told):
    vandalize(path, statement)
    found = findings(path)
    if told is None:
        assert found == []
    else:
        assert any(re.search(told, finding) for finding in found), found


def test_every_damage_is_told_not_just_the_first(path):
    vandalize(path, "UPDATE unit SET target = 'asleep' WHERE name < 'u2'")
    vandalize(path, "UPDATE machine SET way = '7'")
    found = findings(path)
    assert len(found) == 13
    assert sum(finding.startswith("unit u1") for finding in found) == 11


@pytest.mark.parametrize(
    "content", [b"garbage\n", b"\0" * 8192, random.Random(1).randbytes(20_000), b"S", b""]
)
def test_garbage_is_a_finding(path, content):
    path.write_bytes(content)
    assert any("damaged or no state file" in finding for finding in findings(path))


def test_every_damaged_page_is_found(path):
    whole = path.read_bytes()
    for offset in range(0, len(whole), 4096):
        path.write_bytes(whole[:offset] + random.Random(offset).randbytes(4096) + whole[offset + 4096 :])
        assert findings(path)
    for size in range(0, len(whole), 4096):
        path.write_bytes(whole[:size])
        assert findings(path)


def test_bytes_that_changed_on_the_disk_end_in_no_traceback(path):
    """A hundred single bytes, anywhere: found, or harmless to whoever reads the state."""
    whole = path.read_bytes()
    with closing(SqliteStore(path)) as store:
        sound = store.load()
    chance = random.Random(7)
    for _ in range(100):
        damaged = bytearray(whole)
        damaged[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        if not findings(path):
            with closing(SqliteStore(path)) as store:
                state = store.load()
            assert state.wanted.keys() == sound.wanted.keys()
            assert {n: w.unit.text for n, w in state.wanted.items()} == {
                n: w.unit.text for n, w in sound.wanted.items()
            }
        path.write_bytes(whole)


def test_what_is_no_file_is_an_error(tmp_path, path):
    with pytest.raises(StoreError, match="No such file"):
        examine(tmp_path / "nowhere.db")
    with pytest.raises(StoreError, match="is a folder"):
        examine(tmp_path)
