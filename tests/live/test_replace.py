"""Changed unit files: what restarts now and where, what moves and why, what is refused."""

from __future__ import annotations

from tests.live.conftest import Fleet, wait_for
from tests.live.outside import STUBBORN, kinds, main_pid, pinned, service, traces

TRACE = "/run/fleetssh-trace"


def versioned(number: int) -> str:
    """Writes down when it begins and when it is wholly over; its end takes a while."""
    return service(
        f"ExecStartPre=/bin/sh -c 'echo begins {number} >>{TRACE}'",
        f"ExecStopPost=/bin/sh -c 'sleep 1; echo over {number} >>{TRACE}'",
        fleet=["MachineMetadata=name=m1"],
    )


def test_the_new_version_begins_when_the_old_one_is_wholly_over(fleet: Fleet) -> None:
    """F-044."""
    fleet.witness("m1").check_output(f"rm -f {TRACE}")
    fleet.unit("web.service", versioned(1))
    fleet.run("start", "web")
    fleet.unit("web.service", versioned(2))
    fleet.run("start", "--replace", "web")
    assert fleet.witness("m1").file(TRACE).content_string.splitlines() == ["begins 1", "over 1", "begins 2"]
    assert kinds(fleet, "m1", "web.service") == ["start", "stop", "start"]


def test_a_changed_unit_stays_where_it_may_and_says_that_it_restarts(fleet: Fleet) -> None:
    fleet.unit("web.service", service())
    fleet.run("start", "web")
    (home,) = fleet.running_on("web.service")
    fleet.unit("other.service", pinned(home))
    fleet.run("start", "other")
    pids = {name: main_pid(fleet.witness(home), f"{name}.service") for name in ("web", "other")}
    fleet.unit("web.service", service(command="/bin/sleep 1000"))
    answer = fleet.run("start", "--replace", "web")
    # Its machine is the most loaded one now: a unit that was placed anew would leave it.
    assert answer.out == (
        f"Unit web.service changed: restarts now on {fleet.legend(home)}\n"
        f"Unit web.service launched on {fleet.legend(home)}\n"
    )
    assert fleet.running_on("web.service") == [home]
    assert main_pid(fleet.witness(home), "web.service") not in (0, pids["web"])
    assert main_pid(fleet.witness(home), "other.service") == pids["other"]
    assert "sleep 1000" in fleet.witness(home).check_output("systemctl show -p ExecStart web")
    same = fleet.run("start", "--replace", "web")
    assert same.out == "Found same Unit(web.service) in Registry, nothing to do\n"


def test_a_changed_unit_that_may_not_stay_moves_and_says_why(fleet: Fleet) -> None:
    fleet.unit("web.service", pinned("m1"))
    fleet.unit("near.service", pinned("m2"))
    fleet.run("start", "web", "near")
    fleet.unit("web.service", pinned("m2"))
    answer = fleet.run("start", "--replace", "web")
    changed, launched = answer.out.splitlines()
    assert changed.startswith(
        f"Unit web.service changed: moves from {fleet.legend('m1')} to {fleet.legend('m2')}: "
        "needs metadata name=m2, has name=m1"
    )
    assert launched == f"Unit web.service launched on {fleet.legend('m2')}"
    assert fleet.running_on("web.service") == ["m2"]

    fleet.unit("web.service", service(fleet=["Conflicts=near.service"]))
    answer = fleet.run("start", "--replace", "web")
    assert "it conflicts with near.service" in answer.out
    assert fleet.running_on("near.service") == ["m2"]
    assert kinds(fleet, "m2", "near.service") == ["start"]
    assert fleet.running_on("web.service") != ["m2"]

    fleet.unit("web.service", pinned("nowhere"))
    answer = fleet.run("start", "--replace", "web", code=3)
    assert "and no machine can take it" in answer.out
    assert "Unit web.service is not placed: no machine can take it" in answer.err
    assert fleet.running_on("web.service") == []


def test_what_a_destroyed_unit_conflicts_with_waits_until_it_has_stopped(fleet: Fleet) -> None:
    """Nobody but its machine knows the conflict any more."""
    conflict = ["Conflicts=near.service", "MachineMetadata=name=m1"]
    fleet.unit("web.service", service("TimeoutStopSec=infinity", fleet=conflict, command=STUBBORN))
    fleet.unit("near.service", pinned("m1"))
    fleet.run("start", "web")
    fleet.run("start", "near", code=3)
    # Both in one visit, which takes as long as it waits for a stop.
    answer = fleet.run("destroy", "--no-block", "web", code=None)
    assert "it conflicts with web.service, which has not stopped" in answer.err
    assert fleet.witness("m1").check_output("systemctl is-active web || :") == "deactivating"
    assert kinds(fleet, "m1", "near.service") == []
    fleet.witness("m1").check_output("systemctl kill -s KILL web")
    wait_for(lambda: not main_pid(fleet.witness("m1"), "web.service"), what="its end")
    fleet.run("reconcile")
    assert fleet.running_on("near.service") == ["m1"]
    assert fleet.running_on("web.service") == []


def test_a_refused_replacement_names_the_command_and_changes_nothing(fleet: Fleet) -> None:
    """fleet warned, went on with the rest and ended well (A8)."""
    fleet.unit("web.service", service())
    fleet.unit("idle.service", service())
    fleet.run("start", "web")
    fleet.run("load", "idle")
    (home,) = fleet.running_on("web.service")
    (legend,) = (row[1] for row in fleet.run("list-units", "--no-legend").rows if row[0] == "idle.service")
    for name in ("web", "idle", "new"):
        fleet.unit(f"{name}.service", service(command="/bin/sleep 1000"))
    before, files = traces(fleet), fleet.files()
    for verb in ("submit", "load"):
        answer = fleet.run(verb, "--replace", "new", "web", code=1)
        assert answer.out == ""
        assert (
            "can not replace Unit(web.service) in state 'launched', use the appropriate command" in answer.err
        )
        assert f"fleetssh start --replace web.service: it restarts now on {fleet.legend(home)}" in answer.err
    answer = fleet.run("submit", "--replace", "idle", code=1)
    assert f"fleetssh load --replace idle.service: its file is exchanged on {legend}" in answer.err
    assert traces(fleet) == before
    assert fleet.files() == files
    answer = fleet.run("load", "--replace", "idle")
    assert answer.out.startswith(f"Unit idle.service changed: loaded on {legend}, not started\n")


def test_instances_of_a_changed_template_change_when_they_are_told_to(fleet: Fleet) -> None:
    fleet.unit("web@.service", service())
    fleet.run("submit", "web@.service")
    fleet.run("start", "web@1", "web@2")
    fleet.unit("web@.service", service(command="/bin/sleep 1000"))
    refused = fleet.run("start", "--replace", "web@1", code=1)
    assert "fleetssh submit --replace web@.service first" in refused.err
    before = traces(fleet)
    answer = fleet.run("submit", "--replace", "web@.service")
    assert "2 instances have the old text until fleetssh start --replace 'web@*.service'" in answer.out
    assert traces(fleet) == before
    answer = fleet.run("start", "--replace", "web@*.service")
    for instance in ("1", "2"):
        (home,) = fleet.running_on(f"web@{instance}.service")
        assert f"Unit web@{instance}.service changed: restarts now on {fleet.legend(home)}\n" in answer.out
        command = fleet.witness(home).check_output(f"systemctl show -p ExecStart web@{instance}")
        assert "sleep 1000" in command
