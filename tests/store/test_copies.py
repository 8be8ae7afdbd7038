"""Backups are whole, and what is put back is the whole of one; nothing that was there is ever lost."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from fleetssh.clock import Uptime
from fleetssh.core.errors import StoreConflict, StoreError, StoreHeld
from fleetssh.core.model import MachineRecord, Seen, State, TargetState
from fleetssh.core.ownership import is_unread
from fleetssh.store import REIGN, Event
from fleetssh.store.copies import back_up, restore
from fleetssh.store.examination import examine
from fleetssh.store.sqlite import SqliteStore
from tests.store.processes import in_small_disk, kill, start
from tests.store.samples import NOW, fill, names_in, numbers_in
from tests.store.test_schema import OLDEST

WHO = "ann@desk (restoring)"
SEEN = Seen("u1.service", TargetState.LAUNCHED, "loaded", "active", "running", 60)
LOST = MachineRecord(
    "h1",
    "m1",
    "b1",
    last_good=7.0,
    silent_since=5.0,
    missed=9,
    failure="timed out",
    lost=True,
    seen=(SEEN,),
    uptime=3.0,
    read_at=4.0,
    armed_at=1.0,
    way={"a": "b"},
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A state file at revision 1, held once."""
    path = tmp_path / "state" / "state.db"
    commit(path, 1)
    return path


@pytest.fixture
def backup(tmp_path: Path, path: Path) -> Path:
    """A backup of revision 1; since then there were revisions up to 3 and another hold."""
    backup = tmp_path / "backup.db"
    back_up(path, backup)
    commit(path, 2)
    commit(path, 3)
    return backup


def commit(path: Path, number: int) -> State:
    with closing(SqliteStore(path, now=lambda: NOW)) as store, store.hold("ann@desk", "looking", 0):
        return store.commit(fill(store.load(), number))


def load(path: Path) -> State:
    with closing(SqliteStore(path)) as store:
        return store.load()


def kept(path: Path) -> list[Path]:
    own = {path.name, *(path.name + suffix for suffix in ("-wal", "-shm", ".lock"))}
    return [path.with_name(name) for name in names_in(path.parent) if name not in own]


# ---------------------------------------------------------------- backup


def test_a_backup_is_the_whole_state_and_only_its_owner_can_read_it(tmp_path, path):
    with closing(SqliteStore(path)) as store:
        store.remember([LOST], (), [Event(NOW, "ann", "start", "u", "x")])
        before = os.umask(0)
        try:
            found = back_up(path, tmp_path / "b.db")
        finally:
            os.umask(before)
        assert (found.revision, found.counts["units"], found.findings) == (1, 20, [])
        assert stat.S_IMODE((tmp_path / "b.db").stat().st_mode) == 0o600
        with closing(SqliteStore(tmp_path / "b.db")) as copy:
            assert copy.load() == store.load()
            assert copy.machines() == store.machines()
            assert copy.history(9) == store.history(9)
    assert names_in(tmp_path) == ["b.db", "state"]


def test_a_backup_overwrites_only_by_force(tmp_path, path):
    target = tmp_path / "b.db"
    target.write_text("precious")
    with pytest.raises(StoreError, match=r"b\.db exists already") as caught:
        back_up(path, target)
    assert "--force" in caught.value.hint
    assert target.read_text() == "precious"
    back_up(path, target, force=True)
    assert load(target).revision == 1
    assert names_in(tmp_path) == ["b.db", "state"]


@pytest.mark.parametrize("force", [True, False])
def test_a_state_is_not_backed_up_onto_itself(path, force):
    other = path.with_name("other.db")
    other.symlink_to(path)
    for target in (path, other):
        with pytest.raises(StoreError, match="is the state file itself" if force else "exists already"):
            back_up(path, target, force=force)
    assert load(path).revision == 1


def test_a_damaged_state_replaces_no_good_backup(tmp_path, path, backup):
    with closing(sqlite3.connect(path)) as vandal:
        vandal.execute("UPDATE text SET bytes = x'00'")
        vandal.commit()
    good = backup.read_bytes()
    with pytest.raises(StoreError, match=r"is damaged, so this would be no backup: unit text .*altered"):
        back_up(path, backup, force=True)
    assert backup.read_bytes() == good
    assert names_in(tmp_path) == ["backup.db", "state"]


def test_a_folder_that_is_not_there_is_told(tmp_path, path):
    with pytest.raises(StoreError, match="No such file or directory"):
        back_up(path, tmp_path / "nowhere" / "b.db")


def test_backups_made_while_others_write_are_whole(tmp_path, path):
    child = start("commit_for_ever", path)
    assert child.stdout is not None
    last = 0
    for number in range(10):
        child.stdout.readline()
        found = back_up(path, tmp_path / f"b{number}.db")
        state = load(tmp_path / f"b{number}.db")
        assert numbers_in(state) == {found.revision}
        assert last <= found.revision
        last = found.revision
    kill(child)
    assert last > 1


def test_killed_at_any_moment_a_backup_has_its_name_only_when_it_is_whole(path):
    target = path.with_name("backup.db")
    for number in range(6):
        child = start("back_up_for_ever", path)
        assert child.stdout is not None
        for _ in range(1 + number):
            child.stdout.readline()
        kill(child)
        assert examine(target, alone=True).findings == []
        assert load(target).revision == 1


def test_a_disk_too_full_for_a_backup_is_told_and_keeps_no_half_of_it(tmp_path):
    big = tmp_path / "big.db"
    commit(big, 1)
    with closing(SqliteStore(big)) as store:
        store.commit(fill(store.load(), 2, size=400))
    disk = tmp_path / "disk"
    disk.mkdir()
    said = in_small_disk("back_up_to_full_disk", disk, f"mount -t tmpfs -o size=200k none {disk}")
    assert len(said) == 1
    assert "the disk is full" in said[0]


# ---------------------------------------------------------------- restore


def test_restored_is_what_was_wanted_and_what_was_there_is_kept(path, backup):
    there = load(path)
    done = restore(path, backup, WHO, [Event(NOW, "ann", "command", "", "restored")])
    state = load(path)
    assert numbers_in(state) == {1}
    assert state.cluster == there.cluster
    assert done.kept is not None
    assert kept(path) == [done.kept]
    assert done.kept.name.startswith("state.db.20")
    assert load(done.kept) == there
    assert stat.S_IMODE(done.kept.stat().st_mode) == stat.S_IMODE(path.stat().st_mode) == 0o600
    with closing(SqliteStore(path)) as store:
        assert store.history(1) == (Event(NOW, "ann", "command", "", "restored"),)
    again = restore(path, done.kept, WHO)
    assert again.kept != done.kept
    assert numbers_in(load(path)) == {3}


def test_fence_and_revision_go_on_above_both(path, backup):
    there = load(path)
    restore(path, backup, WHO)
    state = load(path)
    assert (there.fence, state.fence) == (3, 4)
    assert state.revision > there.revision
    with closing(SqliteStore(path)) as store:
        with store.hold("ann@desk", "looking", 0) as fence:
            assert fence == 5
        with store.hold("bob@desk", "looking", 0) as fence:
            assert fence == 5 + REIGN


def test_whoever_has_the_state_open_goes_on_with_what_was_restored(path, backup):
    with closing(SqliteStore(path)) as store:
        stale = store.load()
        restore(path, backup, WHO)
        with pytest.raises(StoreConflict):
            store.commit(fill(stale, 9))
        with store.hold("ann@desk", "looking", 0):
            state = store.load()
            assert numbers_in(state) == {1}
            assert store.commit(fill(state, 10)) == load(path)


def test_what_is_known_of_machines_stays_as_it_is_now(path, backup):
    """A machine that answered since the backup must not be lost by what the backup remembers."""
    with closing(SqliteStore(path)) as store:
        at = store.time(Uptime("boot", 50.0))
        records = {"h1": replace(LOST, missed=1, lost=False, silent_since=at, read_at=at, armed_at=at),
                   "h2": MachineRecord("h2", "m2")}  # fmt: skip
        store.remember(records.values())
    assert restore(path, backup, WHO).knows_machines
    with closing(SqliteStore(path)) as store:
        assert store.machines() == records
        assert store.time(Uptime("boot", 51.0)) == at + 1


@pytest.mark.parametrize("present", ["missing", "garbage", "damaged", "cut"])
def test_without_a_sound_state_every_silence_is_counted_anew_and_every_lease_may_run(path, present):
    with closing(SqliteStore(path)) as store:
        store.time(Uptime("boot", 50.0))
        store.remember([LOST])
    backup = path.parent.parent / "backup.db"
    back_up(path, backup)
    there = path.read_bytes()
    if present == "missing":
        shutil.rmtree(path.parent)
    elif present == "garbage":
        path.write_bytes(b"garbage" * 1000)
    elif present == "cut":
        path.write_bytes(there[: len(there) // 2])
    else:
        with closing(sqlite3.connect(path)) as vandal:
            vandal.execute("UPDATE text SET bytes = x'00'")
            vandal.commit()
    damaged = None if present == "missing" else path.read_bytes()
    done = restore(path, backup, WHO)
    assert [name.read_bytes() for name in kept(path)] == ([] if damaged is None else [damaged])
    assert (done.kept is None) == (present == "missing")
    assert not done.knows_machines
    with closing(SqliteStore(path)) as store:
        assert numbers_in(store.load()) == {1}
        assert store.load().fence >= REIGN
        at = store.time(Uptime("boot", 90.0))
        unread = replace(
            LOST,
            boot_id="",
            silent_since=None,
            missed=0,
            failure="",
            lost=False,
            uptime=0.0,
            read_at=0.0,
            armed_at=at,
        )
        assert store.machines() == {"h1": unread}
        assert is_unread(unread)
        assert at >= NOW


def test_what_a_damaged_state_had_not_written_back_yet_is_not_taken_for_the_restored(path, backup):
    child = start("commit_for_ever", path)
    assert child.stdout is not None
    for _ in range(5):
        child.stdout.readline()
    kill(child)
    rest = path.with_name("state.db-wal").read_bytes()
    assert rest
    path.write_bytes(b"\xff" * path.stat().st_size)
    done = restore(path, backup, WHO)
    assert numbers_in(load(path)) == {1}
    assert done.kept is not None
    assert done.kept.with_name(done.kept.name + "-wal").read_bytes() == rest


def test_a_damaged_backup_changes_nothing(path, backup):
    there = load(path)
    with closing(sqlite3.connect(backup)) as vandal:
        vandal.execute("UPDATE unit SET target = 'asleep'")
        vandal.commit()
    with pytest.raises(StoreError, match=r"is no sound backup: unit u0\.service: 'asleep'"):
        restore(path, backup, WHO, force=True)
    backup.write_bytes(b"garbage" * 1000)
    with pytest.raises(StoreError, match="is no sound backup"):
        restore(path, backup, WHO, force=True)
    with pytest.raises(StoreError, match="is the state file itself"):
        restore(path, path, WHO, force=True)
    with pytest.raises(StoreError, match="No such file"):
        restore(path, backup.with_name("nowhere"), WHO)
    assert load(path) == there
    assert kept(path) == []


def test_a_backup_of_another_cluster_needs_force(tmp_path, path):
    theirs = tmp_path / "theirs.db"
    cluster = commit(theirs, 7).cluster
    there = load(path)
    with pytest.raises(StoreError, match=f"is a backup of cluster {cluster}, .*of {there.cluster}") as caught:
        restore(path, theirs, WHO)
    assert "--force" in caught.value.hint
    assert load(path) == there
    done = restore(path, theirs, WHO, force=True)
    assert done.kept is not None
    assert load(done.kept) == there
    state = load(path)
    assert (state.cluster, numbers_in(state)) == (cluster, {7})
    assert state.revision > there.revision


def test_nothing_is_restored_while_a_controller_is_at_work(path, backup):
    with (
        closing(SqliteStore(path)) as store,
        store.hold("bob@desk", "one pass", 0),
        pytest.raises(StoreHeld, match=r"bob@desk \(one pass\)"),
    ):
        restore(path, backup, WHO)
    assert numbers_in(load(path)) == {3}
    assert kept(path) == []


def test_nothing_is_restored_beneath_a_loop_that_would_act_on_it_at_once(path, backup):
    child = start("hold_now_and_then", path)
    assert child.stdout is not None
    child.stdout.readline()
    told = rf"bob@desk \(fleetssh run\) \(process {child.pid}\) is still running"
    for _ in range(2):
        with pytest.raises(StoreHeld, match=told) as caught:
            restore(path, backup, WHO)
    assert "end it first" in caught.value.hint
    assert numbers_in(load(path)) == {3}
    kill(child)
    restore(path, backup, WHO)
    assert numbers_in(load(path)) == {1}


def test_a_restore_may_be_forced_beneath_a_loop(path, backup):
    child = start("hold_now_and_then", path)
    assert child.stdout is not None
    child.stdout.readline()
    restore(path, backup, WHO, force=True)
    kill(child)
    assert numbers_in(load(path)) == {1}


def test_a_backup_of_an_older_schema_is_brought_up_to_date(path):
    old = path.parent.parent / "old.db"
    with closing(sqlite3.connect(old)) as connection:
        connection.executescript(OLDEST.read_text())
    before = old.read_bytes()
    found = examine(old, alone=True)
    assert (found.findings, found.schema, found.revision, found.counts["units"]) == ([], 1, 41, 1)
    restore(path, old, WHO, force=True)
    state = load(path)
    assert (list(state.wanted), state.cluster) == (["web@1.service"], "0123456789abcdef0123456789abcdef")
    assert old.read_bytes() == before


def test_killed_at_any_moment_a_restore_leaves_the_whole_of_one_state(path):
    back_up(path, path.with_name("one.db"))
    commit(path, 2)
    back_up(path, path.with_name("two.db"))
    revision, fence = 0, 0
    for number in range(8):
        child = start("restore_for_ever", path)
        assert child.stdout is not None
        for _ in range(1 + number):
            child.stdout.readline()
        kill(child)
        state = load(path)
        assert numbers_in(state) in ({1}, {2})
        assert (state.revision, state.fence) > (revision, fence)
        revision, fence = state.revision, state.fence
        assert examine(path).findings == []


def test_a_disk_too_full_for_a_restore_is_told_and_changes_nothing(tmp_path):
    big = tmp_path / "backup.db"
    commit(big, 1)
    with closing(SqliteStore(big)) as store:
        store.commit(fill(store.load(), 2, size=400))
    disk = tmp_path / "disk"
    disk.mkdir()
    said = in_small_disk("restore_to_full_disk", disk, f"mount -t tmpfs -o size=600k none {disk}")
    assert len(said) == 2
    assert "the disk is full" in said[0]
    assert said[1] == "True"
