"""What testinfra sees of the machines, and the unit files and inventories that these tests share."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from testinfra.host import Host as Witness

from tests.live.conftest import Fleet

TRACES = r"""
journalctl --sync
find /run/fleet /run/systemd/system /etc/systemd/system -printf '%p %T@ %C@ %l\n' 2>/dev/null |
grep -v -e '^/run/fleet ' -e '^/run/fleet/holder' -e '^/run/fleet/look ' | sort
cat /proc/sys/kernel/random/boot_id
systemctl show -p UnitsLoadTimestampMonotonic
systemctl list-units --all --plain --no-legend --type=service,timer,socket | cut -d' ' -f1 |
grep -v -e ^systemd- -e ^user | xargs systemctl show -p Id -p MainPID -p InvocationID -p ActiveState \
-p StateChangeTimestampMonotonic --
"""
"""Whatever a visit could touch leaves a mark in one of these: a file's times, a daemon-reload, a job, a
process. What a login itself changes (sessions, scopes) is left out, and whose visits a machine obeys: every
pass may write that."""

STUBBORN = "/bin/sh -c 'trap : TERM; while :; do sleep 0.2; done'"
"""A program that does not end when it is asked to."""


def traces(fleet: Fleet, without: Collection[str] = ()) -> dict[str, list[str]]:
    """Machine -> every mark that touching it would change; all that are on but for ``without``."""
    machines = [machine.name for machine in fleet.lab.machines() if machine.pid is not None]
    return {name: marks(fleet.witness(name)) for name in machines if name not in without}


def marks(host: Witness) -> list[str]:
    """The marks of one machine."""
    found: str = host.run(TRACES).stdout
    assert "UnitsLoadTimestampMonotonic=" in found
    return found.splitlines()


@dataclass(frozen=True)
class Job:
    """A finished job of systemd; ``at`` is in microseconds of the clock that all lab machines share."""

    at: int
    unit: str
    kind: str


def jobs(fleet: Fleet, machine: str, *units: str) -> list[Job]:
    """What systemd did with units on a machine since this test began, oldest first."""
    host = fleet.witness(machine)
    host.run("journalctl --sync")
    matches = " ".join(f"UNIT={unit}" for unit in units)
    said = host.check_output(f"journalctl -b -q -o json _PID=1 {matches}")
    records = [r for r in map(json.loads, said.splitlines()) if "JOB_RESULT" in r]
    found = [Job(int(r["__MONOTONIC_TIMESTAMP"]), r["UNIT"], r["JOB_TYPE"]) for r in records]
    return [job for job in found if job.at >= fleet.began * 1e6]


def kinds(fleet: Fleet, machine: str, unit: str) -> list[str]:
    """What systemd did with a unit since this test began, such as ``["start", "stop"]``."""
    return [job.kind for job in jobs(fleet, machine, unit)]


def main_pid(host: Witness, unit: str) -> int:
    """The main process of a unit, 0 when it has none."""
    return int(host.check_output("systemctl show --value -p MainPID -- %s", unit))


def service(*lines: str, fleet: Iterable[str] = (), command: str = "/bin/sleep infinity") -> str:
    """A unit file that runs ``command``; ``lines`` go into [Service], ``fleet`` into [X-Fleet]."""
    text = ["[Service]", f"ExecStart={command}", *lines, "[X-Fleet]", *fleet]
    return "\n".join(text) + "\n"


def pinned(machine: str, *lines: str, command: str = "/bin/sleep infinity") -> str:
    """A unit file that only ``machine`` can take."""
    return service(*lines, fleet=[f"MachineMetadata=name={machine}"], command=command)


def configure_ssh(fleet: Fleet, config: str) -> Path:
    """Gives the user a home of his own with this ssh configuration, and says where its folder is."""
    folder = fleet.folder / "home" / ".ssh"
    folder.mkdir(parents=True, mode=0o700)
    (folder / "config").write_text(config)
    fleet.env["HOME"] = str(folder.parent)
    return folder


def edit_inventory(fleet: Fleet, edit: Callable[[dict[str, Any], dict[str, Any]], None]) -> None:
    """Gives the user an inventory of his own; ``edit`` is handed the variables of all and the hosts."""
    path = fleet.folder / "inventory.yml"
    tree = yaml.safe_load((path if path.exists() else fleet.lab.inventory_path).read_text())
    edit(tree["all"]["vars"], tree["all"]["hosts"])
    path.write_text(yaml.safe_dump(tree))
    fleet.env["FLEETSSH_INVENTORY"] = str(path)
