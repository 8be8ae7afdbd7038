"""Which store a location opens."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from fleetssh.core.errors import StoreError, UsageError
from fleetssh.store import open_store, store_exists
from fleetssh.store.memory import MemoryStore
from fleetssh.store.sqlite import SqliteStore
from tests.store.samples import names_in


def opened(location: str | None, environ: dict[str, str], cluster: str = "default") -> None:
    with closing(open_store(location, cluster, environ)) as store:
        assert isinstance(store, SqliteStore)


@pytest.mark.parametrize("prefix", ["", "sqlite:", "SQLite:"])
def test_path_opens_a_sqlite_file(tmp_path, prefix):
    opened(f"{prefix}{tmp_path}/a.db", {})
    assert (tmp_path / "a.db").is_file()


def test_memory_opens_a_store_that_leaves_nothing_behind():
    assert isinstance(open_store("memory:", "default", {"HOME": "/nonexistent"}), MemoryStore)


def test_location_wins_over_the_environment(tmp_path):
    opened(f"{tmp_path}/a.db", {"FLEETSSH_STATE": f"{tmp_path}/b.db"})
    assert names_in(tmp_path) == ["a.db"]


def test_environment_wins_over_the_default(tmp_path):
    opened(None, {"FLEETSSH_STATE": f"{tmp_path}/b.db", "HOME": f"{tmp_path}/home"})
    assert names_in(tmp_path) == ["b.db"]


def test_default_is_the_xdg_state_folder_of_the_cluster(tmp_path):
    opened(None, {"HOME": str(tmp_path)})
    opened(None, {"HOME": str(tmp_path), "FLEETSSH_STATE": "", "XDG_STATE_HOME": "relative"}, "staging")
    opened(None, {"HOME": "/nonexistent", "XDG_STATE_HOME": f"{tmp_path}/xdg"})
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {
        ".local/state/fleetssh/default/state.db",
        ".local/state/fleetssh/staging/state.db",
        "xdg/fleetssh/default/state.db",
    }


def test_tilde_is_the_home_folder(tmp_path):
    opened("sqlite:~/a.db", {"HOME": str(tmp_path)})
    assert (tmp_path / "a.db").is_file()


def test_relative_path_stays_the_same_file_when_the_process_moves(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with closing(open_store("a b%20#?.db", "default", {})) as store:
        monkeypatch.chdir("/")
        with store.hold("ann", "looking", 0):
            pass
    assert names_in(tmp_path) == ["a b%20#?.db", "a b%20#?.db.lock"]


@pytest.mark.parametrize("location", ["etcd://127.0.0.1:2379", "etcd:x"])
def test_etcd_is_not_there_yet(location):
    with pytest.raises(StoreError, match="etcd is not supported yet in this version; use a SQLite file"):
        open_store(location, "default", {})


@pytest.mark.parametrize("location", ["http://x/y", "sqlite:", "memory:x", "a:b"])
def test_place_that_is_none_is_refused(location):
    with pytest.raises(StoreError, match="is not a place where state can be kept") as caught:
        open_store(location, "default", {})
    assert "sqlite:PATH" in caught.value.hint


@pytest.mark.parametrize("cluster", ["", ".", "..", "a/b", "../x", "-x", "a b", "a\n", "é", "x" * 65])
def test_cluster_name_must_be_a_plain_folder_name(cluster, tmp_path):
    with pytest.raises(UsageError, match="cannot be the name of a cluster"):
        open_store(None, cluster, {"HOME": str(tmp_path)})
    assert names_in(tmp_path) == []


def test_memory_store_needs_no_sqlite():
    code = (
        "import sys; from fleetssh.store import Event, Store, open_store;"
        "open_store('memory:', 'default', {}); assert 'sqlite3' not in sys.modules, 'sqlite3 imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_whether_a_store_is_there_is_asked_without_making_one(tmp_path):
    environ = {"HOME": str(tmp_path)}
    assert not store_exists(None, "default", environ)
    assert not store_exists(str(tmp_path), "default", environ)
    assert not store_exists("memory:", "default", environ)
    assert names_in(tmp_path) == []
    opened(None, environ)
    assert store_exists(None, "default", environ)
    with pytest.raises(UsageError):
        store_exists(None, "../other", environ)


def test_a_name_that_no_file_can_have_is_told_in_words() -> None:
    with pytest.raises(StoreError, match="File name too long"):
        store_exists(f"/tmp/{'a' * 300}", "default", {})
