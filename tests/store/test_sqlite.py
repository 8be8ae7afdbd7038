"""What the SQLite file promises beyond the contract: modes, other processes, sudden death."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from fleetssh.clock import Uptime
from fleetssh.core.errors import StoreError, StoreHeld
from fleetssh.core.model import MachineRecord
from fleetssh.store import FRESH_SECONDS, Event
from fleetssh.store.sqlite import SqliteStore
from tests.store.child import COUNT
from tests.store.processes import finish, in_small_disk, kill, start
from tests.store.samples import fill, make_unit, make_wanted, names_in, numbers_in


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


def test_only_the_owner_can_read_anything(tmp_path):
    before = os.umask(0)
    try:
        path = tmp_path / "new" / "deep" / "state.db"
        with closing(SqliteStore(path)) as store, store.hold("ann", "looking", 0):
            store.commit(fill(store.load(), 1))
            modes = {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in path.parent.iterdir()}
    finally:
        os.umask(before)
    names = {"state.db", "state.db-wal", "state.db-shm", "state.db.lock"}
    assert modes == dict.fromkeys(names, 0o600)
    for folder in (path.parent, path.parent.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_folder_that_exists_keeps_its_mode(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir(mode=0o755)
    SqliteStore(folder / "state.db").close()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert names_in(folder) == ["state.db"]


def test_state_is_there_when_the_file_is_opened_again(path):
    with closing(SqliteStore(path)) as store:
        state = store.commit(fill(store.load(), 1))
    with closing(SqliteStore(path)) as store:
        assert store.load() == state


def test_text_is_stored_once_and_removed_with_its_last_unit(path):
    def texts() -> list[bytes]:
        with closing(sqlite3.connect(path)) as connection:
            return [text for (text,) in connection.execute("SELECT bytes FROM text ORDER BY bytes")]

    units = [make_unit(f"web@{number}.service", b"shared") for number in range(3)]
    with closing(SqliteStore(path)) as store:
        state = store.commit(replace(store.load(), wanted=make_wanted(*units)))
        assert texts() == [b"shared"]
        state = store.commit(replace(state, wanted=make_wanted(make_unit("web@0.service", b"own"), units[1])))
        assert texts() == [b"own", b"shared"]
        state = store.commit(replace(state, wanted=make_wanted(units[1])))
        assert texts() == [b"shared"]
        state = store.commit(replace(state, wanted=make_wanted(make_unit("web@1.service", b"new"))))
        assert texts() == [b"new"]
        store.commit(replace(state, wanted={}))
        assert texts() == []


def test_commit_writes_only_the_rows_that_differ(path):
    with closing(SqliteStore(path)) as store, closing(sqlite3.connect(path)) as witness:
        state = store.commit(fill(store.load(), 1, size=500))
        witness.executescript(
            """
            CREATE TABLE touched (name TEXT);
            CREATE TRIGGER u AFTER INSERT ON unit BEGIN INSERT INTO touched VALUES (new.name); END;
            CREATE TRIGGER p AFTER INSERT ON placement BEGIN INSERT INTO touched VALUES (new.unit); END;
            """
        )
        wanted = dict(state.wanted)
        wanted["u7.service"] = replace(wanted["u7.service"], generation=9)
        placements = dict(state.placements)
        placements["u8.service"] = replace(placements["u8.service"], reason="other 1")
        store.commit(replace(state, wanted=wanted, placements=placements))
        touched = witness.execute("SELECT name FROM touched ORDER BY name").fetchall()
    assert touched == [("u7.service",), ("u8.service",)]


def written_by(path: Path, work: Callable[[], object]) -> bool:
    """Whether ``work`` commits anything to the file."""
    with closing(sqlite3.connect(path)) as witness:
        before = witness.execute("PRAGMA data_version").fetchone()
        work()
        return bool(witness.execute("PRAGMA data_version").fetchone() != before)


def test_a_loop_that_finds_nothing_new_writes_nothing(path):
    record = MachineRecord("h1", "m1", last_good=1000.0, read_at=1000.0)
    with closing(SqliteStore(path)) as store:

        def go_round(turn: int) -> None:
            with store.hold("ann@desk", "looking", 0):
                at = store.time(Uptime("boot", 5.0 + 2 * turn))
                store.load()
                records = store.machines()
                assert turn == 0 or records["h1"].last_good == 1000.0 + 2 * (turn - 1)
                store.remember([replace(record, last_good=1000.0 + 2 * turn, read_at=at)])

        assert written_by(path, partial(go_round, 0))
        wrote = [written_by(path, partial(go_round, turn)) for turn in range(1, 25)]
        assert wrote.count(True) == 2  # in 48 seconds
    with closing(SqliteStore(path)) as store:
        assert 1000.0 + 2 * 24 - store.machines()["h1"].last_good < FRESH_SECONDS


def test_what_could_not_be_written_is_not_taken_for_stored(path):
    record = MachineRecord("h1", "m1")
    with closing(SqliteStore(path)) as store:
        store.remember([record])
        with closing(sqlite3.connect(path, isolation_level=None)) as vandal:
            vandal.execute("CREATE TRIGGER no BEFORE INSERT ON machine BEGIN SELECT RAISE(ABORT, 'no'); END")
            with pytest.raises(StoreError, match="no"):
                store.remember([replace(record, missed=1)], ["h1"])
            assert store.machines() == {"h1": record}
            vandal.execute("DROP TRIGGER no")
        store.remember([replace(record, missed=1)])
    with closing(SqliteStore(path)) as store:
        assert store.machines()["h1"].missed == 1


@pytest.mark.parametrize("how", ["gone", "replaced"])
def test_a_file_that_was_taken_away_under_the_controller_is_told_before_anything_is_done(path, how):
    other = path.with_name("other.db")
    SqliteStore(other).close()
    with closing(SqliteStore(path)) as store:
        path.rename(path.with_name("away.db"))
        if how == "replaced":
            other.rename(path)
        with (
            pytest.raises(StoreError, match=r"state\.db was moved away, deleted or replaced") as caught,
            store.hold("ann@desk", "looking", 0),
        ):
            pass
        assert "run the command again" in caught.value.hint


def test_killed_while_holding_the_next_hold_has_a_greater_fence(path):
    child = start("hold", path)
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    kill(child)
    with closing(SqliteStore(path)) as store:
        assert store.load().fence == 1
        with store.hold("the other one", "looking", 0) as fence:
            assert fence == 2


def test_processes_that_make_the_file_at_once_agree_on_the_cluster(path):
    children = [start("cluster", path) for _ in range(3)]
    assert len({tuple(finish(child)) for child in children}) == 1
    assert names_in(path.parent) == ["state.db"]


def test_no_commit_is_lost_between_processes(path):
    children = [start("count", path) for _ in range(2)]
    for child in children:
        finish(child)
    with closing(SqliteStore(path)) as store:
        state = store.load()
    assert state.placements["counter"].reason == str(2 * COUNT)
    assert state.revision == 2 * COUNT


def test_opening_the_file_twice_in_one_process_keeps_the_locks_of_the_first(path):
    # A closed descriptor drops all POSIX locks of its process on the file; then the other process here
    # would take itself for the last one, and remove the -wal file under the first store's feet.
    with closing(SqliteStore(path)) as store:
        store.commit(fill(store.load(), 1))
        SqliteStore(path).close()
        finish(start("cluster", path))
        state = store.commit(fill(store.load(), 2))
        with closing(SqliteStore(path)) as other:
            assert other.load() == state


def test_hold_ends_when_its_process_is_killed(path):
    child = start("hold", path)
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    with closing(SqliteStore(path)) as store:
        message = rf"the other one \(looking\) \(process {child.pid}\), for \d+ s"
        with pytest.raises(StoreHeld, match=message), store.hold("ann", "looking", 0):
            pass
        kill(child)
        with store.hold("ann", "looking", 0):
            pass


def test_lock_file_that_says_nothing_still_keeps_others_out(path):
    with closing(SqliteStore(path)) as store, store.hold("ann", "looking", 0):
        path.with_name("state.db.lock").write_bytes(b"\xff{")
        with pytest.raises(StoreHeld, match=r"^another controller is at work on this cluster$"):
            store.hold("bob", "looking", 0).__enter__()


def test_lock_file_that_cannot_be_used_is_named(path):
    path.with_name("state.db.lock").mkdir()
    message = r"lock file .*state\.db\.lock cannot be used: Is a directory"
    with closing(SqliteStore(path)) as store, pytest.raises(StoreError, match=message):
        store.hold("ann", "looking", 0).__enter__()


def test_killed_amid_commits_the_file_holds_one_whole_revision(path):
    told = 0
    for round_ in range(8):
        child = start("commit_for_ever", path)
        assert child.stdout is not None
        for _ in range(1 + 37 * round_):
            told = int(child.stdout.readline())
        lines = kill(child).split("\n")
        told = int(lines[-2]) if len(lines) > 1 else told  # the last line may be torn
        with closing(SqliteStore(path)) as store:
            state = store.load()
        assert told <= state.revision <= told + 1
        assert numbers_in(state) == {state.revision}


def test_checkpoint_that_was_cut_short_is_not_taken_for_damage(path):
    with closing(SqliteStore(path)) as store:
        store.commit(fill(store.load(), 1, size=2))
    small = path.read_bytes()
    child = start("commit_for_ever", path)
    assert child.stdout is not None
    child.stdout.readline()
    kill(child)
    wal = path.with_name("state.db-wal").read_bytes()
    copy = path.with_name("copy.db")
    shutil.copy(path, copy)
    copy.with_name("copy.db-wal").write_bytes(wal)
    with closing(SqliteStore(copy)) as store:
        state = store.load()
    whole = copy.read_bytes()
    assert len(whole) > len(small)

    path.write_bytes(whole[:4096] + small[4096:])  # the header tells of pages that are only in -wal
    path.with_name("state.db-shm").unlink()
    with closing(SqliteStore(path)) as store:
        assert store.load() == state
    assert path.read_bytes() == whole


def test_full_disk_is_told_and_leaves_the_last_revision(tmp_path):
    said = in_small_disk("fill_the_disk", tmp_path, f"mount -t tmpfs -o size=600k none {tmp_path}")
    assert len(said) == 3
    assert "state.db cannot be written: the disk is full" in said[0]
    assert said[1:] == ["True", "True"]


def test_full_disk_leaves_no_half_made_file(tmp_path):
    said = in_small_disk("look", tmp_path, f"mount -t tmpfs -o size=16k none {tmp_path}")
    assert len(said) == 1
    assert "the disk is full" in said[0]
    assert names_in(tmp_path) == []


def test_read_only_file_system_is_told(path):
    SqliteStore(path).close()
    folder = path.parent
    read_only = f"mount --bind {folder} {folder}; mount -o remount,ro,bind {folder}"
    said = in_small_disk("look", folder, read_only)
    assert len(said) == 1
    assert "no permission, or a read-only file system" in said[0]


def test_text_that_is_not_unicode_is_refused_without_a_traceback(path):
    with closing(SqliteStore(path)) as store:
        with pytest.raises(StoreError, match="cannot be kept in the state file"):
            store.record([Event(1.0, "ann", "start", "u", "\udc80")])
        assert store.history(1) == ()
