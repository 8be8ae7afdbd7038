"""State files and inventories that are none: told with a way out, left as they are, no machine touched."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.live.conftest import Answer, Fleet
from tests.live.outside import edit_inventory, pinned, service, traces

COMMANDS = (
    ["start", "web"],
    ["reconcile"],
    ["plan"],
    ["list-units"],
    ["list-unit-files"],
    ["stop", "web"],
    ["destroy", "web"],
)


@pytest.fixture
def web(fleet: Fleet) -> Fleet:
    """web.service runs on m2 and must never hear of any of this."""
    fleet.unit("web.service", pinned("m2"))
    fleet.run("start", "web")
    return fleet


def refused(fleet: Fleet, command: list[str], code: int = 1) -> Answer:
    answer = fleet.run(*command, code=code)
    assert "internal error" not in answer.err
    assert answer.out in ("", "\n")
    assert len(answer.err.splitlines()) <= 3, answer.err
    return answer


# ---------------------------------------------------------------- the state file


def sql(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as vandal:
        vandal.execute(statement)
        vandal.commit()


def foreign(path: Path) -> None:
    path.unlink()
    sql(path, "CREATE TABLE theirs (x)")


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def damaged(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + random.Random(1).randbytes(len(whole) - 4096))


def read_only(path: Path) -> None:
    subprocess.run(["mount", "--bind", path, path], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", path], check=True)


STATES: dict[Callable[[Path], object], tuple[str, str]] = {
    lambda path: path.write_bytes(b""): ("is damaged or no state file: it has 0 bytes", "state restore"),
    lambda path: path.write_bytes(b"hello\n"): ("is damaged or no state file", "state restore"),
    lambda path: path.write_bytes(random.Random(2).randbytes(9000)): ("is damaged", "state restore"),
    lambda path: path.write_bytes(path.read_bytes()[:5000]): ("is damaged", "state restore"),
    damaged: ("is damaged", "state restore"),
    foreign: ("is a SQLite database of another program", "name another file"),
    lambda path: sql(path, "PRAGMA user_version = 99"): (
        "was written by a newer fleetssh",
        "upgrade fleetssh",
    ),
    lambda path: sql(path, "UPDATE unit SET requirements = '{'"): ("cannot be understood", "state restore"),
    lambda path: sql(path, "UPDATE meta SET cluster = 'a b'"): ("is damaged", "state restore"),
    lambda path: sql(path, "UPDATE unit SET name = '../../../etc/passwd'"): ("is damaged", "state restore"),
    folder: ("is a folder", "name a file inside it"),
    pipe: ("is no ordinary file", "name another one"),
    read_only: ("a read-only file system", "check its mode, owner and file system"),
}
"""What becomes of a sound state file, what is told, and which way out."""


def test_a_state_file_that_is_none_is_explained_and_nothing_is_touched(web: Fleet) -> None:
    before = traces(web)
    sound = Path(web.env["FLEETSSH_STATE"])
    for number, (spoil, (says, way_out)) in enumerate(STATES.items()):
        path = web.folder / f"state{number}" / "state.db"
        path.parent.mkdir()
        shutil.copy(sound, path)
        spoil(path)
        web.env["FLEETSSH_STATE"] = str(path)
        content = path.read_bytes() if path.is_file() else b""
        for command in COMMANDS[:: 1 if number == 4 else 4]:
            answer = refused(web, command)
            assert str(path) in answer.err
            assert says in answer.err, answer.err
            assert way_out in answer.err, answer.err
        assert (path.read_bytes() if path.is_file() else b"") == content
        if spoil is read_only:
            subprocess.run(["umount", path], check=True)
    assert traces(web) == before
    web.env["FLEETSSH_STATE"] = str(sound)
    assert web.run("reconcile").out == ""


def test_a_lost_state_file_starts_an_empty_cluster_that_leaves_the_old_ones_units_alone(web: Fleet) -> None:
    before = traces(web)
    web.env["FLEETSSH_STATE"] = str(web.folder / "another.db")
    answer = web.run("reconcile", code=4)
    assert "m2: belongs to another cluster" in answer.err
    # By the name of what runs there nothing is started, not even where no machine is anybody's.
    (web.folder / "web.service").write_text(service())
    waits = web.run("start", "web", code=4)
    assert "Unit web.service waits: m2, which had it last, belongs to another cluster" in waits.err
    assert "when m2 does not hold that any more" in waits.err
    web.run("start", web.unit("new.service", service()), code=None)
    assert len(web.running_on("new.service")) == 1
    assert web.running_on("web.service") == ["m2"]
    assert traces(web)["m2"] == before["m2"]


# ---------------------------------------------------------------- the inventory

HOST = "all: {hosts: {m2: {ansible_host: %s}}}\n"

INVENTORIES: dict[str, str] = {
    "": "has no hosts",
    "---\n": "has no hosts",
    "all:\n  hosts: {}\n": "has no hosts",
    "all: [m1, m2]\n": "hosts.yml:1: group `all` is a list",
    "[web]\nm1\n": "hosts.yml:2: not valid YAML",
    "all:\n\thosts:\n": "hosts.yml:2: not valid YAML",
    "all: {hosts: {m2: {ansible_host: '{{ ip }}'}}}\n": "hosts.yml:1: `ansible_host` is the template",
    HOST % "$(touch /tmp/bait)": "hosts.yml:1: `ansible_host` is '$(touch",
    HOST % "'a;b'": "expected a host name or an IP address",
    HOST % "'-oProxyCommand=x'": "expected a word that does not begin with `-`",
    HOST % '"a\\nb"': "expected no line breaks",
    "all: {hosts: {m2: {ansible_user: 'a`b'}}}\n": "expected a login name",
    "all: {hosts: {m2: {ansible_password: secret}}}\n": "`ansible_password` is set",
    "all: {hosts: {m2: {ansible_port: 0}}}\n": "expected a whole number from 1 to 65535",
    "all: {hosts: {'m[1:99999999]': }}\n": "more than 10000",
    "a: &a {hosts: {h: }}\nb: &b {children: {c: *a, d: *a}}\n\x00": "not valid YAML",
}
"""What the inventory is, and what is told."""


def test_an_inventory_that_is_none_is_told_with_its_line_and_nothing_is_touched(web: Fleet) -> None:
    before, wanted = traces(web), web.files()
    path = web.folder / "hosts.yml"
    sound = web.env["FLEETSSH_INVENTORY"]
    web.env["FLEETSSH_INVENTORY"] = str(path)
    web.unit("new.service", pinned("m2"))
    commands = [["start", "new"], ["reconcile"], ["stop", "web"], ["list-units"], ["ssh", "m2", "true"]]
    for number, (text, says) in enumerate(INVENTORIES.items()):
        path.write_text(text)
        answer = refused(web, commands[number % len(commands)])
        assert f"{path}" in answer.err
        assert says in answer.err, answer.err
    for strange in ("/dev/null", str(web.folder), "/nowhere", "/dev/zero"):
        web.env["FLEETSSH_INVENTORY"] = strange
        assert strange in refused(web, ["start", "new"]).err
    web.env["FLEETSSH_INVENTORY"] = sound
    assert web.files() == wanted
    assert traces(web) == before


def test_machines_that_nobody_has_are_told_one_by_one(web: Fleet) -> None:
    """Names that are none, addresses that nobody answers at, ports where nobody listens."""
    before = traces(web)
    ways = {
        "nameless": {"ansible_host": "no-such-name.invalid"},
        "nobody": {"ansible_port": 9},
        "strange": {"ansible_host": "300.300.300.300"},
    }
    edit_inventory(web, lambda _, hosts: hosts.update({n: {**hosts["m2"], **way} for n, way in ways.items()}))
    answer = web.run("reconcile", code=4)
    for name in ways:
        (line,) = [line for line in answer.err.splitlines() if line.startswith(f"{name}: ")]
        kind = (
            "connection refused"
            if name == "nobody"
            else "cannot connect from here: its name cannot be looked up"
        )
        assert kind in line
    assert traces(web) == before
