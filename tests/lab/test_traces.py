"""`down` leaves nothing behind, whatever happened before; several labs leave each other alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fleetssh.core.errors import LabError
from fleetssh.lab import Lab
from fleetssh.lab.naming import derive_names
from tests.lab import host

pytestmark = pytest.mark.live

NewLab = Callable[[str], Lab]


def digest(lab: Lab) -> str:
    return derive_names(lab.name, lab.folder).digest


def assert_no_trace(lab: Lab, before: host.Host) -> None:
    assert host.look().beyond(before, digest(lab)) == {}
    # A launcher that was never told to go on ends by itself, a moment after the process that asked for it.
    assert host.eventually(lambda: not host.processes_of(digest(lab))), host.processes_of(digest(lab))
    assert not lab.folder.exists()
    assert lab.machines() == ()


def test_down_leaves_nothing(new_lab: NewLab) -> None:
    lab = new_lab("traces")
    before = host.look()
    lab.up(2)
    lab.freeze("m1")
    lab.cut("m2", one_way=True)
    grown = host.look().beyond(before, digest(lab))
    # Proof that the witness would see it: all that can be there is there.
    assert {"links", "routes", "groups"} <= grown.keys()
    assert "mounts" not in grown
    pids = [machine.pid for machine in lab.machines() if machine.pid]
    namespaces = host.network_namespaces(pids)
    assert len(pids) == len(namespaces) == 2
    assert namespaces <= host.all_network_namespaces()
    lab.down()
    assert_no_trace(lab, before)
    assert not namespaces & host.all_network_namespaces()
    lab.down()
    assert_no_trace(lab, before)


def test_two_labs_live_side_by_side(new_lab: NewLab) -> None:
    one, other = new_lab("one"), new_lab("other")
    before = host.look()
    one.up(1)
    other.up(2)
    assert not {machine.address for machine in one.machines()} & {
        machine.address for machine in other.machines()
    }
    ids = {machine.machine_id for lab in (one, other) for machine in lab.machines()}
    assert len(ids) == 3
    one.kill("m1")
    assert [host.greeting(machine.address) for machine in other.machines()] == ["greeted", "greeted"]
    one.down()
    assert [host.greeting(machine.address) for machine in other.machines()] == ["greeted", "greeted"]
    other.down()
    assert_no_trace(one, before)
    assert_no_trace(other, before)


def test_up_with_more_machines_adds_them(new_lab: NewLab) -> None:
    lab = new_lab("growing")
    lab.up(1)
    first = lab.machines()[0]
    lab.up(2)
    assert lab.machines()[0] == first
    assert [machine.state.value for machine in lab.machines()] == ["running", "running"]


CRASH_POINTS: dict[str, Callable[[Lab], bool]] = {
    "the ledger is begun": lambda lab: (lab.folder / "lab.json").exists(),
    "the bridge is there": lambda lab: Path("/sys/class/net", f"fl{digest(lab)}").exists(),
    "a disk is begun": lambda lab: any(lab.folder.glob("machines/*/disk.new")),
    "a launcher runs": lambda lab: bool(host.processes_of(digest(lab))),
    "a cable is laid": lambda lab: any(Path("/sys/class/net").glob(f"fl{digest(lab)}m*")),
    "a machine boots": lambda lab: any(machine.pid for machine in lab.machines()),
}


UP = """
import pathlib, sys
from fleetssh.lab import Lab
Lab.open(sys.argv[1], pathlib.Path(sys.argv[2])).up(3)
"""


def crash(lab: Lab, point: Callable[[Lab], bool]) -> None:
    """Start `lab up` in a process of its own and kill it at the given point."""
    child = subprocess.Popen([sys.executable, "-c", UP, lab.name, str(lab.folder)])
    try:
        while not point(lab):
            assert child.poll() is None, "the child ended before it could be killed"
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize("point", CRASH_POINTS)
def test_down_after_a_crash_leaves_nothing(new_lab: NewLab, point: str) -> None:
    lab = new_lab("crash")
    before = host.look()
    crash(lab, CRASH_POINTS[point])
    lab.down()
    assert_no_trace(lab, before)


@pytest.mark.parametrize("point", ["a disk is begun", "a cable is laid"])
def test_up_after_a_crash_finishes_the_work(new_lab: NewLab, point: str) -> None:
    lab = new_lab("crash")
    before = host.look()
    crash(lab, CRASH_POINTS[point])
    lab.up(3)
    assert [host.greeting(machine.address) for machine in lab.machines()] == ["greeted"] * 3
    lab.down()
    assert_no_trace(lab, before)


def test_down_needs_no_readable_ledger(new_lab: NewLab) -> None:
    lab = new_lab("damaged")
    before = host.look()
    lab.up(1)
    (lab.folder / "lab.json").write_text("{half")
    with pytest.raises(LabError, match="damaged"):
        lab.machines()
    lab.down()
    assert_no_trace(lab, before)


def test_down_after_a_leader_was_killed_leaves_nothing(new_lab: NewLab) -> None:
    lab = new_lab("headless")
    before = host.look()
    lab.up(1)
    for pid, command in host.processes_of(digest(lab)).items():
        if command.startswith("systemd-nspawn"):
            os.kill(pid, signal.SIGKILL)
    lab.down()
    assert_no_trace(lab, before)
