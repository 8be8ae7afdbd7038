"""From a change of what is wanted to what became of it: one pass, a bounded wait, one line a unit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from fleetssh import clock
from fleetssh.cli.exits import Exit, combine
from fleetssh.cli.output import note, progress, say
from fleetssh.cli.render import plural
from fleetssh.cli.session import Session
from fleetssh.cli.standing import lingering, problem
from fleetssh.cli.telling import (
    alarm_lines,
    done_lines,
    touched_units,
    trouble_lines,
    unreached_lines,
)
from fleetssh.control.commands import Change
from fleetssh.control.reconcile import Pass, run_pass
from fleetssh.control.waiting import WAIT_SECONDS, await_units, reports_of
from fleetssh.core.model import MachineRecord, TargetState
from fleetssh.core.report import DONE, Verdict
from fleetssh.wire.script import START_WAIT_SECONDS

AT_ONCE = frozenset({Verdict.UNPLACED, Verdict.UNKNOWN})
"""What is known to have gone wrong without waiting for it."""


@dataclass(frozen=True, slots=True)
class Work:
    """How a verb is carried out: whether it waits and how long (seconds, ``None`` for the default).
    ``done`` is fleet's word for its success, empty for verbs that print none."""

    verb: str
    block: bool
    limit: float | None
    done: str = ""


@dataclass(slots=True)
class _Account:
    """What is to be told: the answer, the notes, the exit codes, and the units that it went well for."""

    answer: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    codes: list[Exit] = field(default_factory=list)
    succeeded: list[str] = field(default_factory=list)
    told: set[str] = field(default_factory=set)

    def add(self, name: str, lines: list[str], code: Exit) -> None:
        """Adds a finding about a unit."""
        self.notes += lines
        self.codes.append(code)
        if lines:
            self.told.add(name)


def carry_out(session: Session, change: Change, work: Work, retry: frozenset[str] = frozenset()) -> Exit:
    """Runs the pass that a change needs and tells what became of the units that were named."""
    records = session.store.machines()
    account = _Account()
    if _needs_pass(change, records):
        started = clock.monotonic()
        done = _run(session, change, work, retry)
        waited = clock.monotonic() - started
        for name in change.resolution.names:
            _tell_unit(name, change, done, work, records, waited, account)
        _tell_pass(change, done, account)
    elif work.verb == "destroy":
        account.answer += [f"Destroyed {name}" for name in change.resolution.names]
    if work.done and (account.succeeded or not any(account.codes)):
        account.notes.append(f"Successfully {work.done} units [{' '.join(account.succeeded)}].")
    say(*account.answer)
    note(*account.notes)
    return combine(account.codes)


def _needs_pass(change: Change, records: Mapping[str, MachineRecord]) -> bool:
    """False when none of the named units is on a machine or is to be on one: no machine is visited then."""
    return any(
        _last_on(name, change, records)
        or any(
            name in state.wanted and state.wanted[name].target is not TargetState.INACTIVE
            for state in (change.before, change.state)
        )
        for name in change.resolution.names
    )


def _last_on(name: str, change: Change, records: Mapping[str, MachineRecord]) -> set[str]:
    """The ids of the machines that a unit was placed on or seen on before the change."""
    placement = change.before.placements.get(name)
    seen = {r.machine_id for r in records.values() if any(known.name == name for known in r.seen)}
    return seen | ({placement.machine} if placement else set())


def _run(session: Session, change: Change, work: Work, retry: frozenset[str]) -> Pass:
    cluster = session.cluster
    limit = WAIT_SECONDS if work.limit is None else work.limit
    with progress(f"visiting {plural(len(cluster.inventory.hosts), 'machine')} ..."):
        with session.hold():
            visit_wait = min(math.ceil(limit), START_WAIT_SECONDS) if work.block else 0
            done = run_pass(cluster, retry, wait_seconds=visit_wait)
        return await_units(cluster, done, change.resolution.names, limit) if work.block else done


# ---------------------------------------------------------------- telling


def _tell_unit(
    name: str,
    change: Change,
    done: Pass,
    work: Work,
    records: Mapping[str, MachineRecord],
    waited: float,
    account: _Account,
) -> None:
    stored = change.state.wanted.get(name) or change.before.wanted[name]
    going = name not in change.state.wanted or stored.target is TargetState.INACTIVE
    if going:
        state = "inactive"
        lines, code = lingering(name, done, _last_on(name, change, records))
        account.add(name, lines, code)
    else:
        state, code = _tell_standing(name, done, work, waited, account)
    if name not in change.changed and name not in touched_units(done) and _stood(name, done):
        return
    if work.verb == "destroy":
        account.answer += [] if code else [f"Destroyed {name}"]
    elif stored.unit.requirements.is_global:
        account.answer.append(f"Triggered global unit {name} {work.verb}")
    elif not work.block:
        account.answer.append(f"Triggered unit {name} {work.verb}")
        account.succeeded += [] if code else [name]
    elif not code:
        account.answer += [f"Unit {name} {state}"] if state else []
        account.succeeded.append(name)


def _tell_standing(name: str, done: Pass, work: Work, waited: float, account: _Account) -> tuple[str, Exit]:
    """How a unit that should be somewhere stands (empty when that is told as a note), and the code for it."""
    state = ""
    codes = []
    for report in reports_of(done, (name,)):
        where = f" on {report.machine.legend}" if report.machine else ""
        state = "" if report.verdict is Verdict.RESTING else f"{report.verdict}{where}"
        if work.block or report.verdict in AT_ONCE:
            lines, code = problem(report, done, waited)
            account.add(name, lines, code)
            codes.append(code)
    return state, combine(codes)


def _stood(name: str, done: Pass) -> bool:
    """Whether a unit was as it should be before the pass did anything."""
    before = replace(done, sightings=done.survey.sightings)
    return all(report.verdict in DONE for report in reports_of(before, (name,)))


def _tell_pass(change: Change, done: Pass, account: _Account) -> None:
    """What else the pass saw and did; it counts only where it is about the units that were named."""
    named = frozenset(change.resolution.names)
    account.notes += [f"also: {line}" for line in done_lines(done, named | {""})]
    account.notes += trouble_lines(done, account.told)
    if any(outcome.unit in named - account.told for _, outcome in done.troubles):
        account.codes.append(Exit.UNIT)
    account.notes += unreached_lines(done.sightings, done.survey.machines, done.records)
    account.notes += alarm_lines(done)
    if done.survey.alarm:
        account.codes.append(Exit.MACHINE)
