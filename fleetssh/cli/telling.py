"""What a pass saw and did, and how units stand, in words: functions from values to lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set

from fleetssh.cli.exits import Exit
from fleetssh.control.reconcile import Pass
from fleetssh.core.mending import RUNNING
from fleetssh.core.model import (
    Action,
    Health,
    Machine,
    MachineRecord,
    Move,
    Outcome,
    Plan,
    Reached,
    Refusal,
    Sighting,
    Step,
    Unreached,
)
from fleetssh.core.planning import describe_failure, withhold
from fleetssh.core.report import UnitReport, Verdict

JOBS = frozenset({Action.STOP, Action.START, Action.RESTART})

LOG_LINES = 10
"""Of a failed unit: enough to see why, and the command that shows more is named."""

Named = tuple[str, str]
"""A line and the unit that it is about (empty for none)."""


# ---------------------------------------------------------------- steps and moves


def work_lines(plan: Plan) -> list[str]:
    """Every change of the schedule and every step, in the order of the plan: what ``plan`` prints."""
    return [line for line, _ in _moves(plan)] + [line for line, _ in _steps(plan)]


def done_lines(done: Pass, without: Set[str] = frozenset()) -> list[str]:
    """The lines of ``work_lines`` for what was really done, but for those about the units ``without``."""
    first, *rest = done.plan.waves or ((),)
    waves = (first, *(withhold(wave, done.withheld) for wave in rest))
    steps = [
        (_step(visit.host, step), step.unit)
        for wave in waves
        for visit in wave
        for step in visit.steps
        if _was_done(step, done.sightings.get(visit.host))
    ]
    return [line for line, unit in [*_moves(done.plan), *steps] if unit not in without]


def _was_done(step: Step, sighting: Sighting | None) -> bool:
    """A machine answers for all steps of one kind together, and a visit ends early when it cannot begin or
    cannot stop a unit. What should run and does was started, whatever was said of the others."""
    if not isinstance(sighting, Reached):
        return False
    failed = {(outcome.action, outcome.unit) for outcome in sighting.outcomes if not outcome.ok}
    if failed & {(Action.NOTE, ""), (Action.STOP, ""), (step.action, step.unit)}:
        return False
    if (step.action, "") not in failed:
        return True
    runs = any(item.entry.name == step.unit and item.active in RUNNING for item in sighting.found)
    return runs and step.action in JOBS


def _moves(plan: Plan) -> Iterator[Named]:
    for move in plan.layout.moves:
        yield _move(move), move.unit


def _steps(plan: Plan) -> Iterator[Named]:
    for wave in plan.waves:
        for visit in wave:
            for step in visit.steps:
                yield _step(visit.host, step), step.unit


def _move(move: Move) -> str:
    return f"move {move.unit}: {_short(move.before)} -> {_short(move.after)}: {move.reason}"


def _short(machine_id: str | None) -> str:
    return f"{machine_id[:8]}..." if machine_id else "nowhere"


def _step(host: str, step: Step) -> str:
    return f"{host}: {' '.join(filter(None, (step.action, step.unit)))} ({step.reason})"


def touched_units(done: Pass) -> set[str]:
    """The units that the pass moved, or did more with than to update a manifest."""
    steps = [step for wave in done.plan.waves for visit in wave for step in visit.steps]
    moved = {move.unit for move in done.plan.layout.moves}
    return moved | {step.unit for step in steps if step.action is not Action.NOTE} - {""}


def trouble_lines(done: Pass, without: Set[str] = frozenset()) -> list[str]:
    """Steps that a machine answered with an error, and starts that were kept back, but for what is about the
    units ``without``."""
    lines = [
        f"{host}: {' '.join(filter(None, (outcome.action, outcome.unit)))} failed: {outcome.message}"
        for host, outcome in done.troubles
        if outcome.unit not in without and not _is_told(outcome, without)
    ]
    return lines + [_withheld(name) for name in sorted(done.withheld - without)]


def _is_told(outcome: Outcome, told: Set[str]) -> bool:
    """Whether a failed job of several units together says nothing beyond what is told of each unit."""
    if outcome.unit or outcome.action not in JOBS:
        return False
    return not outcome.message or any(name in outcome.message for name in told)


def _withheld(name: str) -> str:
    return f"Unit {name} was not started anew: its old copy was not seen to have stopped; the next pass tries"


# ---------------------------------------------------------------- machines


def unreached_lines(
    sightings: Mapping[str, Sighting], machines: Sequence[Machine], records: Mapping[str, MachineRecord]
) -> list[str]:
    """One line for each host that did not answer, and what that means for its units."""
    known = {machine.host: machine for machine in machines}
    return [
        f"{_host_title(host, known.get(host))}: {failure_text(sighting)}; {_meaning(records.get(host))}"
        for host, sighting in sorted(sightings.items())
        if isinstance(sighting, Unreached)
    ]


def alarm_lines(done: Pass) -> list[str]:
    """What is wrong with the cluster as a whole, or nothing."""
    return [f"ALARM: {done.survey.alarm}"] if done.survey.alarm else []


def failure_text(sighting: Unreached) -> str:
    """Why a machine could not be looked at."""
    return f"{sighting.failure}: {sighting.message}" if sighting.message else str(sighting.failure)


def _host_title(host: str, machine: Machine | None) -> str:
    return f"{host} ({machine.short_id}...)" if machine else host


def _meaning(record: MachineRecord | None) -> str:
    if record is None:
        return "it was never seen, so nothing is placed on it"
    return "it is lost, its units move" if record.lost else "it keeps its units"


def refusal_lines(refusals: Sequence[Refusal], machines: Sequence[Machine]) -> list[str]:
    """``  m1 (0b2e8d25...): reason`` for each machine."""
    hosts = {machine.id: machine for machine in machines}
    if not refusals:
        return ["  no machine has ever been seen"]
    return [
        f"  {_host_title(hosts[line.machine].host, hosts[line.machine])}: {line.reason}"
        if line.machine in hosts
        else f"  {_short(line.machine)}: {line.reason}"
        for line in refusals
    ]


# ---------------------------------------------------------------- how a unit stands


def problem(report: UnitReport, done: Pass, waited: float = 0.0) -> tuple[list[str], Exit]:
    """What keeps a unit from being what it should be, and its code; ``DONE`` when that is no trouble.
    ``waited`` is in seconds."""
    name, machine = report.name, report.machine
    if report.verdict is Verdict.UNPLACED:
        return _unplaced(report, done)
    if machine is None:
        return [], Exit.DONE
    sighting = done.sightings.get(machine.host)
    if report.verdict is Verdict.UNKNOWN:
        why = f" ({failure_text(sighting)})" if isinstance(sighting, Unreached) else ""
        return [
            f"Unit {name} belongs on {machine.legend}, which does not answer{why}",
            "  'fleetssh reconcile' carries this out when it answers again",
        ], Exit.MACHINE
    if report.verdict is Verdict.RESTING:
        return [f"Unit {name} rests on {machine.legend}: a unit that it is bound to does not run"], Exit.DONE
    if report.verdict is Verdict.FAILED:
        return _failed(report, machine), Exit.UNIT
    if report.verdict is Verdict.STARTING:
        line = f"Unit {name} is still starting on {machine.legend} after {waited:.0f} s"
        return [f"{line}; 'fleetssh status {name}' shows more"], Exit.UNIT
    if report.verdict is Verdict.MISSING:
        return _missing(report, machine, done), Exit.UNIT
    if report.verdict is Verdict.LOADED and _still_runs(report, machine, done):
        active = report.found.active if report.found else ""
        return [f"Unit {name} has not stopped on {machine.legend} yet: it is {active}"], Exit.UNIT
    return [], Exit.DONE


def _unplaced(report: UnitReport, done: Pass) -> tuple[list[str], Exit]:
    wanted = done.state.wanted.get(report.name)
    if wanted is not None and wanted.unit.requirements.is_global:
        # fleet: a global unit runs wherever it fits, and nowhere is not a failure.
        return [f"Unit {report.name} is global and fits no machine now"], Exit.DONE
    lines = refusal_lines(report.refusals, done.survey.machines)
    return [f"Unit {report.name} is not placed: no machine can take it", *lines], Exit.UNIT


def _failed(report: UnitReport, machine: Machine) -> list[str]:
    found = report.found
    why = describe_failure(found).removeprefix(" (").removesuffix(")") if found else ""
    if not why and found and found.ending:
        why = str(found.ending)
    log = found.detail.log if found and found.detail else ()
    head = f"Unit {report.name} failed on {machine.legend}"
    return [f"{head}: {why}" if why else head, *(f"  {line}" for line in log[-LOG_LINES:])]


def _missing(report: UnitReport, machine: Machine, done: Pass) -> list[str]:
    name = report.name
    if name in done.withheld:
        return [_withheld(name)]
    if trouble := _trouble(done, machine.host, name):
        return [f"Unit {name} failed on {machine.legend}: {trouble.action}: {trouble.message}"]
    sighting = done.sightings.get(machine.host)
    if isinstance(sighting, Reached) and name in sighting.occupied:
        return [
            f"Unit {name} cannot go on {machine.legend}: it has a unit of its own, {sighting.occupied[name]}"
        ]
    if isinstance(sighting, Reached) and name in sighting.strangers:
        return [f"Unit {name} cannot go on {machine.legend}: a file of that name is not ours and in the way"]
    if report.found is None:
        return [f"Unit {name} is missing on {machine.legend}"]
    return [f"Unit {name} does not run on {machine.legend}"]


def _trouble(done: Pass, host: str, name: str) -> Outcome | None:
    mine = [outcome for at, outcome in done.troubles if at == host and outcome.unit in (name, "")]
    return max(mine, key=lambda outcome: outcome.unit == name, default=None)


def _still_runs(report: UnitReport, machine: Machine, done: Pass) -> bool:
    """Whether this pass told it to stop and systemd is not through with that."""
    told = any(
        step.action is Action.STOP and step.unit == report.name
        for wave in done.plan.waves
        for visit in wave
        if visit.host == machine.host
        for step in visit.steps
    )
    return told and report.found is not None and report.found.active in RUNNING


def lingering(name: str, done: Pass, before: Set[str]) -> tuple[list[str], Exit]:
    """Where a unit that was to be taken off still is, or may be. ``before`` holds the ids of the machines
    that it was last known to be on; a lost machine is not waited for."""
    lines: list[str] = []
    codes: set[Exit] = set()
    for machine in done.survey.machines:
        sighting = done.sightings.get(machine.host)
        if isinstance(sighting, Unreached) and machine.id in before and machine.health is not Health.LOST:
            lines.append(
                f"Unit {name} may still run on {machine.legend}, which does not answer "
                f"({failure_text(sighting)}); it is removed there when it answers again"
            )
            codes.add(Exit.MACHINE)
        elif isinstance(sighting, Reached) and any(item.entry.name == name for item in sighting.found):
            trouble = _trouble(done, machine.host, name)
            why = f": {trouble.action}: {trouble.message}" if trouble else ""
            lines.append(f"Unit {name} could not be removed from {machine.legend}{why}")
            codes.add(Exit.UNIT)
    return lines, min(codes, default=Exit.DONE)
