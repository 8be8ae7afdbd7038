"""Progress of work that takes longer than a second: who sees what, while a machine keeps us waiting."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from fleetssh.cli import progress as shown
from fleetssh.cli.progress import progress
from fleetssh.control.cluster import Cluster
from fleetssh.core.health import Patience
from fleetssh.core.sighting import Facts, Failure, Reached, Unreached
from fleetssh.inventory import load_inventory
from fleetssh.store.memory import MemoryStore
from tests.cli.terminal import terminal

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
ESCAPE = "\x1b"
COUNT = "visiting machines 1/2 ..."


@pytest.fixture
def environ(tmp_path) -> Iterator[dict[str, str]]:
    """Two machines: one refuses at once, one takes the connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        (tmp_path / "inventory.yml").write_text(
            "all:\n  vars: {ansible_host: 127.0.0.1}\n  hosts:\n"
            f"    m1: {{ansible_port: {closed.getsockname()[1]}}}\n"
            f"    m2: {{ansible_port: {silent.getsockname()[1]}}}\n"
        )
        yield {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "TERM": "xterm-256color",
            "LC_ALL": "C.UTF-8",
            "FLEETSSH_INVENTORY": str(tmp_path / "inventory.yml"),
            "FLEETSSH_STATE": str(tmp_path / "state.db"),
            "FLEETSSH_CONNECT_TIMEOUT": "1.5",
        }


def command(*argv: str) -> list[str]:
    return [sys.executable, "-m", "fleetssh", *argv]


def test_without_a_terminal_it_is_plain_lines_on_standard_error(environ):
    ran = subprocess.run(command("list-machines"), env=environ, capture_output=True, text=True, check=False)
    assert ran.returncode == 4
    first, *_, m1, m2 = ran.stderr.splitlines()
    assert first == COUNT
    assert (m1[:3], m2[:3]) == ("m1:", "m2:")
    assert "visiting" not in ran.stdout
    assert ESCAPE not in ran.stdout + ran.stderr


def test_reconcile_in_cron_says_nothing_about_it(environ):
    ran = subprocess.run(command("reconcile"), env=environ, capture_output=True, text=True, check=False)
    assert ran.returncode == 4
    assert "visiting" not in ran.stderr and "m2: connected, and nobody answers" in ran.stderr


@pytest.mark.parametrize("verb", ["list-machines", "reconcile"])
def test_on_a_terminal_it_is_one_line_that_goes_away(environ, verb):
    with terminal(command(verb), environ) as screen:
        seen = screen.finish()
    assert COUNT in seen
    assert COLOUR.search(seen)
    after = seen.rpartition(COUNT)[2]
    assert "\x1b[2K" in after, "the line was not erased"


def test_without_colour_there_is_still_a_line_that_is_redrawn(environ):
    with terminal(command("list-machines"), environ | {"NO_COLOR": "1"}) as screen:
        seen = screen.finish()
    assert COUNT in seen
    assert set(COLOUR.findall(seen)) <= {"\x1b[0m"}


def test_a_dumb_terminal_gets_plain_lines(environ):
    with terminal(command("list-machines"), environ | {"TERM": "dumb"}) as screen:
        seen = screen.finish()
    assert seen.splitlines()[0] == COUNT
    assert ESCAPE not in seen


def test_quick_work_shows_nothing_and_loads_nothing(environ, tmp_path):
    (tmp_path / "inventory.yml").write_text(
        "all: {hosts: {m1: {ansible_host: 127.0.0.1, ansible_port: 1}}}\n"
    )
    code = (
        "import sys; from fleetssh.cli.main import main; main(sys.argv[1:]);"
        "print('rich' in sys.modules, file=sys.stderr)"
    )
    with terminal([sys.executable, "-c", code, "list-machines"], environ) as screen:
        seen = screen.finish()
    assert "visiting" not in seen
    assert seen.splitlines()[-1] == "False"


# ---------------------------------------------------------------- what is counted


@pytest.fixture
def cluster(tmp_path) -> Cluster:
    path = tmp_path / "inventory.yml"
    path.write_text("all: {hosts: {m1: {}, m2: {}, m3: {}}}\n")
    return Cluster(load_inventory(path), MemoryStore(), None, "me", Patience())  # type: ignore[arg-type]


def test_every_machine_counts_once_and_later_visits_apart(cluster, monkeypatch, capsys):
    monkeypatch.setattr(shown, "QUIET_SECONDS", 0.0)
    with progress(cluster, "to start 2 units") as watched:
        shown_so_far = ""
        watched.watch(Reached("m1", "10.0.0.1", Facts("a", "b")))
        watched.watch(Unreached("m2", Failure.TIMEOUT))
        while "2/3" not in shown_so_far:
            shown_so_far += capsys.readouterr().err
        watched.watch(Reached("m1", "10.0.0.1", Facts("a", "b")))
        while "more" not in shown_so_far:
            shown_so_far += capsys.readouterr().err
    lines = set(shown_so_far.splitlines())
    assert "visiting machines 2/3 to start 2 units ..." in lines
    assert "visiting machines 2/3 and 1 more visit to start 2 units ..." in lines


def test_nobody_has_to_watch(cluster):
    assert list(cluster.watched([Unreached("m2", Failure.TIMEOUT)])) == [Unreached("m2", Failure.TIMEOUT)]
