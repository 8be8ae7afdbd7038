"""Units that do not come up: said with systemd's reason and the last log lines, and never called launched."""

from __future__ import annotations

from fleetssh import clock
from tests.live.conftest import Fleet
from tests.live.outside import kinds, main_pid, pinned, service

EXIT_3 = "/bin/sh -c 'echo the disk is upside down; exit 3'"

TROUBLES = {
    "absent": (["exit-code, status 203", "/usr/bin/nowhere"], "/usr/bin/nowhere", ()),
    "exits": (["exit-code, status 3", "upside down"], EXIT_3, ()),
    "job": (["exit-code, status 3", "upside down"], EXIT_3, ("Type=oneshot",)),
    "killed": (["signal, status 9", "code=killed"], "/bin/sh -c 'kill -9 $$$$'", ()),
    "misspelt": (["a bad unit file setting", "Neither a valid executable"], "a/path", ()),
    "silent": (["timeout", "timed out"], "/bin/sleep 60", ("Type=notify", "TimeoutStartSec=2")),
    "loop": (["status 3", "upside down"], EXIT_3, ("Restart=always", "RestartSec=5")),
}
"""What must be told, what is run, and how."""


def test_start_says_of_every_unit_why_it_does_not_run(fleet: Fleet) -> None:
    for name, (_, command, settings) in TROUBLES.items():
        fleet.unit(f"{name}.service", pinned("m2", *settings, command=command))
    fleet.unit("good.service", service())
    answer = fleet.run("start", *TROUBLES, "good", code=3)
    told = {words.split(".service")[0]: words for words in answer.err.split("Unit ")[1:]}
    for name, (reasons, _, _) in TROUBLES.items():
        assert f"Unit {name}.service failed on {fleet.legend('m2')}: " in answer.err
        for reason in reasons:
            assert reason in told[name]
    launched = [line for line in answer.out.splitlines() if "launched" in line]
    (home,) = fleet.running_on("good.service")
    assert launched == [f"Unit good.service launched on {fleet.legend(home)}"]


def test_start_says_what_a_unit_waits_for_in_vain(fleet: Fleet) -> None:
    fleet.unit("bad.service", "[Unit]\nRequires=nowhere.service\n" + pinned("m2"))
    answer = fleet.run("start", "bad", code=3)
    assert f"Unit bad.service failed on {fleet.legend('m2')}" in answer.err
    assert "Unit nowhere.service not found" in answer.err


def test_a_slow_job_is_waited_for(fleet: Fleet) -> None:
    fleet.unit("slow.service", pinned("m2", "Type=oneshot", command="/bin/sleep 2"))
    began = clock.monotonic()
    assert fleet.run("start", "slow").out.endswith(f"Unit slow.service launched on {fleet.legend('m2')}\n")
    assert clock.monotonic() - began > 2
    assert kinds(fleet, "m2", "slow.service") == ["start"]


def test_nobody_waits_who_does_not_want_to(fleet: Fleet) -> None:
    fleet.unit("slow.service", pinned("m2", "Type=oneshot", command="/bin/sleep 60"))
    began = clock.monotonic()
    assert "Triggered unit slow.service start" in fleet.run("start", "--no-block", "slow").out
    assert fleet.units()["slow.service"] == [(fleet.legend("m2"), "activating", "start")]
    assert clock.monotonic() - began < 15


def test_start_tries_a_failed_unit_again(fleet: Fleet) -> None:
    fleet.unit(
        "bad.service", pinned("m2", command="/bin/sh -c 'test -e /run/allowed && exec sleep infinity'")
    )
    fleet.run("start", "bad", code=3)
    assert "failed on" in fleet.run("start", "bad", code=3).err
    assert kinds(fleet, "m2", "bad.service") == ["start", "start"]
    fleet.witness("m2").check_output("touch /run/allowed")
    try:
        assert fleet.run("start", "bad").out == f"Unit bad.service launched on {fleet.legend('m2')}\n"
    finally:
        fleet.witness("m2").check_output("rm /run/allowed")
    assert fleet.running_on("bad.service") == ["m2"]


def test_restart_gives_new_processes_everywhere(fleet: Fleet) -> None:
    fleet.unit("web.service", service())
    fleet.unit("agent.service", service(fleet=["Global=true"]))
    fleet.run("start", "web", "agent")
    (home,) = fleet.running_on("web.service")
    hosts = fleet.witnesses()
    web = main_pid(hosts[home], "web.service")
    agents = {name: main_pid(host, "agent.service") for name, host in hosts.items()}
    assert "Successfully restarted units [web.service" in fleet.run("restart", "web", "agent").err
    assert main_pid(hosts[home], "web.service") not in (0, web)
    for name, host in hosts.items():
        assert main_pid(host, "agent.service") not in (0, agents[name])
    assert fleet.run("reconcile").out == ""


def test_restart_of_a_unit_that_then_fails_says_so(fleet: Fleet) -> None:
    fleet.unit(
        "web.service", pinned("m2", command="/bin/sh -c 'test ! -e /run/broken && exec sleep infinity'")
    )
    fleet.run("start", "web")
    fleet.witness("m2").check_output("touch /run/broken")
    try:
        answer = fleet.run("restart", "web", code=3)
        assert f"Unit web.service failed on {fleet.legend('m2')}: exit-code, status 1" in answer.err
        assert "Successfully" not in answer.err
    finally:
        fleet.witness("m2").check_output("rm /run/broken")


def test_a_failing_unit_may_be_tried_any_number_of_times(fleet: Fleet) -> None:
    """systemd refuses the sixth start within ten seconds; an operator who repairs things is no loop."""
    fleet.unit("bad.service", pinned("m2", command=EXIT_3))
    for _ in range(7):
        answer = fleet.run("start", "bad", code=3)
        assert "exit-code, status 3" in answer.err
        assert "repeated too quickly" not in answer.err
