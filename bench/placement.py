"""Print how many seconds placement takes for large clusters of different shapes."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence

from bench.table import Row, tell
from fleetssh.core.model import Health, Machine, Placement, Requirements, TargetState, Unit, Wanted
from fleetssh.core.placement import place

UNITS = 10_000
MACHINES = 1_000
GROUPS = 100
GLOBALS = 200
AIM = 1.0


def machine(number: int, count: int) -> Machine:
    half = "ssd" if number * 2 < count else "hdd"
    digest = hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()
    return Machine(digest, f"m{number}", metadata={"disk": half, "hostname": f"m{number}"})


def fleet(count: int) -> list[Machine]:
    return [machine(number, count) for number in range(count)]


def want(name: str, **requirements: object) -> Wanted:
    needs = Requirements(**requirements)  # type: ignore[arg-type]
    return Wanted(Unit(name, b"", "", "", requirements=needs), TargetState.LAUNCHED)


def wants(units: Sequence[Wanted]) -> dict[str, Wanted]:
    return {wanted.unit.name: wanted for wanted in units}


def plain() -> list[Wanted]:
    return [want(f"app-{number}.service") for number in range(UNITS)]


def grouped(groups: int, **more: object) -> list[Wanted]:
    return [
        want(f"web{group:03}@{number}.service", conflicts=(f"web{group:03}@*",), **more)
        for group in range(groups)
        for number in range(UNITS // groups)
    ]


def pairs() -> list[Wanted]:
    return [
        want(f"{side}-{number}.service", conflicts=(f"{other}-{number}.service",))
        for number in range(UNITS // 2)
        for side, other in (("left", "right"), ("right", "left"))
    ]


def global_units() -> list[Wanted]:
    return [
        want(
            f"node-{number}.service",
            is_global=True,
            metadata=(("disk", ("ssd",)),) if number % 4 == 1 else (),
            conflicts=(f"node-{number - 1}.*",) if number % 10 == 1 else (),
        )
        for number in range(GLOBALS)
    ]


def followers() -> list[Wanted]:
    leaders = plain()[: UNITS // 2]
    return leaders + [want(f"log-{n}.service", machine_of=(w.unit.name,)) for n, w in enumerate(leaders)]


def metadata_each() -> list[Wanted]:
    return [want(f"app-{n}.service", metadata=(("hostname", (f"m{n % MACHINES}",)),)) for n in range(UNITS)]


def replacing() -> list[Wanted]:
    old = [want(f"old@{number}.service") for number in range(GROUPS)]
    return plain() + old + [want(f"new@{n}.service", replaces=("old@*",)) for n in range(GROUPS)]


def replaced_everywhere() -> list[Wanted]:
    """A replacer on every machine: nothing can give way, which must not be found out slowly."""
    old = [want(f"old@{number}.service") for number in range(MACHINES)]
    return old + [
        want(f"new@{n}.service", replaces=("old@*",), metadata=(("hostname", (f"m{n}",)),))
        for n in range(MACHINES)
    ]


def measure(
    title: str,
    wanted: Mapping[str, Wanted],
    machines: Sequence[Machine],
    previous: Mapping[str, Placement],
) -> tuple[Mapping[str, Placement], Row]:
    began = time.perf_counter()
    layout = place(wanted, machines, previous)
    seconds = time.perf_counter() - began
    note = f"{len(wanted)} units, {len(machines)} machines, {len(layout.moves)} moves"
    note += f", {len(layout.unplaced)} unplaced"
    return layout.placements, Row(f"placing {title}", seconds, "s", aim=AIM, note=note)


def lose(machines: Sequence[Machine], count: int) -> list[Machine]:
    lost = [Machine(m.id, m.host, m.address, m.metadata, Health.LOST) for m in machines[:count]]
    return lost + list(machines[count:])


def rows() -> Iterator[Row]:
    tell("placing")
    machines = fleet(MACHINES)
    shapes = {
        "plain": plain(),
        "half of the machines eligible": [
            want(f"a{n}.service", metadata=(("disk", ("ssd",)),)) for n in range(UNITS)
        ],
        "a machine for each by metadata": metadata_each(),
        "pinned by MachineID": [
            want(f"a{n}.service", machine_id=machines[n % MACHINES].id) for n in range(UNITS)
        ],
        "100 conflicting groups": grouped(GROUPS),
        "100 conflicting groups and 200 global units": grouped(GROUPS) + global_units(),
        "10 conflicting groups as large as the cluster": grouped(10),
        "one conflicting group, ten times too large": grouped(1),
        "conflicting pairs, each with its own pattern": pairs(),
        "followers": followers(),
        "replacing units": replacing(),
        "replacing units on every machine": replaced_everywhere(),
    }
    for title, units in shapes.items():
        wanted = wants(units)
        placements, row = measure(title, wanted, machines, {})
        yield row
        yield measure("  again, nothing to do", wanted, machines, placements)[1]
        yield measure("  a tenth lost", wanted, lose(machines, MACHINES // 10), placements)[1]
