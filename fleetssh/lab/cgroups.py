"""Control groups: a machine's own group in every hierarchy, to hold, freeze, count and end its processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fleetssh import clock
from fleetssh.core.errors import LabError
from fleetssh.lab import processes

SETTLE = 10.0
"""Seconds for the kernel to freeze, thaw, end or forget what a group held; it takes milliseconds."""

POLL = 0.01


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """One mounted hierarchy; ``is_unified`` tells cgroup v2 from v1."""

    root: Path
    is_unified: bool
    options: frozenset[str]


def hierarchies() -> tuple[Hierarchy, ...]:
    """All mounted hierarchies. Without a group of its own in each of them, two machines would share one,
    and stopping a unit on one machine would reach into the other."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    found = {
        mount[1]: Hierarchy(Path(mount[1]), mount[2] == "cgroup2", frozenset(mount[3].split(",")))
        for mount in mounts
        if mount[2] in ("cgroup", "cgroup2")
    }
    if not found:
        raise LabError("the lab needs control groups, and none are mounted on this computer")
    return tuple(found[root] for root in sorted(found))


def create(lab: str, machine: str) -> tuple[Path, ...]:
    """Make the groups of one machine below the groups of its lab and give their folders."""
    made = []
    for hierarchy in hierarchies():
        parent = hierarchy.root
        for part in (lab, machine):
            parent = _make(parent / part, hierarchy)
        made.append(parent)
    return tuple(made)


def _make(group: Path, hierarchy: Hierarchy) -> Path:
    try:
        group.mkdir(exist_ok=True)
    except OSError as error:
        raise LabError(f"the control group {group} could not be made: {error.strerror}") from error
    if "cpuset" in hierarchy.options:
        # cpuset (v1) takes no process in before it has been told its processors and memory.
        for setting in ("cpuset.cpus", "cpuset.mems"):
            if not (group / setting).read_text().strip():
                (group / setting).write_text((group.parent / setting).read_text())
    return group


def used_seconds(lab: str) -> float:
    """CPU seconds that all machines of a lab have used since it came up."""
    for hierarchy in hierarchies():
        group = hierarchy.root / lab
        if (group / "cpuacct.usage").exists():
            return int((group / "cpuacct.usage").read_text()) / 1e9
        if hierarchy.is_unified and (group / "cpu.stat").exists():
            fields = dict(line.split() for line in (group / "cpu.stat").read_text().splitlines())
            if "usage_usec" in fields:
                return int(fields["usage_usec"]) / 1e6
    raise LabError("this computer does not count the CPU time of control groups")


def services_folder(lab: str, machine: str) -> Path:
    """The folder in which a running machine's systemd keeps a group for each of its services."""
    for hierarchy in hierarchies():
        # Where both are mounted, the named one is what systemd finds its processes by.
        if hierarchy.is_unified or "name=systemd" in hierarchy.options:
            found = sorted((hierarchy.root / lab / machine).glob("**/system.slice"))
            if found:
                return found[0]
    raise LabError(f"{machine} has no services: it is off, or has not booted")


def freeze(lab: str, machine: str) -> None:
    """Stop all processes of a machine in their tracks; its kernel side still answers ARP and TCP."""
    _set_frozen(lab, machine, True)


def thaw(lab: str, machine: str) -> None:
    """Let a frozen machine go on."""
    _set_frozen(lab, machine, False)


def is_frozen(lab: str, machine: str) -> bool:
    """True when the machine was told to freeze."""
    hierarchy = _freezing_hierarchy()
    group = hierarchy.root / lab / machine
    try:
        if hierarchy.is_unified:
            return (group / "cgroup.freeze").read_text().strip() == "1"
        return (group / "freezer.state").read_text().strip() != "THAWED"
    except OSError:
        return False


def end_all(lab: str, machine: str = "") -> None:
    """Kill whatever is still in the groups of one machine, or of the whole lab, and remove the groups.

    Being in our group is proof enough that a process is ours, also when it is in no ledger.
    """
    groups = [hierarchy.root / lab / machine for hierarchy in hierarchies()]
    _await(lambda: not _kill_members(groups), f"the processes in {lab}/{machine} did not end")
    _await(lambda: all(map(_remove, groups)), f"the control groups of {lab}/{machine} could not be removed")


def members(lab: str, machine: str = "") -> frozenset[int]:
    """The pids in the groups of one machine, or of the whole lab."""
    return frozenset(pid for hierarchy in hierarchies() for pid in _pids(hierarchy.root / lab / machine))


def _kill_members(groups: list[Path]) -> bool:
    found = False
    for group in groups:
        for pid in _pids(group):
            # First who it is, then whether it is in the group: so it is this very one that we kill.
            process = processes.identify(pid)
            if process is not None and pid in _pids(group):
                found = True
                processes.send(process, signal.SIGKILL)
        _thaw_v1(group)
    return found


def _thaw_v1(group: Path) -> None:
    # A process frozen by cgroup v1 does not even die before it is thawed.
    for state in group.rglob("freezer.state"):
        if state.read_text().strip() != "THAWED":
            state.write_text("THAWED")


def _pids(group: Path) -> Iterator[int]:
    for folder, _, _ in os.walk(group):
        try:
            text = Path(folder, "cgroup.procs").read_text()
        except OSError:
            continue
        yield from map(int, text.split())


def _remove(group: Path) -> bool:
    for folder, _, _ in os.walk(group, topdown=False):
        try:
            Path(folder).rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return True


def _set_frozen(lab: str, machine: str, frozen: bool) -> None:
    hierarchy = _freezing_hierarchy()
    group = hierarchy.root / lab / machine
    if hierarchy.is_unified:
        (group / "cgroup.freeze").write_text("1" if frozen else "0")
        done = f"frozen {int(frozen)}"
        _await(lambda: done in (group / "cgroup.events").read_text(), f"{machine} did not freeze or thaw")
    else:
        state = "FROZEN" if frozen else "THAWED"
        _await(lambda: _wrote_state(group / "freezer.state", state), f"{machine} did not freeze or thaw")


def _wrote_state(file: Path, state: str) -> bool:
    # Processes born meanwhile leave the group at FREEZING: writing again gathers them in.
    file.write_text(state)
    return file.read_text().strip() == state


def _freezing_hierarchy() -> Hierarchy:
    found = hierarchies()
    for hierarchy in found:
        if hierarchy.is_unified:
            return hierarchy
    for hierarchy in found:
        if "freezer" in hierarchy.options:
            return hierarchy
    raise LabError("this computer has no freezer among its control groups: machines cannot be frozen")


def _await(condition: Callable[[], bool], failure: str) -> None:
    deadline = clock.monotonic() + SETTLE
    while not condition():
        if clock.monotonic() > deadline:
            raise LabError(f"{failure} in {SETTLE:.0f} s")
        clock.sleep(POLL)
