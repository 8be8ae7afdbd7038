"""A file that is not a sound state file is named, explained, and left as it is, byte for byte."""

from __future__ import annotations

import os
import random
import re
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fleetssh.core.errors import StoreError
from fleetssh.core.model import MachineRecord
from fleetssh.store.schema import MIGRATIONS
from fleetssh.store.sqlite import SqliteStore
from tests.store.samples import fill, names_in

NOBODY = 65534


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A sound state file."""
    path = tmp_path / "state.db"
    with closing(SqliteStore(path)) as store:
        store.commit(fill(store.load(), 1))
        store.remember([MachineRecord("h1", "m1", metadata={"a": "b"})])
    return path


def refuse(path: Path) -> StoreError:
    """Open and read ``path``, and return the refusal after seeing that nothing was changed."""
    before, names = path.read_bytes(), names_in(path.parent)
    with pytest.raises(StoreError) as caught, closing(SqliteStore(path)) as store:
        store.load()
        store.machines()
    assert path.read_bytes() == before
    assert names_in(path.parent) == names
    assert str(path) in caught.value.message
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize("content", [b"garbage\n", b"\0" * 8192, random.Random(1).randbytes(20_000), b"S"])
def test_garbage_is_refused(path, content):
    path.write_bytes(content)
    assert "is damaged or no state file" in refuse(path).message


@pytest.mark.parametrize("size", [0, 1, 50, 99, 100, 512, 4095, 4096, 4097, 8192, 20_000])
def test_truncated_file_is_refused(path, size):
    path.write_bytes(path.read_bytes()[:size])
    assert "is damaged" in refuse(path).message


def test_header_over_garbage_is_refused(path):
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + random.Random(2).randbytes(len(whole) - 100))
    assert "is damaged" in refuse(path).message


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_database_of_another_program_is_refused(path, mode):
    path.unlink()
    with closing(sqlite3.connect(path)) as other:
        other.execute(f"PRAGMA journal_mode = {mode}")
        other.execute("CREATE TABLE meta (cluster, revision)")
        other.execute("INSERT INTO meta VALUES ('theirs', 1)")
        other.commit()
    assert "is a SQLite database of another program" in refuse(path).message


@pytest.mark.parametrize("unfinished", ["journal", "wal"])
def test_unfinished_business_of_another_program_is_left_to_it(path, unfinished):
    theirs = path.with_name("theirs.db")
    with closing(sqlite3.connect(theirs, isolation_level=None)) as other:
        other.execute(f"PRAGMA journal_mode = {'wal' if unfinished == 'wal' else 'persist'}")
        other.execute("PRAGMA cache_size = 1")
        other.execute("CREATE TABLE t (x)")
        other.execute("BEGIN")
        other.executemany("INSERT INTO t VALUES (?)", [("x" * 500,)] * 100)
        if unfinished == "wal":
            other.execute("COMMIT")
        killed = path.with_name("killed.db")
        for suffix in ("", f"-{unfinished}"):
            shutil.copy(f"{theirs}{suffix}", f"{killed}{suffix}")
        rest = Path(f"{killed}-{unfinished}").read_bytes()
    assert "is a SQLite database of another program" in refuse(killed).message
    assert Path(f"{killed}-{unfinished}").read_bytes() == rest


def test_file_without_a_cluster_is_not_even_opened(path):
    with closing(sqlite3.connect(path)) as vandal:
        vandal.execute("DELETE FROM meta")
        vandal.commit()
    with pytest.raises(StoreError, match="does not say which cluster"):
        SqliteStore(path)


def test_newer_schema_is_refused(path):
    """F-072, F-046: refused and left as it is, where fleet's client warned of a newer daemon and went on."""
    with closing(sqlite3.connect(path)) as newer:
        newer.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    error = refuse(path)
    assert f"newer fleetssh (schema {len(MIGRATIONS) + 1}, this one knows {len(MIGRATIONS)})" in error.message
    assert "upgrade fleetssh" in error.hint


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("DELETE FROM meta", "is damaged: it does not say which cluster"),
        ("DROP TABLE meta", "cannot be used .*no such table: meta"),
        ("PRAGMA user_version = 0", "is damaged: it does not say which cluster"),
        ("UPDATE meta SET cluster = CAST(x'ff' AS TEXT)", "is damaged .*decode to UTF-8"),
        ("DROP TABLE placement", "cannot be used .*no such table: placement"),
        (
            "UPDATE text SET bytes = x'00' WHERE rowid = 1",
            "is damaged: the unit text [0-9a-f]{40} was altered",
        ),
        ("DELETE FROM text WHERE rowid = 1", "is damaged: '[0-9a-f]{40}'"),
        ("UPDATE unit SET target = 'asleep'", "is damaged: 'asleep' is not a valid TargetState"),
        ("UPDATE unit SET requirements = '{'", "a stored document cannot be understood: '{', in the"),
        (
            "UPDATE unit SET requirements = '{\"version\":3}'",
            "have version 3, this fleetssh knows those up to 2, in the",
        ),
        ("UPDATE unit SET hash = CAST(x'ff' AS TEXT)", "is damaged .*decode to UTF-8"),
        ("UPDATE machine SET metadata = '[]'", "a stored document cannot be understood"),
    ],
)
def test_content_that_means_nothing_is_refused(path, statement, message):
    with closing(sqlite3.connect(path)) as vandal:
        vandal.execute(statement)
        vandal.commit()
    assert re.search(message, refuse(path).message)


def test_every_damaged_page_is_noticed_or_harmless(path):
    whole = path.read_bytes()
    with closing(SqliteStore(path)) as store:
        sound = store.load()
    noticed = 0
    for offset in range(4096, len(whole), 4096):
        path.write_bytes(whole[:offset] + random.Random(offset).randbytes(4096) + whole[offset + 4096 :])
        try:
            with closing(SqliteStore(path)) as store:
                assert store.load() == sound  # a page of a table that load doesn't read
        except StoreError as error:
            assert str(path) in error.message
            noticed += 1
        damaged = path.read_bytes()
        assert damaged[:offset] == whole[:offset]
        assert damaged[offset + 4096 :] == whole[offset + 4096 :]
    assert noticed > 3


def test_tables_that_are_described_in_no_text_are_told(path):
    """SQLite quotes the broken words in its message, which then is no UTF-8 either."""
    whole = path.read_bytes()
    refused = 0
    for place in range(whole.index(b"CREATE TABLE"), 4096, 61):
        path.write_bytes(whole[:place] + bytes([whole[place] | 0x80]) + whole[place + 1 :])
        try:
            with closing(SqliteStore(path)) as store:
                store.load()
        except StoreError as error:
            assert str(path) in error.message
            refused += 1
    assert refused > 10


def test_damage_that_comes_while_the_file_is_open_is_told(path):
    with closing(SqliteStore(path)) as store:
        whole = path.read_bytes()
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * (len(whole) - 4096))
        with pytest.raises(StoreError, match=r"state\.db is damaged"):
            store.load()


def test_folder_is_refused(tmp_path):
    with pytest.raises(StoreError, match="is a folder"):
        SqliteStore(tmp_path)


def test_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StoreError, match="is no ordinary file"):
        SqliteStore(tmp_path / "pipe")


def test_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be used: Not a directory"):
        SqliteStore(tmp_path / "file" / "folder" / "state.db")


@pytest.fixture
def powerless() -> Iterator[Path]:
    """A folder everybody can reach, and a test that isn't root."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        user = os.geteuid()
        yield Path(folder)
        os.seteuid(user)


def drop_power() -> None:
    if os.geteuid() == 0:
        os.seteuid(NOBODY)


def test_file_of_somebody_else_is_told(powerless):
    path = powerless / "state.db"
    SqliteStore(path).close()
    path.chmod(0)
    drop_power()
    with pytest.raises(StoreError, match=r"state\.db cannot be read and written: no permission"):
        SqliteStore(path)


@pytest.mark.parametrize("mode", [0, stat.S_IRUSR | stat.S_IXUSR | stat.S_IROTH | stat.S_IXOTH])
def test_folder_of_somebody_else_is_told(powerless, mode):
    folder = powerless / "theirs"
    folder.mkdir()
    folder.chmod(mode)
    try:
        drop_power()
        with pytest.raises(StoreError, match=r"state\.db cannot be used: Permission denied"):
            SqliteStore(folder / "state.db")
    finally:
        os.seteuid(os.getuid())
        folder.chmod(0o700)
