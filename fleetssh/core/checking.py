"""Checking a finished plan for contradictions before anything is touched; it never decides anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from fleetssh.core.doubt import Doubt
from fleetssh.core.mending import RUNNING
from fleetssh.core.model import Action, Health, Machine, Plan, State, TargetState
from fleetssh.core.names import glob_matches
from fleetssh.core.sighting import Reached, Sighting

BRINGS = frozenset({Action.WRITE, Action.START, Action.RESTART})
NO_DOUBT: Mapping[str, Doubt] = MappingProxyType({})
NOTHING_SEEN: Mapping[str, Sighting] = MappingProxyType({})


def check(
    state: State,
    plan: Plan,
    machines: Sequence[Machine],
    in_doubt: Mapping[str, Doubt] = NO_DOUBT,
    sightings: Mapping[str, Sighting] = NOTHING_SEEN,
) -> tuple[str, ...]:
    """Everything that is wrong with a plan, one sentence each; empty for a sound one.

    Checked: every placed unit is wanted, is not global and stands on a machine that is not lost, nor answers
    and is leaving; peers of MachineOf are together and conflicting units apart on machines that are up; steps
    go to machines that are up; nothing is written or started that does not belong there, or on a machine that
    is leaving; nothing is started that is in doubt elsewhere, but where it was seen to run; nothing that
    belongs is removed.
    """
    by_id = {machine.id: machine for machine in machines}
    here = _units_by_machine(plan, by_id)
    return (
        *_check_placements(state, plan, by_id),
        *_check_company(state, here, by_id),
        *_check_steps(plan, here, by_id),
        *_check_starts(state, plan, in_doubt, sightings),
    )


def _units_by_machine(plan: Plan, by_id: Mapping[str, Machine]) -> dict[str, set[str]]:
    here = {machine: set(plan.layout.globals_on.get(machine, ())) for machine in by_id}
    for name, placement in plan.layout.placements.items():
        here.setdefault(placement.machine, set()).add(name)
    return here


def _check_placements(state: State, plan: Plan, by_id: Mapping[str, Machine]) -> Iterator[str]:
    for name, placement in sorted(plan.layout.placements.items()):
        wanted = state.wanted.get(name)
        if wanted is None or wanted.target is TargetState.INACTIVE:
            yield f"{name} is placed though nobody wants it anywhere"
        elif wanted.unit.requirements.is_global:
            yield f"{name} is global and placed on one machine"
        machine = by_id.get(placement.machine)
        if machine is None or machine.health is Health.LOST:
            yield f"{name} is placed on {placement.machine}, which is lost or unknown"
        elif machine.is_leaving and machine.health is Health.UP:
            yield f"{name} is placed on {placement.machine}, which is leaving"


def _check_company(state: State, here: Mapping[str, set[str]], by_id: Mapping[str, Machine]) -> Iterator[str]:
    for machine, names in sorted(here.items()):
        if machine not in by_id or by_id[machine].health is not Health.UP:
            continue  # Doubt never stops a service: rules are not enforced where nobody can look.
        needs = {name: state.wanted[name].unit.requirements for name in sorted(names) if name in state.wanted}
        patterned = [name for name in needs if needs[name].conflicts]
        for name in patterned:
            for pattern in needs[name].conflicts:
                for other in sorted(names - {name}):
                    if glob_matches(pattern, other):
                        yield f"{name} and {other} conflict and are both on {machine}"
        for name in needs:
            for peer in needs[name].machine_of:
                if peer not in names:
                    yield f"{name} is on {machine} without {peer}"


def _check_steps(plan: Plan, here: Mapping[str, set[str]], by_id: Mapping[str, Machine]) -> Iterator[str]:
    for wave in plan.waves:
        for visit in wave:
            machine = by_id.get(visit.machine)
            if machine is None or machine.health is not Health.UP:
                yield f"steps for {visit.host}, which is not up"
            belongs = here.get(visit.machine, set())
            for step in visit.steps:
                if step.action in BRINGS and step.unit not in belongs:
                    yield f"{step.action} of {step.unit} on {visit.host}, where it does not belong"
                if step.action in BRINGS and machine is not None and machine.is_leaving:
                    yield f"{step.action} of {step.unit} on {visit.host}, which is leaving"
                if step.action is Action.REMOVE and step.unit in belongs:
                    yield f"removal of {step.unit} from {visit.host}, where it belongs"


def _check_starts(
    state: State, plan: Plan, in_doubt: Mapping[str, Doubt], sightings: Mapping[str, Sighting]
) -> Iterator[str]:
    for visit in (visit for wave in plan.waves for visit in wave):
        sighting = sightings.get(visit.host)
        found = sighting.found if isinstance(sighting, Reached) else ()
        running = {item.entry.name for item in found if item.active in RUNNING}
        for step in visit.steps:
            doubt = in_doubt.get(step.unit)
            if step.action not in (Action.START, Action.RESTART) or doubt is None:
                continue
            wanted = state.wanted.get(step.unit)
            is_global = wanted is not None and wanted.unit.requirements.is_global
            if doubt.host != visit.host and not is_global and step.unit not in running:
                yield f"{step.action} of {step.unit} on {visit.host}, while it may run on {doubt.host}"
