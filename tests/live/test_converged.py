"""A cluster that is as it should be is looked at and not touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleetssh.lab.cluster import Lab
from tests.live.conftest import Fleet, reset
from tests.live.outside import edit_inventory, kinds, main_pid, pinned, service, traces

JOB = "[Service]\nType=oneshot\nExecStart=/bin/echo done\n"
ARMED = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"


@pytest.fixture(scope="module")
def converged(lab: Lab, sockets: Path, tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """One unit of every kind, all as they should be; what follows touches nothing, so one is enough."""
    reset(lab)
    fleet = Fleet(lab, tmp_path_factory.mktemp("converged"), sockets)
    fleet.unit("web.service", service())
    fleet.unit("app@.service", service())
    fleet.unit("agent.service", service(fleet=["Global=true"]))
    fleet.unit("job.service", JOB)
    fleet.unit("armed.service", ARMED)
    fleet.unit("idle.service", service())
    fleet.unit("port.socket", "[Socket]\nListenStream=/run/port.sock\n[X-Fleet]\nMachineOf=port.service\n")
    fleet.unit("port.service", service())
    fleet.run("load", "idle", "port.service")
    fleet.run("start", "web", "app@1", "app@2", "agent", "job", "armed", "port.socket")
    return fleet


def test_a_second_pass_says_nothing_and_touches_nothing(converged: Fleet) -> None:
    before = traces(converged)
    answer = converged.run("reconcile")
    assert (answer.out, answer.err) == ("", "")
    assert traces(converged) == before


def test_questions_touch_nothing(converged: Fleet) -> None:
    before, files = traces(converged), converged.files()
    for question in (
        ["plan", "--exit-code"],
        ["list-units"],
        ["list-machines"],
        ["why", "web"],
        ["status", "web"],
        ["journal", "web"],
        ["cat", "web"],
    ):
        converged.run(*question)
    assert traces(converged) == before
    assert converged.files() == files


def test_starting_what_runs_touches_nothing(converged: Fleet) -> None:
    before = traces(converged)
    for words in (["start", "web", "app@1", "agent", "armed"], ["load", "idle"], ["submit", "web"]):
        answer = converged.run(*words)
        assert (answer.out, answer.err) == ("", "")
    assert traces(converged) == before


def test_an_inventory_said_in_other_words_touches_nothing(converged: Fleet) -> None:
    before = traces(converged)
    edit_inventory(converged, lambda everyone, hosts: hosts["m2"].update(ansible_port=22))
    assert converged.run("reconcile").out == ""
    assert traces(converged) == before


def test_a_unit_that_comes_touches_no_other(converged: Fleet) -> None:
    hosts = converged.witnesses()
    processes = {name: main_pid(host, "agent.service") for name, host in hosts.items()}
    converged.unit("new.service", pinned("m2"))
    untouched = traces(converged, without={"m2"})
    converged.run("start", "new")
    assert traces(converged, without={"m2"}) == untouched
    assert {name: main_pid(host, "agent.service") for name, host in hosts.items()} == processes
    assert kinds(converged, "m2", "agent.service") == ["start"]
