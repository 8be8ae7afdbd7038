"""What a changed file means for its unit, in words: whether it restarts now, and where."""

from __future__ import annotations

from collections.abc import Iterable

from fleetssh.cli.render import plural
from fleetssh.control.commands import Change
from fleetssh.control.result import Pass
from fleetssh.core.editing import disturbed_neighbour
from fleetssh.core.model import Action, Machine, State, TargetState, Unit
from fleetssh.core.names import is_template, template_of
from fleetssh.core.sighting import Reached


def submitted_lines(replaced: Iterable[Unit], state: State) -> list[str]:
    """One line for each unit that ``submit`` replaced: nothing of it is on a machine."""
    changed = {unit.name: unit for unit in replaced}
    return [_submitted(unit, state, set(changed)) for unit in changed.values()]


def _submitted(unit: Unit, state: State, changed: set[str]) -> str:
    head = f"Unit {unit.name} changed"
    if not is_template(unit.name):
        return f"{head}: takes effect when it is started"
    old = [
        name
        for name, wanted in state.wanted.items()
        if template_of(name) == unit.name and name not in changed and wanted.unit.hash != unit.hash
    ]
    if not old:
        return f"{head}: takes effect for new instances"
    have = f"{plural(len(old), 'instance')} {'has' if len(old) == 1 else 'have'}"
    glob = unit.name.replace("@.", "@*.", 1)
    return (
        f"{head}: takes effect for new instances; {have} the old text until "
        f"fleetssh start --replace '{glob}' changes and starts them"
    )


def changed_line(unit: Unit, change: Change, done: Pass) -> str:
    """What the pass that followed a replacement did with the unit."""
    return f"Unit {unit.name} changed: {_effect(unit, change, done)}"


def _effect(unit: Unit, change: Change, done: Pass) -> str:
    name = unit.name
    machines = {machine.id: machine for machine in done.survey.machines}
    if unit.requirements.is_global:
        homes = [m for m in machines.values() if name in done.plan.layout.globals_on.get(m.id, ())]
        return f"{_begins(name, done, homes)} on {plural(len(homes), 'machine')}"
    before, after = change.before.placements.get(name), done.plan.layout.placements.get(name)
    old = machines.get(before.machine) if before else None
    if after is None:
        return f"leaves {old.legend}, and no machine can take it" if old else "no machine can take it"
    new = machines[after.machine]
    if not isinstance(done.sightings.get(new.host), Reached):
        return f"{new.legend} does not answer, it takes effect there when it does"
    if old is None or old is new:
        return f"{_begins(name, done, [new])} on {new.legend}{_not_started(change, name)}"
    return f"moves from {old.legend} to {new.legend}: {_why_moved(unit, change, done)}"


def _begins(name: str, done: Pass, homes: list[Machine]) -> str:
    """``restarts now`` where the unit is told to stop first."""
    hosts = {machine.host for machine in homes}
    steps = {
        step.action
        for wave in done.plan.waves
        for visit in wave
        if visit.host in hosts
        for step in visit.steps
        if step.unit == name
    }
    if Action.START not in steps:
        return "loaded"
    return "restarts now" if Action.STOP in steps else "starts now"


def _not_started(change: Change, name: str) -> str:
    return ", not started" if change.state.wanted[name].target is TargetState.LOADED else ""


def _why_moved(unit: Unit, change: Change, done: Pass) -> str:
    if neighbour := disturbed_neighbour(change.before, unit):
        return f"it conflicts with {neighbour}"
    return next(move.reason for move in done.plan.layout.moves if move.unit == unit.name)
