"""What a pass saw and did, in words: functions from values to lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set

from fleetssh.cli.render import duration
from fleetssh.control.result import Pass
from fleetssh.core.model import Action, Machine, MachineRecord, Move, Plan, Refusal, Step
from fleetssh.core.outcomes import JOBS
from fleetssh.core.sighting import Outcome, Sighting, Unreached

Named = tuple[str, str]
"""A line and the unit that it is about (empty for none)."""


# ---------------------------------------------------------------- steps and moves


def work_lines(plan: Plan) -> list[str]:
    """Every change of the schedule and every step, in the order of the plan: what ``plan`` prints."""
    return [line for line, _ in _moves(plan)] + [line for line, _ in _steps(plan)]


def done_lines(done: Pass, without: Set[str] = frozenset()) -> list[str]:
    """The lines of ``work_lines`` for what was really done, but for those about the units ``without``."""
    steps = [(_step(host, step), step.unit) for host, step in done.done]
    return [line for line, unit in [*_moves(done.plan), *steps] if unit not in without]


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


def trouble_lines(done: Pass, without: Set[str] = frozenset(), told: Sequence[str] = ()) -> list[str]:
    """Steps that a machine answered with an error, and starts that were kept back, but for what is about the
    units ``without``, and for a fault of a whole visit that a line of ``told`` has named with its machine."""
    legends = {machine.host: machine.legend for machine in done.survey.machines}
    lines = [
        f"{host}: {trouble_text(outcome)}"
        for host, outcome in done.troubles
        if outcome.unit not in without
        and not _is_told(outcome, without)
        and not any(legends[host] in line and trouble_text(outcome) in line for line in told)
    ]
    return lines + [withheld_line(name) for name in sorted(done.withheld - without)]


def trouble_text(outcome: Outcome) -> str:
    """What a machine said of a step that it could not do; a ``note`` is about the whole visit."""
    message = outcome.message.replace("\n", "; ")
    if outcome.action is Action.NOTE:
        return message
    return f"{' '.join(filter(None, (outcome.action, outcome.unit)))} failed: {message}"


def _is_told(outcome: Outcome, told: Set[str]) -> bool:
    """Whether a failed job of several units together says nothing beyond what is told of each unit."""
    if outcome.unit or outcome.action not in JOBS:
        return False
    return not outcome.message or any(name in outcome.message for name in told)


def withheld_line(name: str) -> str:
    """That a unit was not started because its old copy may still run (rule 5)."""
    return f"Unit {name} was not started anew: its old copy was not seen to have stopped; the next pass tries"


def waits_for(name: str, planned: Pass) -> str:
    """What a unit waits for before it is started where it belongs, beginning with ``waits``; or nothing."""
    head = f"Unit {name} "
    found = (text.removeprefix(head) for text in planned.plan.remarks if text.startswith(f"{head}waits"))
    return next(found, "")


# ---------------------------------------------------------------- machines


def unreached_lines(
    sightings: Mapping[str, Sighting], machines: Sequence[Machine], records: Mapping[str, MachineRecord]
) -> list[str]:
    """One line for each host that did not answer, what that means for its units, and when it last did."""
    known = {machine.host: machine for machine in machines}
    return [
        f"{_host_title(host, known.get(host))}: {sighting.why}{second_opinion(sighting, records.get(host))}; "
        f"{_meaning(records.get(host))}{last_answer(sighting, records.get(host))}"
        for host, sighting in sorted(sightings.items())
        if isinstance(sighting, Unreached)
    ]


def second_opinion(sighting: Unreached, record: MachineRecord | None) -> str:
    """``; m2 reaches its SSH port``: what other machines said of one that is silent; empty without a word."""
    if record is None or not record.failure.startswith(sighting.why):
        return ""
    return record.failure.removeprefix(sighting.why)


def last_answer(sighting: Sighting | None, record: MachineRecord | None) -> str:
    """``; last answered 35s ago``: how old what is known of a machine in doubt is; empty without an age."""
    if not isinstance(sighting, Unreached) or record is None or not record.last_good:
        return ""
    return f"; last answered {duration(sighting.seen_at - record.last_good)} ago"


def alarm_lines(done: Pass) -> list[str]:
    """What is wrong with the cluster as a whole, or nothing."""
    return [f"ALARM: {done.survey.alarm}"] if done.survey.alarm else []


def _host_title(host: str, machine: Machine | None) -> str:
    return f"{host} ({machine.short_id}...)" if machine else host


def _meaning(record: MachineRecord | None) -> str:
    if record is None:
        return "never seen, so nothing is placed on it"
    return "lost, its units move" if record.lost else "doubtful, it keeps its units"


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
