"""What the listing verbs show, as rows of values; nothing here prints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fleetssh.control.survey import Survey
from fleetssh.core.metadata import RESERVED, chosen
from fleetssh.core.model import Health, Machine, MachineRecord, State
from fleetssh.core.sighting import Found, Reached

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class MachineRow:
    """One machine: ``age_seconds`` since its last good look (0 for one that answered now); ``problem``
    is empty for a machine that answered."""

    id: str
    host: str
    address: str
    metadata: Mapping[str, str]
    facts: Mapping[str, str]
    health: Health
    age_seconds: float
    problem: str


@dataclass(frozen=True, slots=True)
class UnitRow:
    """One unit on one machine in systemd's words; ``unknown`` for a machine that did not answer.

    ``last_active`` and ``last_sub`` are what systemd said when it was last asked, ``age_seconds`` ago (0 for
    a machine that answered now).
    """

    name: str
    machine: Machine
    load: str
    active: str
    sub: str
    hash: str
    age_seconds: float
    last_active: str
    last_sub: str


@dataclass(frozen=True, slots=True)
class UnitFileRow:
    """One stored unit. ``state`` is what was last seen of it on its machine; empty for a global unit.
    ``machine_id``, ``host`` and ``address`` name the machine it belongs on; empty when it has none."""

    name: str
    hash: str
    target: str
    state: str
    machine_id: str
    host: str
    address: str
    is_global: bool
    description: str


def machine_rows(seen: Survey, now: float) -> list[MachineRow]:
    """Every machine that was ever seen, sorted by id (fleet shows only those that are alive; the caller
    may drop the lost)."""
    rows = []
    for machine in seen.machines:
        record = seen.records[machine.host]
        facts = {k.removeprefix(RESERVED): v for k, v in machine.metadata.items() if k.startswith(RESERVED)}
        age = now - record.last_good if record.failure else 0.0
        rows.append(
            MachineRow(
                machine.id,
                machine.host,
                machine.address,
                chosen(machine.metadata),
                facts,
                machine.health,
                age,
                record.failure,
            )
        )
    return rows


def unit_rows(state: State, seen: Survey, now: float) -> list[UnitRow]:
    """Every unit of ours on every machine, sorted by unit, then machine id.

    A machine that is in doubt shows its units as ``unknown``: what was true is not said to be true now. A
    lost machine shows none (fleet: its rows leave with its presence).
    """
    rows = [row for machine in seen.machines for row in _rows_of(state, seen, machine, now)]
    return sorted(rows, key=lambda row: (row.name, row.machine.id))


def _rows_of(state: State, seen: Survey, machine: Machine, now: float) -> list[UnitRow]:
    sighting = seen.sightings.get(machine.host)
    if isinstance(sighting, Reached):
        return [_found(state, machine, found) for found in sighting.found]
    if machine.health is not Health.DOUBTFUL:
        return []
    record = seen.records[machine.host]
    age = now - record.last_good
    return [
        UnitRow(unit.name, machine, UNKNOWN, UNKNOWN, UNKNOWN, "", age, unit.active, unit.sub)
        for unit in record.seen
    ]


def _found(state: State, machine: Machine, found: Found) -> UnitRow:
    hash_ = _hash(state, found.entry.name, found.entry.digest)
    return UnitRow(
        found.entry.name, machine, found.load, found.active, found.sub, hash_, 0.0, found.active, found.sub
    )


def _hash(state: State, name: str, digest: str) -> str:
    wanted = state.wanted.get(name)
    return wanted.unit.hash if wanted and wanted.unit.digest == digest else ""


def unit_file_rows(state: State, records: Mapping[str, MachineRecord]) -> list[UnitFileRow]:
    """Every stored unit, sorted by name, from the store alone: no machine is touched."""
    by_id = {record.machine_id: record for record in records.values() if record.machine_id}
    seen = {(r.machine_id, known.name): known for r in records.values() if not r.lost for known in r.seen}
    rows = []
    for name, wanted in sorted(state.wanted.items()):
        placement = state.placements.get(name)
        machine_id = placement.machine if placement else ""
        record = by_id.get(machine_id)
        known = seen.get((machine_id, name))
        is_global = wanted.unit.requirements.is_global
        rows.append(
            UnitFileRow(
                name=name,
                hash=wanted.unit.hash,
                target=wanted.target,
                state="" if is_global else (known.target if known else "inactive"),
                machine_id=machine_id,
                host=record.host if record else "",
                address=record.address if record else "",
                is_global=is_global,
                description=wanted.unit.description or "",
            )
        )
    return rows
