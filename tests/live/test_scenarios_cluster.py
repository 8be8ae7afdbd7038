"""fleet's whole-system tests of a cluster whose machines come, go, lose contact or have the same id."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetssh.lab.cluster import Lab
from tests.live.conftest import Fleet, reset, wait_for
from tests.live.outside import edit_inventory, jobs, kinds, pinned, service, traces
from tests.live.walking import lose, running

CONFLICTING = service(fleet=["Conflicts=conflict.*.service"])
GIVE_UP = ["--lost-after-looks=1", "--lost-after-seconds=0"]
LIST_UNITS = ["list-units", "--no-legend", "--full", "--fields", "unit,active,machine"]


@pytest.fixture(scope="module")
def four_machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab of its own with a machine to spare."""
    lab = Lab.open(f"{os.environ.get('FLEETSSH_TEST_LAB', 'live')}four", tmp_path_factory.mktemp("four"))
    try:
        lab.up(4)
        yield lab
    finally:
        lab.down()


@pytest.fixture
def four(four_machines: Lab, tmp_path: Path, sockets: Path) -> Fleet:
    """A user on the four machines."""
    reset(four_machines)
    fleet = Fleet(four_machines, tmp_path, sockets)
    fleet.env["FLEETSSH_CONNECT_TIMEOUT"] = "1"
    return fleet


def start_conflicting(fleet: Fleet) -> dict[str, str]:
    """Three units, each on a machine of its own: unit -> machine."""
    for number in range(3):
        fleet.unit(f"conflict.{number}.service", CONFLICTING)
    fleet.run("start", *(f"conflict.{number}" for number in range(3)))
    assert len(fleet.run(*LIST_UNITS).rows) == 3
    homes = {unit: machine for unit, (machine,) in running(fleet).items()}
    assert len(set(homes.values())) == 3
    return homes


def test_only_the_units_of_a_lost_machine_move(four: Fleet) -> None:
    """F-003."""
    homes = start_conflicting(four)
    (free,) = four.machine_ids().keys() - set(homes.values())
    four.lab.kill(homes["conflict.1.service"])
    lose(four, homes["conflict.1.service"])
    assert len(four.run("list-machines", "--no-legend").rows) == 3
    assert running(four) == {
        unit: [machine] for unit, machine in (homes | {"conflict.1.service": free}).items()
    }


def test_a_machine_that_is_replaced_by_another_one(four: Fleet) -> None:
    """F-004: the new one has the name of the old one, another id and another address."""
    at = {machine.name: machine.address for machine in four.lab.machines()}
    edit_inventory(four, lambda _, hosts: hosts.pop("m4"))
    homes = start_conflicting(four)
    assert set(homes.values()) == {"m1", "m2", "m3"}
    four.lab.kill("m2")
    edit_inventory(four, lambda _, hosts: hosts["m2"].update(ansible_host=at["m4"]))
    four.run("reconcile")
    moved = {unit: ["m4" if machine == "m2" else machine] for unit, machine in homes.items()}
    assert running(four) == moved
    assert four.run("reconcile").out == ""


STAGES = {"submit": "submitted", "load": "loaded", "start": "launched"}


@pytest.fixture
def six(fleet: Fleet) -> Fleet:
    """One machine, and a plain and a global unit each that are only submitted, loaded and launched."""
    edit_inventory(fleet, lambda _, hosts: [hosts.pop(name) for name in ("m2", "m3")])
    for verb, stage in STAGES.items():
        fleet.unit(f"plain-{stage}.service", service())
        fleet.unit(f"global-{stage}.service", service(fleet=["Global=true"]))
        fleet.run(verb, f"plain-{stage}", f"global-{stage}")
    return fleet


def linked(fleet: Fleet) -> dict[str, list[str]]:
    """Unit -> whether systemd has it and runs it, asked past the network."""
    names = [f"{kind}-{stage}.service" for stage in ("loaded", "launched") for kind in ("plain", "global")]
    said = {
        question: fleet.lab.run_inside("m1", ["systemctl", question, *names]).stdout.splitlines()
        for question in ("is-enabled", "is-active")
    }
    return {name: [lines[at] for lines in said.values()] for at, name in enumerate(names)}


def test_a_machine_that_is_out_of_contact_for_a_while_goes_on(six: Fleet) -> None:
    """F-005, as far as it goes without a daemon: nothing on the machine depends on being reached."""
    files, units = six.files(), six.units()
    expected = linked(six)
    for kind in ("plain", "global"):
        assert expected[f"{kind}-loaded.service"] == ["linked-runtime", "inactive"]
        assert expected[f"{kind}-launched.service"] == ["linked-runtime", "active"]
    six.lab.cut("m1")
    assert "doubtful" in six.run("reconcile", code=4).err
    assert {row[2] for row in six.run("list-units", "--no-legend", code=4).rows} == {"unknown"}
    assert linked(six) == expected
    six.lab.heal("m1")
    assert six.run("reconcile").out == ""
    assert (six.files(), six.units()) == (files, units)
    assert linked(six) == expected
    assert [job.kind for job in jobs(six, "m1", *expected)] == ["start", "start"]


def test_a_controller_without_its_state_stops_nothing(six: Fleet) -> None:
    """F-005 the other way round: it is the state that is out of reach."""
    before, state = traces(six), six.env["FLEETSSH_STATE"]
    for elsewhere, code in (("other.db", 4), (".", 1)):
        six.env["FLEETSSH_STATE"] = str(six.folder / elsewhere)
        six.run("reconcile", code=code)
    assert traces(six) == before
    six.env["FLEETSSH_STATE"] = state
    assert six.run("reconcile").out == ""
    assert traces(six) == before


def test_a_machine_that_shuts_down_stops_what_only_it_can_run(fleet: Fleet) -> None:
    """F-016. Shutting it down is the graceful way to leave: systemd stops its units."""
    edit_inventory(fleet, lambda _, hosts: hosts.pop("m3"))
    fleet.env["FLEETSSH_CONNECT_TIMEOUT"] = "1"
    fleet.unit("pinned.service", service(fleet=[f"MachineID={fleet.machine_ids()['m1']}"]))
    fleet.run("start", "pinned")
    assert running(fleet) == {"pinned.service": ["m1"]}
    fleet.lab.run_inside("m1", ["systemctl", "poweroff"])
    wait_for(lambda: next(iter(fleet.lab.machines())).state == "off", what="the shutdown")
    fleet.run("reconcile", *GIVE_UP, code=4)  # the next pass has another machine try it, too
    assert "pinned.service is not placed" in fleet.run("reconcile", *GIVE_UP, code=3).err
    (row,) = fleet.run("list-machines", "--no-legend", "--full").rows
    assert row[0] == fleet.machine_ids()["m2"]
    assert fleet.run(*LIST_UNITS).rows == []

    fleet.lab.boot("m1")
    before = fleet.witness("m1").check_output("journalctl --boot=-1 --quiet UNIT=pinned.service")
    assert "Stopped pinned.service" in before
    assert fleet.running_on("pinned.service") == []
    fleet.run("reconcile")
    assert running(fleet) == {"pinned.service": ["m1"]}


def give_id(fleet: Fleet, machine: str, machine_id: str) -> None:
    """The machine says that it is called so from now on."""
    done = fleet.lab.run_inside(machine, ["/bin/sh", "-c", f"echo {machine_id} >/etc/machine-id"])
    assert done.returncode == 0


def test_two_machines_with_the_same_id(fleet: Fleet) -> None:
    """F-017."""
    ids = fleet.machine_ids()
    fleet.unit("web.service", service())
    try:
        give_id(fleet, "m2", ids["m1"])
        for verb in (["list-machines"], ["reconcile"], ["start", "web"]):
            assert "m1 and m2 have the same machine id" in fleet.run(*verb, code=1).err
        assert fleet.running_on("web.service") == []
        give_id(fleet, "m1", "f" * 32)
        shown = fleet.run("list-machines", "--no-legend", "--full", "--fields", "machine").rows
        assert sorted(shown) == sorted([[ids["m1"]], [ids["m3"]], ["f" * 32]])
        fleet.run("reconcile")
        assert len(fleet.running_on("web.service")) == 1
        fleet.run("destroy", "web")
    finally:
        for name in ("m1", "m2"):
            give_id(fleet, name, ids[name])


def is_over_cleanly(process: subprocess.Popen[str]) -> bool:
    """Whether a command that is told to end does so at once and without a word about its insides."""
    process.terminate()
    _, complaints = process.communicate(timeout=10)
    return process.returncode == -signal.SIGTERM and "Traceback" not in complaints


def test_a_command_that_is_told_to_end_leaves_things_as_they_are(fleet: Fleet) -> None:
    """F-028 and F-029, for a controller that lives as long as its command: while it waits for a unit, and
    while it waits for its state."""
    slow = pinned("m1", "Type=oneshot", "RemainAfterExit=yes", command="/bin/sleep 2")
    fleet.unit("slow.service", slow)

    def says(state: str) -> bool:
        return fleet.lab.run_inside("m1", ["systemctl", "is-active", "slow"]).stdout == f"{state}\n"

    waiting = fleet.popen("start", "slow")
    wait_for(lambda: says("activating"), what="its start")
    assert is_over_cleanly(waiting)
    wait_for(lambda: says("active"), what="its end")
    assert fleet.files()["slow.service"][1] == "launched"

    path = fleet.folder / "state.db.lock"
    with path.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        outside = fleet.popen("reconcile")
        opened = Path("/proc", str(outside.pid), "fd")
        wait_for(lambda: path.resolve() in {link.resolve() for link in opened.iterdir()}, what="it to wait")
        assert is_over_cleanly(outside)
    fleet.run("reconcile")
    assert fleet.run("reconcile").out == ""
    assert kinds(fleet, "m1", "slow.service") == ["start"]
