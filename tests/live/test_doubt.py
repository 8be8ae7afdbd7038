"""Machines that do not answer: who may be given up, who never is, and what is said of their units."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.live.conftest import Fleet
from tests.live.outside import edit_inventory, kinds, main_pid, service, traces

Fault = Callable[[Fleet, str], None]


def sshd_stopped(fleet: Fleet, machine: str) -> None:
    fleet.lab.run_inside(machine, ["systemctl", "stop", "ssh"])


def frozen(fleet: Fleet, machine: str) -> None:
    fleet.lab.freeze(machine)


def cut_off(fleet: Fleet, machine: str) -> None:
    fleet.lab.cut(machine)


def wrong_user(fleet: Fleet, machine: str) -> None:
    edit_inventory(fleet, lambda _, hosts: hosts[machine].update(ansible_user="nobody"))


def sudo_refused(fleet: Fleet, machine: str) -> None:
    edit_inventory(fleet, lambda _, hosts: hosts[machine].update(ansible_user="nosudo", ansible_become=True))


def other_host_key(fleet: Fleet, machine: str) -> None:
    """The key of a fellow machine stands in known_hosts for this one."""
    keys = fleet.lab.known_hosts_path.read_text().splitlines()
    names = {m.address: m.name for m in fleet.lab.machines()}
    by_name = {names[line.split(",")[0]]: line.split(" ", 1) for line in keys}
    other = next(name for name in by_name if name != machine)
    by_name[machine][1] = by_name[other][1]
    path = fleet.folder / "known_hosts"
    path.write_text("".join(f"{' '.join(words)}\n" for words in by_name.values()))
    edit_inventory(fleet, lambda everyone, _: everyone.update(fleet_known_hosts=str(path)))


def of_another_cluster(fleet: Fleet, machine: str) -> None:
    manifest = f"fleetssh 1 {'0' * 32} 0\\nlaunched 0 {'0' * 40} their.service\\n"
    fleet.lab.run_inside(machine, ["/bin/sh", "-c", f"printf '{manifest}' >/run/fleet/manifest"])


SILENT: dict[Fault, str] = {
    sshd_stopped: "connection refused: nothing listens on its SSH port",
    frozen: "connected, and nobody answers: sshd .*",
    cut_off: "timed out|no route",
}
UNWILLING: dict[Fault, str] = {
    wrong_user: "login refused",
    sudo_refused: "sudo refused",
    other_host_key: "host key not trusted: its host key has changed",
    of_another_cluster: "belongs to another cluster",
}


@pytest.fixture
def web(fleet: Fleet) -> Fleet:
    """web.service somewhere; looks alone decide, so that no test has to wait."""
    fleet.env |= {"FLEETSSH_LOST_AFTER_SECONDS": "0", "FLEETSSH_CONNECT_TIMEOUT": "1"}
    fleet.unit("web.service", service())
    fleet.run("start", "web")
    return fleet


def home_of(fleet: Fleet) -> str:
    (home,) = fleet.running_on("web.service")
    return home


@pytest.mark.parametrize("fault", SILENT, ids=lambda fault: fault.__name__)
def test_a_silent_machine_is_doubtful_then_lost_and_welcome_back(web: Fleet, fault: Fault) -> None:
    home = home_of(web)
    fault(web, home)
    doubted = web.run("reconcile", code=4)
    assert doubted.out == ""
    said = rf"^{home} \(\w+\.\.\.\): ({SILENT[fault]}); doubtful, it keeps its units; last answered \w+ ago$"
    assert re.search(said, doubted.err, re.MULTILINE)
    assert web.files()["web.service"][-1] == web.legend(home)

    shown = web.run("list-units", "--no-legend")
    assert shown.rows == [["web.service", web.legend(home), "unknown", "unknown"]]
    assert f"{home} (" in shown.err and "it keeps its units" in shown.err

    lost = web.run("reconcile", code=4)
    assert f"machine {home} (" in lost.out and "was lost" in lost.out
    ((_, new_home, active, _),) = web.run("list-units", "--no-legend").rows
    assert (new_home != web.legend(home), active) == (True, "active")

    recover(web, home)
    back = web.run("reconcile")
    assert f"{home}: stop web.service" in back.out
    (only,) = web.running_on("web.service")
    assert web.legend(only) == new_home


def recover(fleet: Fleet, machine: str) -> None:
    state = next(m.state for m in fleet.lab.machines() if m.name == machine)
    match state:
        case "frozen":
            fleet.lab.thaw(machine)
        case "cut":
            fleet.lab.heal(machine)
        case _:
            fleet.lab.run_inside(machine, ["systemctl", "start", "ssh"])


@pytest.mark.parametrize("fault", UNWILLING, ids=lambda fault: fault.__name__)
def test_a_machine_that_lives_but_refuses_is_never_lost(web: Fleet, fault: Fault) -> None:
    web.env["FLEETSSH_LOST_AFTER_LOOKS"] = "1"
    home = home_of(web)
    fault(web, home)
    before = traces(web)
    for _ in range(2):
        answer = web.run("reconcile", code=4)
        assert answer.out == ""
        assert f"{home} ({web.legend(home)[:8]}...): {UNWILLING[fault]}" in answer.err
    assert traces(web) == before
    assert web.units()["web.service"] == [(web.legend(home), "unknown", "unknown")]


def test_a_doubtful_machine_that_answers_again_is_as_it_was(web: Fleet) -> None:
    home = home_of(web)
    before = traces(web)
    web.lab.freeze(home)
    web.run("reconcile", code=4)
    web.lab.thaw(home)
    assert web.run("reconcile").out == ""
    assert traces(web) == before


def test_questions_give_nobody_up(web: Fleet) -> None:
    home = home_of(web)
    sshd_stopped(web, home)
    web.run("reconcile", code=4)
    for question in ("list-machines", "why web", "plan", "list-units"):
        web.run(*question.split(), code=None)
    assert web.run("list-units", "--no-legend").rows == [
        ["web.service", web.legend(home), "unknown", "unknown"]
    ]


def test_many_looks_in_a_short_time_lose_nobody(web: Fleet) -> None:
    web.env["FLEETSSH_LOST_AFTER_SECONDS"] = "3600"
    home = home_of(web)
    sshd_stopped(web, home)
    for _ in range(3):
        assert web.run("reconcile", code=4).out == ""


def test_machines_that_fall_silent_together_lose_nothing(web: Fleet) -> None:
    home = home_of(web)
    other = next(name for name in web.machine_ids() if name != home)
    pid = main_pid(web.witness(home), "web.service")
    for machine in (home, other):
        sshd_stopped(web, machine)
    for _ in range(3):
        answer = web.run("reconcile", code=4)
        assert answer.out == ""
    assert "ALARM: 2 of 3 machines went silent together" in answer.err
    assert "nothing moves" in answer.err
    for machine in (home, other):
        recover(web, machine)
    assert web.run("reconcile").out == ""
    assert main_pid(web.witness(home), "web.service") == pid


def test_work_goes_on_around_a_machine_in_doubt(web: Fleet) -> None:
    home = home_of(web)
    sshd_stopped(web, home)
    answer = web.run("destroy", "web", code=4)
    assert f"Unit web.service may still run on {web.legend(home)}" in answer.err
    web.unit("new.service", service())
    web.run("start", "new")
    assert web.legend(home) not in {machine for machine, _, _ in web.units()["new.service"]}
    recover(web, home)
    web.run("reconcile")
    assert web.running_on("web.service") == []
    assert kinds(web, home, "web.service") == ["start", "stop"]


def test_a_start_while_no_machine_answers_is_the_machines_fault_and_is_made_good_later(fleet: Fleet) -> None:
    fleet.run("reconcile")
    for machine in fleet.lab.machines():
        fleet.lab.cut(machine.name)
    fleet.unit("late.service", service())
    answer = fleet.run("start", "late", code=4)
    assert "Unit late.service is not placed: no machine can take it" in answer.err
    assert fleet.run("plan", code=4).out == ""
    for machine in fleet.lab.machines():
        fleet.lab.heal(machine.name)
    assert "start late.service" in fleet.run("reconcile").out
    assert len(fleet.running_on("late.service")) == 1
