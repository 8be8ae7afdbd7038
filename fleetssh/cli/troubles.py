"""What is wrong after a pass, told once by ``reconcile`` and as long as it is news by ``run``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from fleetssh.cli.exits import Exit, combine
from fleetssh.cli.standing import problem
from fleetssh.cli.telling import (
    alarm_lines,
    second_opinion,
    touched_units,
    trouble_lines,
    unreached_lines,
)
from fleetssh.control.result import Pass
from fleetssh.control.waiting import reports_of
from fleetssh.core.health import health_of
from fleetssh.core.model import TargetState
from fleetssh.core.report import Verdict

PASSING = frozenset({Verdict.STARTING, Verdict.UNKNOWN})
"""Not told of single units: a start that goes on is no trouble, and silence is told of its machine."""

COUNTED = re.compile(r"\b\d+ s\b")
"""Seconds that a remark counts down."""

MACHINE, UNIT = "machine", "unit"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that is wrong. Its ``key`` is the same as long as nothing about it changes that anybody would
    want to hear of: ages, process numbers and log lines don't count. It begins with the kind of trouble and
    the machine or unit."""

    key: tuple[str, ...]
    lines: tuple[str, ...]


def troubles_of(done: Pass) -> tuple[list[Trouble], Exit]:
    """All that is wrong after a pass, in the order in which it is told, and the exit code for it."""
    units, code = _units(done)
    told = {trouble.key[1] for trouble in units}
    steps = [Trouble(("step", line), (line,)) for line in trouble_lines(done, told)]
    alarms = [Trouble(("alarm", line), (line,)) for line in alarm_lines(done)]
    remarks = [Trouble(("remark", COUNTED.sub("", text)), (text,)) for text in done.plan.remarks]
    found = [*remarks, *_machines(done), *units, *steps, *alarms]
    if done.is_fenced:
        # Whatever else is wrong is for the controller that the machines obey.
        return found, Exit.REFUSED
    codes = [code, *(Exit.UNIT for _ in steps), *(Exit.MACHINE for _ in (*done.unreached, *alarms))]
    return found, combine(codes)


def _machines(done: Pass) -> Iterator[Trouble]:
    for sighting in done.unreached:
        host, record = sighting.host, done.records.get(sighting.host)
        lines = unreached_lines({host: sighting}, done.survey.machines, done.records)
        # A cable that is cut is told by timeouts and by missing routes in turn.
        failure = "silence" if sighting.failure.is_silence else sighting.failure
        health = health_of(record) if record else ""
        yield Trouble((MACHINE, host, failure, health, second_opinion(sighting, record)), tuple(lines))


def _units(done: Pass) -> tuple[list[Trouble], Exit]:
    """What is wrong with units; failures of old, and what waits for a machine in doubt, are among the remarks
    already."""
    names = [n for n, w in sorted(done.state.wanted.items()) if w.target is not TargetState.INACTIVE]
    touched = touched_units(done)
    codes, troubles = [], []
    for report in reports_of(done, tuple(names)):
        if report.verdict in PASSING:
            continue
        lines, code = problem(report, done)
        codes.append(code)
        known = report.verdict is Verdict.FAILED and report.name not in touched
        waits = report.verdict is Verdict.MISSING and code is Exit.MACHINE
        if code and not known and not waits:
            machine = report.machine.id if report.machine else ""
            troubles.append(Trouble((UNIT, report.name, machine, report.verdict.value), tuple(lines)))
    return troubles, combine(codes)
