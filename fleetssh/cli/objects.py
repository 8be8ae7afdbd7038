"""What plan and why found, as one object for scripts; docs/output.md tells its shape."""

from __future__ import annotations

from collections.abc import Sequence

from fleetssh.cli.telling import waits_for
from fleetssh.control.result import Pass
from fleetssh.core.model import Machine, Refusal
from fleetssh.core.sighting import Unreached

Object = dict[str, object]


def plan_object(planned: Pass) -> Object:
    """Every change of the schedule, every step, and what stands in the way."""
    plan, machines = planned.plan, planned.survey.machines
    return {
        "pending": not plan.is_empty,
        "moves": [
            {"unit": move.unit, "from": move.before, "to": move.after, "reason": move.reason}
            for move in plan.layout.moves
        ],
        "steps": [
            {
                "wave": number,
                "machine": visit.machine,
                "host": visit.host,
                "action": step.action,
                "unit": step.unit or None,
                "reason": step.reason,
            }
            for number, wave in enumerate(plan.waves, start=1)
            for visit in wave
            for step in visit.steps
        ],
        "unplaced": [
            {"unit": unit, "machines": _reasons(refusals, machines)}
            for unit, refusals in sorted(plan.layout.unplaced.items())
        ],
        "unreached": _unreached(planned),
        "remarks": plan.remarks,
        "alarm": planned.survey.alarm or None,
    }


def why_object(name: str, planned: Pass, reasons: Sequence[Refusal]) -> Object:
    """Where the stored unit ``name`` belongs, with the ``reasons`` of every machine that was ever seen."""
    wanted = planned.state.wanted[name]
    layout = planned.plan.layout
    placement = layout.placements.get(name)
    here = {machine for machine, units in layout.globals_on.items() if name in units}
    here |= {placement.machine} if placement else set()
    return {
        "unit": name,
        "hash": wanted.unit.hash,
        "dstate": wanted.target,
        "global": wanted.unit.requirements.is_global,
        "machine": placement.machine if placement else None,
        "waits": waits_for(name, planned) or None,
        "machines": [
            {**line, "here": line["machine"] in here} for line in _reasons(reasons, planned.survey.machines)
        ],
        "unreached": _unreached(planned),
    }


def _reasons(refusals: Sequence[Refusal], machines: Sequence[Machine]) -> list[Object]:
    hosts = {machine.id: machine.host for machine in machines}
    return [
        {"machine": refusal.machine, "host": hosts.get(refusal.machine), "reason": refusal.reason}
        for refusal in refusals
    ]


def _unreached(planned: Pass) -> list[Object]:
    known = {machine.host: machine for machine in planned.survey.machines}
    return [_unreached_machine(sighting, known.get(sighting.host)) for sighting in planned.unreached]


def _unreached_machine(sighting: Unreached, machine: Machine | None) -> Object:
    return {
        "machine": machine.id if machine else None,
        "host": sighting.host,
        "health": machine.health if machine else None,
        "problem": sighting.why,
    }
