"""What the replayed tutorials share: reading tables, and asking systemd itself whether they are true."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tests.live.conftest import Answer, Fleet, wait_for
from tests.live.outside import edit_inventory, pinned

UNITS = ["UNIT", "MACHINE", "ACTIVE", "SUB"]
UNIT_FILES = ["UNIT", "HASH", "DSTATE", "STATE", "TARGET"]
MACHINES = ["MACHINE", "IP", "METADATA"]

HELLO = '/bin/sh -c "while true; do echo Hello World; sleep 1; done"'
"""What the tutorials run inside of a busybox container."""


def table(answer: Answer, head: Sequence[str]) -> list[list[str]]:
    """The rows of a printed table, which has exactly this head."""
    first, *rows = answer.rows
    assert first == head
    return rows


def unit_files(fleet: Fleet) -> dict[str, list[str]]:
    """``list-unit-files``, head and all, as unit -> [DSTATE, STATE, TARGET]."""
    rows = table(fleet.run("list-unit-files"), UNIT_FILES)
    assert all(len(hash_) == 7 for _, hash_, *_ in rows)
    return {name: cells for name, _, *cells in rows}


def running(fleet: Fleet) -> dict[str, list[str]]:
    """``list-units`` as unit -> names of its machines, without ballast. All must be ``active running`` there,
    and systemd on every machine that can be asked must say the same."""
    rows = [row for row in table(fleet.run("list-units"), UNITS) if not row[0].startswith("ballast-")]
    assert all(cells[1:] == ["active", "running"] for _, *cells in rows), rows
    name_of = {fleet.legend(machine.name): machine.name for machine in fleet.lab.machines()}
    told: dict[str, list[str]] = {}
    for unit, legend, *_ in rows:
        told.setdefault(unit, []).append(name_of[legend])
    for unit, homes in told.items():
        assert running_on(fleet, unit) == sorted(homes), unit
    return {unit: sorted(homes) for unit, homes in told.items()}


def running_on(fleet: Fleet, unit: str) -> list[str]:
    """The machines on which a unit is active: of those that can be asked from outside."""
    up = [machine.name for machine in fleet.lab.machines() if machine.state == "running"]
    return [name for name in up if fleet.witness(name).service(unit).is_running]


def home_of(fleet: Fleet, unit: str) -> str:
    """The name of the one machine that a unit runs on, as systemd says."""
    (home,) = running_on(fleet, unit)
    return home


def burden(fleet: Fleet, *machines: str) -> None:
    """Gives machines two units each, so that only their requirements bring more units to them."""
    for machine in machines:
        fleet.unit(f"ballast-{machine}@.service", pinned(machine))
    fleet.run("load", *(f"ballast-{machine}@{number}" for machine in machines for number in (1, 2)))


def use_metadata(fleet: Fleet, metadata: Mapping[str, Mapping[str, str]]) -> None:
    """An inventory of the user's own: the lab's machines with this ``fleet_metadata`` and no other."""

    def edit(_: dict[str, Any], hosts: dict[str, Any]) -> None:
        for name, host in hosts.items():
            host["fleet_metadata"] = dict(metadata.get(name, {}))

    edit_inventory(fleet, edit)


def lose(fleet: Fleet, machine: str) -> None:
    """Passes until a machine that fell silent is lost. During the first it is in doubt, and nothing moves."""
    answer = fleet.run("reconcile", code=4)
    said = re.escape(f"{machine} ({fleet.machine_ids()[machine][:8]}...): timed out; ")
    assert answer.out == ""
    assert re.fullmatch(f"{said}doubtful, it keeps its units; last answered \\S+ ago\n", answer.err), answer
    wait_for(lambda: re.match(f"{said}lost,", fleet.run("reconcile", code=4).err), what="the loss to show")
