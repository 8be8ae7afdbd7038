"""Checking a finished plan for contradictions before anything is touched; it never decides anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from fleetssh.core.model import Action, Health, Machine, Plan, State, TargetState
from fleetssh.core.names import glob_matches


def check(state: State, plan: Plan, machines: Sequence[Machine]) -> tuple[str, ...]:
    """Everything that is wrong with a plan, one sentence each; empty for a sound one.

    Checked: every placed unit is wanted, is not global and stands on a machine that is not lost; peers of
    MachineOf are together and conflicting units apart on machines that are up; steps go to machines that
    are up; nothing is written or started that does not belong there; nothing that belongs is removed.
    """
    by_id = {machine.id: machine for machine in machines}
    here = _units_by_machine(plan, by_id)
    return (
        *_check_placements(state, plan, by_id),
        *_check_company(state, here, by_id),
        *_check_steps(plan, here, by_id),
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
                if step.action in (Action.WRITE, Action.START, Action.RESTART) and step.unit not in belongs:
                    yield f"{step.action} of {step.unit} on {visit.host}, where it does not belong"
                if step.action is Action.REMOVE and step.unit in belongs:
                    yield f"removal of {step.unit} from {visit.host}, where it belongs"
