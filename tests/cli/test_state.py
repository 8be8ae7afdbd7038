"""The verbs about the state file, as they are typed; no machine is touched by any of them."""

import json
import sqlite3
from contextlib import closing

import pytest

from fleetssh.cli.exits import Exit
from fleetssh.store.sqlite import SqliteStore
from tests.store.samples import fill, numbers_in


@pytest.fixture
def path(tmp_path):
    """The state, at revision 1."""
    path = tmp_path / "state.db"
    commit(path, 1)
    return path


def commit(path, number):
    with closing(SqliteStore(path)) as store:
        return store.commit(fill(store.load(), number))


def load(path):
    with closing(SqliteStore(path)) as store:
        return store.load()


def test_check_tells_what_it_read(fleetssh, path):
    ran = fleetssh("state", "check")
    assert (ran.code, ran.err) == (Exit.DONE, "")
    assert ran.out.splitlines() == [
        f"{path}: schema 2, cluster {load(path).cluster}, revision 1, fence 0",
        "read: 20 unit texts, 20 units, 20 placements, 0 machines, 0 events",
        "sound: every page can be read, every document be understood, and every text fits its digest",
    ]


def test_check_tells_what_is_wrong_and_what_to_type(fleetssh, path):
    with closing(sqlite3.connect(path)) as vandal:
        vandal.execute("UPDATE unit SET target = 'asleep' WHERE name = 'u3.service'")
        vandal.commit()
    ran = fleetssh("state", "check")
    assert ran.code == Exit.ERROR
    told = ran.err.splitlines()
    assert told[:2] == [f"{path} is not sound:", "  unit u3.service: 'asleep' is not a valid TargetState"]
    assert "fleetssh state restore PATH" in told[2]
    assert "fleetssh state rebuild" in told[2]


def test_check_of_garbage_shows_no_traceback_and_not_everything(fleetssh, path):
    with closing(sqlite3.connect(path)) as vandal:
        vandal.execute("UPDATE unit SET target = 'asleep'")
        vandal.execute("UPDATE placement SET unit = unit || 'x'")
        vandal.execute("UPDATE text SET bytes = x'00'")
        vandal.commit()
    ran = fleetssh("state", "check")
    assert (ran.code, "  and 20 more" in ran.err.splitlines()) == (Exit.ERROR, True)
    path.write_bytes(b"garbage" * 1000)
    ran = fleetssh("state", "check")
    assert (ran.code, "is damaged or no state file" in ran.err) == (Exit.ERROR, True)


def test_check_of_a_backup_is_about_the_backup(fleetssh, path, tmp_path):
    assert fleetssh("state", "backup", "b.db").code == Exit.DONE
    path.write_bytes(b"garbage")
    assert f"{tmp_path}/b.db: schema" in fleetssh("state", "check", "b.db").out
    (tmp_path / "b.db").write_bytes(b"garbage")
    ran = fleetssh("state", "check", "b.db")
    assert (ran.code, "take another backup" in ran.err) == (Exit.ERROR, True)
    assert fleetssh("state", "check", "nowhere.db").code == Exit.ERROR


@pytest.mark.parametrize("verb", [("check",), ("backup", "b.db")])
def test_without_a_state_none_is_made(fleetssh, tmp_path, verb):
    ran = fleetssh("state", *verb)
    assert ran.code == Exit.ERROR
    assert ran.err.startswith(f"there is no state yet: no file {tmp_path}/state.db\n")
    assert "fleetssh state rebuild" in ran.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", [("check",), ("backup", "b.db"), ("restore", "b.db")])
def test_a_state_in_memory_is_no_file(fleetssh, verb):
    ran = fleetssh("--state", "memory:", "state", *verb)
    assert (ran.code, ran.out) == (Exit.ERROR, "")
    assert ran.err.startswith("the state in 'memory:' is no file\n")


def test_there_and_back(fleetssh, path, tmp_path):
    there = load(path)
    ran = fleetssh("state", "backup", "b.db")
    assert (ran.code, ran.err) == (Exit.DONE, "")
    assert ran.out == f"{tmp_path}/b.db: revision 1 of cluster {there.cluster}, 20 units\n"
    ran = fleetssh("state", "backup", "b.db")
    assert (ran.code, "overwrite it with --force" in ran.err) == (Exit.ERROR, True)
    assert fleetssh("state", "backup", "--force", "b.db").code == Exit.DONE
    commit(path, 2)
    ran = fleetssh("state", "restore", "b.db")
    assert ran.code == Exit.DONE
    said = ran.out.splitlines()
    assert said[0] == f"restored from {tmp_path}/b.db: revision 1 of cluster {there.cluster}, 20 units"
    assert said[1].startswith(f"what was there before is kept in {tmp_path}/state.db.20")
    assert "'fleetssh plan' shows" in ran.err
    assert "'fleetssh adopt'" in ran.err
    assert numbers_in(load(path)) == {1}
    (event,) = json.loads(fleetssh("events", "-o", "json").out)
    assert (event["kind"], event["text"]) == ("command", f"state restore: from {tmp_path}/b.db")
    assert "(fleetssh state restore, pid " in event["who"]


def test_restore_where_there_is_no_state(fleetssh, path, tmp_path):
    assert fleetssh("state", "backup", "b.db").code == Exit.DONE
    ran = fleetssh("--state", "new/state.db", "state", "restore", "b.db")
    assert (ran.code, len(ran.out.splitlines())) == (Exit.DONE, 1)
    assert "before 'fleetssh adopt' has shown what is there" in ran.err
    assert load(tmp_path / "new" / "state.db").wanted == load(path).wanted


def test_restore_of_another_clusters_backup_is_refused(fleetssh, path, tmp_path):
    commit(tmp_path / "theirs.db", 7)
    ran = fleetssh("state", "restore", "theirs.db")
    assert (ran.code, "is a backup of cluster" in ran.err) == (Exit.ERROR, True)
    assert numbers_in(load(path)) == {1}
    assert fleetssh("state", "restore", "--force", "theirs.db").code == Exit.DONE
    assert numbers_in(load(path)) == {7}


def test_restore_while_a_controller_is_at_work_names_it(fleetssh, path):
    assert fleetssh("state", "backup", "b.db").code == Exit.DONE
    with closing(SqliteStore(path)) as store, store.hold("bob@desk", "fleetssh run, pid 7", 0):
        ran = fleetssh("state", "restore", "b.db")
    assert ran.code == Exit.REFUSED
    assert "at work on this cluster: bob@desk (fleetssh run, pid 7) (process" in ran.err


def test_without_a_word_its_commands_are_told(fleetssh):
    ran = fleetssh("state")
    for verb in ("backup", "check", "restore"):
        assert f"\n  {verb} " in ran.out + ran.err
