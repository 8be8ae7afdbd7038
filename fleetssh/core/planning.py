"""Planning: where units belong and what machines hold, turned into ordered steps with reasons."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from fleetssh.core.doubt import Doubt
from fleetssh.core.mending import RUNNING, follow, mend, release, resting
from fleetssh.core.model import (
    Action,
    Layout,
    Machine,
    MachinePlan,
    Plan,
    State,
    Step,
    TargetState,
    Wanted,
)
from fleetssh.core.names import glob_matches
from fleetssh.core.refusals import LEFT
from fleetssh.core.remarks import remark
from fleetssh.core.sighting import Found, Reached, Sighting

ORDER = {action: place for place, action in enumerate(Action)}
"""A visit carries its steps out in the order in which the actions are declared (fleet 5.2)."""

NO_DOUBT: Mapping[str, Doubt] = MappingProxyType({})
NEEDS_RELOAD = frozenset({Action.REMOVE, Action.WRITE, Action.LINK, Action.LEASE})


@dataclass(frozen=True, slots=True)
class _Case:
    """What every machine's plan is made from."""

    state: State
    layout: Layout
    retry: frozenset[str]
    in_doubt: Mapping[str, Doubt]
    silent: Mapping[str, str]
    moved: frozenset[str]

    def keeps(self, name: str) -> bool:
        """Whether a copy that belongs elsewhere stays for now: its new home is silent and was never seen to
        have it, so this may be the only one (rule 1)."""
        placement = self.layout.placements.get(name)
        home = self.silent.get(placement.machine) if placement else None
        return home is not None and not (name in self.in_doubt and self.in_doubt[name].host == home)

    def waits(self, name: str, host: str) -> bool:
        """Whether a copy that may run elsewhere keeps a unit from being started on ``host`` (rule 5)."""
        return name in self.in_doubt and self.in_doubt[name].host != host


def make_plan(
    state: State,
    layout: Layout,
    machines: Sequence[Machine],
    sightings: Mapping[str, Sighting],
    retry: frozenset[str] = frozenset(),
    in_doubt: Mapping[str, Doubt] = NO_DOUBT,
) -> Plan:
    """Every step that brings the machines that answered to where ``layout`` wants them.

    Machines that did not answer get no step. Units named in ``retry`` are started even though they have
    failed or ended, and stopped even though somebody else started them (an operator asked for it).
    ``in_doubt`` says which units may still run where nobody can look: no other machine starts them (rule 5).
    Pure: equal input gives an equal plan.
    """
    reached = [(m, s) for m in machines if isinstance(s := sightings.get(m.host), Reached)]
    belongs = {machine.id: _belonging(state, layout, machine.id) for machine in machines}
    silent = {m.id: m.host for m in machines if not isinstance(sightings.get(m.host), Reached)}
    doubted = {unit: doubt for unit, doubt in in_doubt.items() if unit in layout.placements}
    moved = frozenset(move.unit for move in layout.moves)
    case = _Case(state, layout, retry, doubted, silent, moved)
    leaving: list[MachinePlan] = []
    staying: list[MachinePlan] = []
    for machine, sighting in sorted(reached, key=lambda pair: pair[0].host):
        first, second = _plan_machine(case, machine, sighting, belongs[machine.id])
        leaving += first
        staying += second
    waves = tuple(tuple(wave) for wave in (leaving, staying) if wave)
    remarks = (*remark(machines, sightings, belongs), *_waiting(case, reached, belongs))
    return Plan(layout, waves, remarks)


def withhold(wave: Sequence[MachinePlan], units: frozenset[str]) -> tuple[MachinePlan, ...]:
    """``wave`` without the steps of ``units``: their old copy was not seen to have stopped (rule 5)."""
    kept = []
    for plan in wave:
        steps = tuple(step for step in plan.steps if step.unit not in units)
        if any(step.action is not Action.RELOAD for step in steps):
            kept.append(replace(plan, steps=steps))
    return tuple(kept)


def leaving_units(wave: Iterable[MachinePlan]) -> dict[str, frozenset[str]]:
    """Host -> units that the wave's visit to it removes."""
    return {
        plan.host: frozenset(step.unit for step in plan.steps if step.action is Action.REMOVE)
        for plan in wave
    }


def _belonging(state: State, layout: Layout, machine: str) -> dict[str, Wanted]:
    names = {name for name, placement in layout.placements.items() if placement.machine == machine}
    names |= layout.globals_on.get(machine, frozenset())
    return {name: state.wanted[name] for name in sorted(names)}


def _plan_machine(
    case: _Case, machine: Machine, sighting: Reached, here: Mapping[str, Wanted]
) -> tuple[list[MachinePlan], list[MachinePlan]]:
    """Steps of one machine: what must leave before others may arrive elsewhere, and the rest."""
    found = {item.entry.name: item for item in sighting.found}
    still = resting(here, found)
    kept = _kept(case, here, found)
    first: list[Step] = []
    second: list[Step] = []
    for name, item in found.items():
        if name not in here and name not in kept:
            steps = release(item, _why_not_here(case, machine, name))
            # A copy of what belongs elsewhere goes before anything is done with it there, or beside it here.
            waited_for = name in case.layout.placements or _makes_room(name, case.state, here, found)
            (first if waited_for else second).extend(steps)
    for name, wanted in here.items():
        if name not in found and (name in sighting.strangers or name in sighting.occupied):
            continue
        waits = case.waits(name, machine.host) or _foe(case.state, name, kept, found)
        if waits and not _runs(found.get(name)):
            continue
        why = _why_here(case, name)
        lease = lease_of(wanted, machine)
        second += mend(wanted, found.get(name), why, name in case.retry, still, lease, sighting.leases)
    second += follow(second, here, found)
    return (
        _machine_plan(machine, first, {}, _leases(machine, found, first, {})),
        _machine_plan(machine, second, here, _leases(machine, found, [*first, *second], here)),
    )


def _leases(
    machine: Machine, found: Mapping[str, Found], steps: Iterable[Step], here: Mapping[str, Wanted]
) -> dict[str, int]:
    """Seconds of every lease that is to run on a machine after ``steps``, by unit: what they do not name
    stays as it was found."""
    leases = {name: item.entry.lease for name, item in found.items()}
    for step in steps:
        if step.action is Action.REMOVE:
            leases.pop(step.unit, None)
        elif step.unit in here:
            leases[step.unit] = lease_of(here[step.unit], machine)
    return {name: seconds for name, seconds in sorted(leases.items()) if seconds}


def _makes_room(name: str, state: State, here: Mapping[str, Wanted], found: Mapping[str, Found]) -> bool:
    """Whether a unit that leaves a machine must be seen to be gone before another one is started there,
    because the two conflict."""
    return any(_conflict(state, name, other) for other in here if not _runs(found.get(other)))


def _kept(case: _Case, here: Mapping[str, Wanted], found: Mapping[str, Found]) -> list[str]:
    """What stays on a machine for now though it belongs elsewhere."""
    return [name for name in found if name not in here and case.keeps(name)]


def _foe(state: State, name: str, kept: Iterable[str], found: Mapping[str, Found]) -> str:
    """The first unit that runs on though it belongs elsewhere and conflicts with ``name``, or nothing."""
    return next((other for other in kept if _runs(found[other]) and _conflict(state, name, other)), "")


def _conflict(state: State, one: str, other: str) -> bool:
    return any(
        glob_matches(pattern, theirs)
        for ours, theirs in ((one, other), (other, one))
        if ours in state.wanted
        for pattern in state.wanted[ours].unit.requirements.conflicts
    )


def _runs(found: Found | None) -> bool:
    return found is not None and found.active in RUNNING


def _waiting(
    case: _Case, reached: Sequence[tuple[Machine, Reached]], belongs: Mapping[str, Mapping[str, Wanted]]
) -> Iterator[str]:
    """Units that are not started where they belong because an old copy may run elsewhere, or because another
    unit is kept there for now."""
    running = {(m.id, item.entry.name) for m, s in reached for item in s.found if _runs(item)}
    hosts = {**{m.id: m.host for m, _ in reached}, **case.silent}
    for unit, doubt in sorted(case.in_doubt.items()):
        home = case.layout.placements[unit].machine
        if hosts.get(home) != doubt.host and (home, unit) not in running:
            yield doubt.sentence
    for machine, sighting in sorted(reached, key=lambda pair: pair[0].host):
        here, found = belongs[machine.id], {item.entry.name: item for item in sighting.found}
        kept = _kept(case, here, found)
        for unit in here if kept else ():
            if not _runs(found.get(unit)) and (other := _foe(case.state, unit, kept, found)):
                yield (
                    f"Unit {unit} waits: it conflicts with {other}, which stays on {machine.host} until its "
                    "new machine answers"
                )


def _machine_plan(
    machine: Machine, steps: list[Step], here: Mapping[str, Wanted], leases: Mapping[str, int]
) -> list[MachinePlan]:
    if not steps:
        return []
    if any(step.action in NEEDS_RELOAD for step in steps):
        steps = [*steps, Step(Action.RELOAD, "", "unit files change")]
    ordered = tuple(sorted(steps, key=lambda step: (ORDER[step.action], step.unit)))
    units = {step.unit: here[step.unit] for step in ordered if step.unit in here}
    return [MachinePlan(machine.host, machine.id, ordered, units, leases)]


def _why_here(case: _Case, name: str) -> str:
    """Why a unit has to be where it is not: the reason of its placement while that is news, and later, as
    when a reboot has cleared the machine, just that it is missing."""
    placement = case.layout.placements.get(name)
    if placement is None:
        return "global unit"
    return placement.reason if name in case.moved else "it belongs here and is missing"


def _why_not_here(case: _Case, machine: Machine, name: str) -> str:
    wanted = case.state.wanted.get(name)
    if wanted is None:
        return "the unit was destroyed"
    if wanted.target is TargetState.INACTIVE:
        return "its target state is inactive"
    if machine.is_leaving:
        return f"this machine is {LEFT}"
    placement = case.layout.placements.get(name)
    if placement:
        return f"it belongs on {placement.machine[:8]}..."
    if wanted.unit.requirements.is_global:
        return "this machine does not fit the global unit any more"
    return "it has no place here any more"


def lease_of(wanted: Wanted, machine: Machine) -> int:
    """Seconds for which a unit outlives our visits on a machine (0: for ever): what its file says, or else
    what its host does."""
    lease = wanted.unit.requirements.lease
    return machine.lease if lease is None else lease
