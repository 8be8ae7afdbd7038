"""What became of a unit: the layout and the newest sightings, judged one unit at a time."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fleetssh.core.mending import RUNNING, resting
from fleetssh.core.model import Health, Layout, Machine, Refusal, State, TargetState, Wanted
from fleetssh.core.sighting import Ending, Found, Reached, Sighting


class Verdict(enum.StrEnum):
    """How one unit stands on one machine, or that it stands nowhere."""

    INACTIVE = "inactive"
    LOADED = "loaded"
    LAUNCHED = "launched"
    RESTING = "resting"
    STARTING = "starting"
    STOPPING = "stopping"
    FAILED = "failed"
    MISSING = "missing"
    UNKNOWN = "unknown"
    UNPLACED = "unplaced"


DONE = frozenset({Verdict.INACTIVE, Verdict.LOADED, Verdict.LAUNCHED, Verdict.RESTING})
"""Verdicts in which the unit is what the operator wants it to be; a sidekick is that too when it was stopped
together with the unit that it is bound to."""


@dataclass(frozen=True, slots=True)
class UnitReport:
    """One unit on one machine. ``machine`` is ``None`` for a unit that has none; ``refusals`` tell why."""

    name: str
    verdict: Verdict
    machine: Machine | None = None
    found: Found | None = None
    refusals: tuple[Refusal, ...] = ()


def report_unit(
    name: str,
    state: State,
    layout: Layout,
    machines: Sequence[Machine],
    sightings: Mapping[str, Sighting],
) -> tuple[UnitReport, ...]:
    """One report a machine that the unit belongs on (several for a global unit), sorted by machine id;
    one without a machine when it belongs on none. Rule 8: ``launched`` is said only of what systemd says
    runs, or of a job that systemd says has ended well."""
    wanted = state.wanted.get(name)
    if wanted is None or wanted.target is TargetState.INACTIVE:
        return (UnitReport(name, Verdict.INACTIVE),)
    if wanted.unit.requirements.is_global:
        homes = [machine for machine in machines if name in layout.globals_on.get(machine.id, ())]
    else:
        placement = layout.placements.get(name)
        homes = [machine for machine in machines if placement and machine.id == placement.machine]
    homes.sort(key=lambda machine: machine.id)
    if not homes:
        return (UnitReport(name, Verdict.UNPLACED, refusals=layout.unplaced.get(name, ())),)
    return tuple(_report(name, state.wanted, machine, sightings.get(machine.host)) for machine in homes)


def _report(
    name: str, wanted: Mapping[str, Wanted], machine: Machine, sighting: Sighting | None
) -> UnitReport:
    if not isinstance(sighting, Reached) or machine.health is not Health.UP:
        return UnitReport(name, Verdict.UNKNOWN, machine)
    found = next((item for item in sighting.found if item.entry.name == name), None)
    if found is None or found.digest is None:
        return UnitReport(name, Verdict.MISSING, machine, found)
    verdict = _judge(wanted[name], found)
    if verdict is Verdict.MISSING and _is_carried_out(wanted[name], found) and _rests(name, wanted, sighting):
        verdict = Verdict.RESTING
    return UnitReport(name, verdict, machine, found)


def _is_carried_out(wanted: Wanted, found: Found) -> bool:
    """Whether the machine's last visit did all that is wanted of a unit."""
    entry = found.entry
    return (entry.digest, found.digest, entry.target, entry.generation) == (
        wanted.unit.digest,
        wanted.unit.digest,
        wanted.target,
        wanted.generation,
    )


def _judge(wanted: Wanted, found: Found) -> Verdict:
    """A machine's manifest is written anew when a visit has done everything: before that, what runs there is
    the unit of before, and neither ``launched`` nor ``loaded`` may be said of it."""
    if wanted.target is TargetState.LOADED:
        if found.active in RUNNING and found.entry.target is TargetState.LAUNCHED:
            return Verdict.STOPPING
        # What was seen to have stopped is loaded, though the manifest may not say so yet.
        has_its_file = found.entry.digest == found.digest == wanted.unit.digest
        return Verdict.LOADED if has_its_file else Verdict.MISSING
    if _is_carried_out(wanted, found):
        return judge_launched(found)
    return Verdict.STOPPING if found.active == "deactivating" else Verdict.MISSING


def _rests(name: str, wanted: Mapping[str, Wanted], sighting: Reached) -> bool:
    found = {item.entry.name: item for item in sighting.found}
    return name in resting({other: wanted[other] for other in found if other in wanted}, found)


def judge_launched(found: Found) -> Verdict:
    """How a unit that should run stands, from systemd's words for it."""
    if found.sub.startswith("auto-restart") or found.active == "failed":
        return Verdict.FAILED
    if found.active == "activating" or found.active == "deactivating":
        return Verdict.STARTING
    if found.active in RUNNING:
        return Verdict.LAUNCHED
    detail = found.detail
    if detail and (detail.load_error or detail.result not in ("", "success")):
        return Verdict.FAILED
    if found.ending in (Ending.NEVER_STARTED, Ending.START_FAILED):
        return Verdict.FAILED
    if found.entry.target is not TargetState.LAUNCHED or found.ending is Ending.BY_REQUEST:
        return Verdict.MISSING
    return Verdict.LAUNCHED
