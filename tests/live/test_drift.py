"""What was changed behind our back: a pass says what it found, mends just that, and leaves the rest alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.live.conftest import Fleet, wait_for
from tests.live.outside import kinds, main_pid, marks, pinned, service, traces

FILE = "/run/fleet/units/web.service"
LINK = "/run/systemd/system/web.service"
BY_HAND = "its file was changed by hand"


@pytest.fixture
def web(fleet: Fleet) -> Iterator[Fleet]:
    """web.service on m2, and a neighbour there that nothing may happen to, nor to any other machine."""
    fleet.unit("web.service", pinned("m2"))
    fleet.unit("neighbour.service", pinned("m2"))
    fleet.unit("far.service", pinned("m1"))
    fleet.run("start", "web", "neighbour", "far")
    pid = main_pid(fleet.witness("m2"), "neighbour.service")
    elsewhere = traces(fleet, without={"m2"})
    yield fleet
    assert main_pid(fleet.witness("m2"), "neighbour.service") == pid
    assert traces(fleet, without={"m2"}) == elsewhere


def mended(fleet: Fleet) -> list[str]:
    """What a pass says to have mended; the next one has nothing to say."""
    lines = fleet.run("reconcile").out.splitlines()
    assert fleet.run("reconcile").out == ""
    return lines


def test_a_file_changed_by_hand_is_written_again(web: Fleet) -> None:
    host = web.witness("m2")
    host.check_output(f"sed -i s/infinity/99/ {FILE} && systemctl daemon-reload && systemctl restart web")
    assert mended(web) == [
        f"m2: stop web.service ({BY_HAND})",
        f"m2: write web.service ({BY_HAND})",
        "m2: reload (unit files change)",
        f"m2: start web.service ({BY_HAND})",
    ]
    assert host.file(FILE).content_string == (web.folder / "web.service").read_text()
    assert host.process.get(pid=main_pid(host, "web.service")).args == "/bin/sleep infinity"


def test_a_unit_stopped_by_hand_is_started_again(web: Fleet) -> None:
    host = web.witness("m2")
    before = host.check_output("find /run/fleet/units /run/systemd/system -printf '%%p %%T@ %%C@\\n'")
    host.check_output("systemctl stop web")
    assert mended(web) == ["m2: start web.service (it was stopped by hand)"]
    assert host.service("web").is_running
    assert host.check_output("find /run/fleet/units /run/systemd/system -printf '%%p %%T@ %%C@\\n'") == before


def test_a_deleted_file_is_written_again_under_the_running_unit(web: Fleet) -> None:
    host = web.witness("m2")
    pid = main_pid(host, "web.service")
    host.check_output(f"rm {FILE}")
    assert mended(web) == [
        "m2: write web.service (its file was deleted by hand)",
        "m2: reload (unit files change)",
    ]
    assert host.file(FILE).content_string == (web.folder / "web.service").read_text()
    assert main_pid(host, "web.service") == pid


def test_a_removed_link_is_made_again_under_the_running_unit(web: Fleet) -> None:
    host = web.witness("m2")
    pid = main_pid(host, "web.service")
    host.check_output(f"rm {LINK} && systemctl daemon-reload")
    reason = "systemd's link to its file was removed by hand"
    assert mended(web) == [f"m2: link web.service ({reason})", "m2: reload (unit files change)"]
    assert host.file(LINK).linked_to == FILE
    assert main_pid(host, "web.service") == pid
    assert host.check_output("systemctl show --value -p LoadState web") == "loaded"


def test_a_rebooted_machine_gets_its_own_units_back(fleet: Fleet) -> None:
    fleet.unit("web.service", service())
    fleet.unit("agent.service", service(fleet=["Global=true"]))
    fleet.run("start", "web", "agent")
    (home,) = fleet.running_on("web.service")
    elsewhere = traces(fleet, without={home})
    fleet.lab.reboot(home)
    lines = mended(fleet)
    assert lines == [
        f"{home}: write agent.service (global unit)",
        f"{home}: write web.service (it belongs here and is missing)",
        f"{home}: reload (unit files change)",
        f"{home}: start agent.service (global unit)",
        f"{home}: start web.service (it belongs here and is missing)",
    ]
    assert fleet.running_on("web.service") == [home]
    assert fleet.running_on("agent.service") == ["m1", "m2", "m3"]
    assert traces(fleet, without={home}) == elsewhere


# ---------------------------------------------------------------- what is not drift


def test_a_unit_that_systemd_restarts_is_left_to_it(fleet: Fleet) -> None:
    fleet.unit("web.service", pinned("m2", "Restart=always", "RestartSec=100ms"))
    fleet.run("start", "web")
    host = fleet.witness("m2")
    pid = main_pid(host, "web.service")
    host.check_output(f"kill -9 {pid}")
    assert fleet.run("reconcile").out == ""
    wait_for(lambda: main_pid(host, "web.service") not in (0, pid), what="systemd's own restart")
    before = marks(host)
    assert fleet.run("reconcile").out == ""
    assert marks(host) == before


def test_a_job_that_ended_well_is_not_run_again(fleet: Fleet) -> None:
    fleet.unit("job.service", pinned("m2", "Type=oneshot", command="/bin/sh -c 'echo x >>/run/fleet-job'"))
    fleet.run("start", "job")
    before = traces(fleet)
    assert fleet.run("reconcile").out == ""
    assert traces(fleet) == before
    assert fleet.witness("m2").check_output("cat /run/fleet-job; rm /run/fleet-job") == "x"


def test_a_failed_unit_is_told_of_and_waits_for_start(fleet: Fleet) -> None:
    fleet.unit("web.service", pinned("m2", "Type=oneshot", command="/usr/bin/test -e /run/allowed"))
    assert "failed on" in fleet.run("start", "web", code=3).err
    before = traces(fleet)
    answer = fleet.run("reconcile", code=3)
    assert answer.out == ""
    assert "m2: web.service has failed (exit-code, status 1)" in answer.err
    assert traces(fleet) == before
    host = fleet.witness("m2")
    host.check_output("touch /run/allowed")
    assert fleet.run("reconcile", code=3).out == ""
    assert fleet.run("start", "web").out == f"Unit web.service launched on {fleet.legend('m2')}\n"
    assert kinds(fleet, "m2", "web.service") == ["start", "start"]
    host.check_output("rm /run/allowed")


def test_a_loaded_service_that_its_timer_started_runs_on(fleet: Fleet) -> None:
    fleet.unit("tick.service", service(fleet=["MachineOf=tick.timer"]))
    fleet.unit(
        "tick.timer", "[Timer]\nOnActiveSec=100ms\nAccuracySec=1ms\n[X-Fleet]\nMachineMetadata=name=m2\n"
    )
    fleet.run("load", "tick.timer", "tick.service")
    fleet.run("start", "tick.timer")
    host = fleet.witness("m2")
    wait_for(lambda: host.service("tick.service").is_running, what="the timer")
    before = traces(fleet)
    assert fleet.run("reconcile").out == ""
    assert traces(fleet) == before


# ---------------------------------------------------------------- what is not ours


def test_a_strangers_file_among_ours_stays_and_is_told_of(web: Fleet) -> None:
    host = web.witness("m2")
    host.check_output("echo '# mine' >/run/fleet/units/stranger.service")
    before = marks(host)
    answer = web.run("reconcile")
    assert answer.out == ""
    assert "m2: the file stranger.service in the units folder is not ours and stays as it is" in answer.err
    assert marks(host) == before
    web.run("destroy", "web")
    assert host.file("/run/fleet/units/stranger.service").content_string == "# mine\n"


@pytest.mark.parametrize("folder", ["/etc/systemd/system", "/run/systemd/system"])
def test_a_machines_own_unit_is_never_touched(fleet: Fleet, folder: str) -> None:
    fleet.unit("web.service", service())
    first = min(fleet.machine_ids().items(), key=lambda item: item[1])[0]
    host = fleet.witness(first)
    host.check_output(f"printf '[Service]\\nExecStart=/bin/sleep 77\\n' >{folder}/web.service")
    host.check_output("systemctl daemon-reload && systemctl start web")
    own = [main_pid(host, "web.service"), host.file(f"{folder}/web.service").mtime]
    try:
        answer = fleet.run("start", "web")
        refused = f"Unit web.service cannot go on {fleet.legend(first)}: it has a unit of its own, {folder}"
        assert refused in answer.err
        (other,) = [name for name in fleet.running_on("web.service") if name != first]
        assert fleet.units()["web.service"] == [(fleet.legend(other), "active", "running")]
        fleet.run("stop", "web")
        fleet.run("destroy", "web")
        assert [main_pid(host, "web.service"), host.file(f"{folder}/web.service").mtime] == own
        assert not host.file("/run/fleet/units/web.service").exists
    finally:
        host.check_output(f"systemctl stop web; rm -f {folder}/web.service; systemctl daemon-reload")


def test_a_unit_that_every_machine_has_for_itself_runs_nowhere(fleet: Fleet) -> None:
    before = {name: main_pid(host, "ssh.service") for name, host in fleet.witnesses().items()}
    fleet.unit("ssh.service", service())
    # Without waiting, one machine is tried a pass; whoever waits has all of them tried.
    assert "Triggered unit ssh.service start" in fleet.run("start", "--no-block", "ssh", code=None).out
    assert "has a unit of its own by that name" in fleet.run("reconcile", code=3).out
    fleet.run("start", "ssh", code=3)
    answer = fleet.run("reconcile", code=3)
    assert answer.out == ""
    assert "Unit ssh.service is not placed: no machine can take it" in answer.err
    assert answer.err.count("has a unit of its own by that name") == 3
    fleet.run("stop", "ssh")
    fleet.run("destroy", "ssh")
    assert {name: main_pid(host, "ssh.service") for name, host in fleet.witnesses().items()} == before


def test_a_global_unit_that_one_machine_has_for_itself_runs_on_the_others(fleet: Fleet) -> None:
    host = fleet.witness("m2")
    host.check_output("printf '[Service]\\nExecStart=/bin/sleep 77\\n' >/etc/systemd/system/agent.service")
    try:
        fleet.unit("agent.service", service(fleet=["Global=true"]))
        fleet.run("start", "agent", code=None)
        fleet.run("reconcile", code=None)
        assert fleet.running_on("agent.service") == ["m1", "m3"]
        fleet.run("destroy", "agent")
        assert host.file("/etc/systemd/system/agent.service").exists
    finally:
        host.check_output("rm -f /etc/systemd/system/agent.service; systemctl daemon-reload")
