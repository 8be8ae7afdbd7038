"""The verbs on real machines, as a fleet user's fingers know them: line by line, and where they wait."""

from __future__ import annotations

import signal
import subprocess

from tests.live.conftest import Fleet, wait_for
from tests.live.outside import edit_inventory, main_pid, pinned, service


def test_the_verbs_answer_as_fleet_did(fleet: Fleet) -> None:
    """What the real fleetctl printed for the same commands; only ``load`` and ``start`` of an own machine
    are pinned, so that the machine is known before."""
    fleet.unit("hello.service", pinned("m2"))
    on = f"on {fleet.legend('m2')}"
    steps = [
        ("submit hello.service", 0, "Unit hello.service inactive\n", ""),
        ("submit hello.service", 0, "", ""),
        ("load hello.service", 0, f"Unit hello.service loaded {on}\n", ""),
        ("load hello.service", 0, "", ""),
        ("start hello", 0, f"Unit hello.service launched {on}\n", ""),
        ("start hello", 0, "", ""),
        ("load hello", 0, f"Unit hello.service loaded {on}\n", ""),
        ("start hello", 0, f"Unit hello.service launched {on}\n", ""),
        (
            "stop hello",
            0,
            f"Unit hello.service loaded {on}\n",
            "Successfully stopped units [hello.service].\n",
        ),
        ("stop hello", 0, "", "Successfully stopped units [].\n"),
        (
            "unload hello",
            0,
            "Unit hello.service inactive\n",
            "Successfully unloaded units [hello.service].\n",
        ),
        ("unload hello", 0, "", "Successfully unloaded units [].\n"),
        ("stop hello", 1, "", "Unable to stop unit hello.service in state inactive\n"),
        ("start --no-block hello", 0, "Triggered unit hello.service start\n", ""),
        ("destroy hello", 0, "Destroyed hello.service\n", ""),
    ]
    for line, code, out, err in steps:
        answer = fleet.run(*line.split(), code=code)
        assert (answer.out, answer.err) == (out, err), line
    assert fleet.running_on("hello.service") == []


def waiting(fleet: Fleet, *args: str) -> subprocess.Popen[str]:
    """A command that has said what it waits for, and goes on."""
    process = fleet.popen(*args)
    assert process.stderr is not None
    assert "is not placed: no machine can take it" in process.stderr.readline()
    return process


def test_start_waits_until_a_machine_can_take_the_unit(fleet: Fleet) -> None:
    """fleet waited without a word; here that is asked for, and the reasons are told (1.8)."""
    edit_inventory(fleet, lambda _, hosts: hosts["m3"]["fleet_metadata"].update(role="back"))
    fleet.unit("web.service", service(fleet=["MachineMetadata=role=front"]))
    fleet.unit("other.service", service())
    process = waiting(fleet, "start", "--wait", "web")
    fleet.run("start", "other")  # nobody is kept out meanwhile
    edit_inventory(fleet, lambda _, hosts: hosts["m3"]["fleet_metadata"].update(role="front"))
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert out == f"Unit web.service inactive\nUnit web.service launched on {fleet.legend('m3')}\n"
    assert "no machine can take it" not in err
    assert fleet.running_on("web.service") == ["m3"]


def test_load_waits_until_another_unit_makes_room(fleet: Fleet) -> None:
    fleet.unit("old.service", pinned("m1", "ExecStop=/bin/sleep 1"))
    fleet.unit("new.service", service(fleet=["MachineMetadata=name=m1", "Conflicts=old.service"]))
    fleet.run("start", "old")
    process = waiting(fleet, "load", "--wait", "new")
    fleet.run("destroy", "old")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert out.splitlines()[-1] == f"Unit new.service loaded on {fleet.legend('m1')}"


def test_waiting_ends_with_ctrl_c_or_its_bound_and_the_unit_stays_wanted(fleet: Fleet) -> None:
    fleet.unit("web.service", pinned("nowhere"))
    process = waiting(fleet, "start", "--wait", "web")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "what was asked for stays wanted" in err
    assert fleet.files()["web.service"][1:] == ["launched", "inactive", "-"]
    answer = fleet.run("start", "--wait", "--block-attempts=1", "web", code=3)
    assert answer.err.count("no machine can take it") == 1
    assert "Unit web.service waits still, after " in answer.err


def test_a_name_that_a_machine_has_for_itself_is_left_to_another_machine(fleet: Fleet) -> None:
    path = "/etc/systemd/system/probe.service"
    for machine in ("m1", "m2"):
        fleet.lab.run_inside(machine, ["/bin/sh", "-c", f"printf '[Service]\nExecStart=/bin/true\n' >{path}"])
    try:
        fleet.unit("probe.service", service())
        answer = fleet.run("start", "probe")
        assert answer.out.splitlines()[-1] == f"Unit probe.service launched on {fleet.legend('m3')}"
        assert fleet.running_on("probe.service") == ["m3"]
        fleet.unit("probe.service", pinned("m1"))
        answer = fleet.run("start", "--replace", "probe", code=3)
        assert f"m1 ({fleet.legend('m1')[:8]}...): has a unit of its own by that name" in answer.err
    finally:
        for machine in ("m1", "m2"):
            fleet.lab.run_inside(machine, ["rm", path])


def test_a_machine_that_cannot_be_written_to_is_told_once_and_its_old_unit_goes_on(fleet: Fleet) -> None:
    fleet.unit("web.service", pinned("m2"))
    fleet.run("start", "web")
    pid = main_pid(fleet.witness("m2"), "web.service")
    bind = "mount --bind /run/fleet /run/fleet && mount -o remount,bind,ro /run/fleet"
    fleet.witness("m2").check_output(bind)
    fleet.unit("web.service", pinned("m2", command="/bin/sleep 1000"))
    for verb in (["start", "--replace", "web"], ["restart", "web"]):
        answer = fleet.run(*verb, code=3)
        assert "launched" not in answer.out
        assert "Successfully" not in answer.err
        assert answer.err.count("Read-only file system") == 1
        assert f"Unit web.service is not on {fleet.legend('m2')} as it should be: " in answer.err
    assert main_pid(fleet.witness("m2"), "web.service") == pid
    fleet.witness("m2").check_output("umount /run/fleet")
    assert "start web.service" in fleet.run("reconcile").out
    assert "sleep 1000" in fleet.witness("m2").check_output("systemctl show -p ExecStart web")


def test_start_says_how_old_its_knowledge_of_a_silent_machine_is(fleet: Fleet) -> None:
    fleet.env["FLEETSSH_LOST_AFTER_SECONDS"] = "3600"
    fleet.unit("web.service", pinned("m2"))
    fleet.run("start", "web")
    fleet.lab.run_inside("m2", ["systemctl", "stop", "ssh"])
    for verb in ("start", "restart"):
        answer = fleet.run(verb, "web", code=4)
        assert answer.out == ""
        assert f"Unit web.service belongs on {fleet.legend('m2')}, which does not answer" in answer.err
        assert "; last answered " in answer.err


def test_what_has_no_machine_can_be_stopped_and_unloaded(fleet: Fleet) -> None:
    fleet.unit("web.service", pinned("nowhere"))
    fleet.run("start", "web", code=3)
    stopped = fleet.run("stop", "web")
    assert "Unit web.service is on no machine" in stopped.err
    assert fleet.run("unload", "web").out == "Unit web.service inactive\n"
    assert fleet.files()["web.service"][1] == "inactive"


def test_units_of_a_list_with_one_bad_name_are_all_left_alone(fleet: Fleet) -> None:
    fleet.unit("a.service", service())
    fleet.unit("b.service", service())
    fleet.run("start", "a", "absent", "b", code=1)
    assert fleet.files() == {}
    fleet.run("start", "a", "b")
    for verb in ("stop", "unload", "destroy", "restart"):
        answer = fleet.run(verb, "a", "absent", "b", code=1)
        assert "Units not found in registry: absent.service; nothing was changed" in answer.err
    assert len(fleet.running_on("a.service")) == len(fleet.running_on("b.service")) == 1
    fleet.run("stop", "[ab]")
    wait_for(lambda: fleet.running_on("a.service") == [], what="its end")


def test_stop_stops_what_something_else_has_started(fleet: Fleet) -> None:
    fleet.unit("tick.timer", "[Timer]\nOnActiveSec=100ms\nAccuracySec=1ms\n")
    fleet.unit("tick.service", service(fleet=["MachineOf=tick.timer"]))
    fleet.run("load", "tick.timer", "tick.service")
    fleet.run("start", "tick.timer")
    wait_for(lambda: fleet.running_on("tick.service") != [], what="the timer")
    assert fleet.run("reconcile").out == ""
    assert fleet.run("stop", "tick").err == "Successfully stopped units [tick.service].\n"
    assert fleet.running_on("tick.service") == []
