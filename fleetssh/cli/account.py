"""What a verb answers once its passes are over: one line a unit, what else happened, and the exit code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from fleetssh.cli.exits import Exit, combine
from fleetssh.cli.output import note, say
from fleetssh.cli.replacing import changed_line
from fleetssh.cli.standing import is_refused, lingering, occupied_line, problem
from fleetssh.cli.telling import alarm_lines, done_lines, touched_units, trouble_lines, unreached_lines
from fleetssh.control.commands import Change
from fleetssh.control.result import Pass
from fleetssh.control.waiting import PATIENT, reports_of
from fleetssh.core.mending import RUNNING
from fleetssh.core.model import MachineRecord, TargetState
from fleetssh.core.report import DONE, UnitReport, Verdict
from fleetssh.core.sighting import Reached

AT_ONCE = frozenset({Verdict.UNPLACED, Verdict.UNKNOWN})
"""What is known to have gone wrong without waiting for it."""


@dataclass(frozen=True, slots=True)
class Work:
    """How a verb is carried out. ``block``: it waits for its units, up to ``limit`` seconds; ``wait``: also
    for machines that can take them. ``done`` is fleet's word for its success, empty for verbs without."""

    verb: str
    block: bool
    limit: float
    done: str = ""
    wait: bool = False


@dataclass(slots=True)
class Course:
    """The passes of one command: the first and the last, and what is to be known of all of them. ``seconds``
    is how long they took; ``waits`` are the units of which it was told already what they wait for."""

    last: Pass
    seconds: float = 0.0
    waits: frozenset[str] = frozenset()
    first: Pass = field(init=False)
    touched: set[str] = field(init=False)
    earlier: list[Pass] = field(init=False)

    def __post_init__(self) -> None:
        self.first = self.last
        self.touched = touched_units(self.last)
        self.earlier = []

    def add(self, done: Pass) -> None:
        """A further pass; one that did nothing leaves nothing to tell."""
        if self.last.done or self.last.plan.layout.moves or self.last is self.first:
            self.earlier.append(self.last)
        self.last = done
        self.touched |= touched_units(done)


def last_on(name: str, change: Change, records: Mapping[str, MachineRecord]) -> set[str]:
    """The ids of the machines that a unit was placed on or seen on before the change."""
    placement = change.before.placements.get(name)
    seen = {r.machine_id for r in records.values() if any(known.name == name for known in r.seen)}
    return seen | ({placement.machine} if placement else set())


@dataclass(slots=True)
class Account:
    """What is to be told: the answer, the notes, the exit codes, and the units that it went well for.
    ``records`` is what was known of the machines before."""

    change: Change
    work: Work
    records: Mapping[str, MachineRecord]
    answer: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    codes: list[Exit] = field(default_factory=list)
    succeeded: list[str] = field(default_factory=list)
    told: set[str] = field(default_factory=set)

    def tell(self, course: Course) -> None:
        """Adds everything that the passes showed, the named units first and in the order given."""
        replaced = {unit.name: unit for unit in self.change.resolution.replaced}
        for name in self.change.resolution.names:
            if name in replaced:
                self.answer.append(changed_line(replaced[name], self.change, course.first))
            self._tell_unit(name, course)
        self._tell_passes(course)

    def close(self) -> Exit:
        """Prints it all; the one exit code for it."""
        if self.work.done and (self.succeeded or not any(self.codes)):
            self.notes.append(f"Successfully {self.work.done} units [{' '.join(self.succeeded)}].")
        say(*self.answer)
        note(*self.notes)
        return combine(self.codes)

    # ------------------------------------------------------------ units

    def _add(self, name: str, lines: list[str], code: Exit) -> None:
        self.notes += lines
        self.codes.append(code)
        if lines:
            self.told.add(name)

    def _tell_unit(self, name: str, course: Course) -> None:
        state, code = self._tell_standing(name, course)
        work, touched = self.work, name in course.touched
        if name not in self.change.changed and not touched and _stood(name, course.first):
            return
        before, after = self.change.before.wanted, self.change.state.wanted
        is_global = (after.get(name) or before[name]).unit.requirements.is_global
        if work.verb == "destroy":
            self.answer += [] if code else [f"Destroyed {name}"]
        elif is_global:
            self.answer.append(f"Triggered global unit {name} {work.verb}")
        elif not work.block:
            self.answer.append(f"Triggered unit {name} {work.verb}")
            self.succeeded += [] if code else [name]
        elif not code:
            self.answer += [f"Unit {name} {state}"] if state else []
            self.succeeded.append(name)

    def _tell_standing(self, name: str, course: Course) -> tuple[str, Exit]:
        """How a unit stands (empty when that is told as a note), and the code for it."""
        done = course.last
        mine, now = self.change.state.wanted.get(name), done.state.wanted.get(name)
        if mine is None or mine.target is TargetState.INACTIVE:
            self._add(name, *lingering(name, done, last_on(name, self.change, self.records)))
            return "inactive", self.codes[-1]
        if now is None or now.target is not mine.target:
            is_now = f"its target state is {now.target} now" if now else "it was destroyed"
            self._add(name, [f"Unit {name} was changed by somebody else meanwhile: {is_now}"], Exit.UNIT)
            return "", Exit.UNIT
        codes = []
        state = ""
        for report in reports_of(done, (name,)):
            if self.work.verb == "stop" and report.found and report.found.active in RUNNING:
                report = replace(report, verdict=Verdict.STOPPING)
            where = f" on {report.machine.legend}" if report.machine else ""
            state = "" if report.verdict is Verdict.RESTING else f"{report.verdict}{where}"
            if self.work.verb == "stop" and report.verdict is Verdict.UNPLACED:
                state = ""
                codes.append(self._tell_nothing_to_stop(name, done))
            elif self.work.block or report.verdict in AT_ONCE or is_refused(report, done):
                lines, code = problem(report, done, course.seconds)
                if code and name in course.waits and report.verdict in PATIENT:
                    lines = [f"Unit {name} waits still, after {course.seconds:.0f} s"]
                self._add(name, lines, code)
                codes.append(code)
        return state, combine(codes)

    def _tell_nothing_to_stop(self, name: str, done: Pass) -> Exit:
        """What has no machine does not run, and that is what ``stop`` is for (fleet refused, A14)."""
        lines, code = lingering(name, done, last_on(name, self.change, self.records))
        if not lines:
            advice = f"'fleetssh unload {name}' makes that inactive"
            lines = [f"Unit {name} is on no machine; it is loaded when one can take it, {advice}"]
        self._add(name, lines, code)
        return code

    # ------------------------------------------------------------ passes

    def _tell_passes(self, course: Course) -> None:
        """What else the passes saw and did; it counts only where it is about the units that were named."""
        done, named = course.last, frozenset(self.change.resolution.names)
        for earlier in course.earlier:
            self.notes += [f"also: {line}" for line in done_lines(earlier, named | {""})]
            self.notes += _occupied_lines(reports_of(earlier, self.change.resolution.names), earlier)
        self.notes += [f"also: {line}" for line in done_lines(done, named | {""})]
        self.notes += trouble_lines(done, self.told, self.notes)
        if any(outcome.unit in named - self.told for _, outcome in done.troubles):
            self.codes.append(Exit.UNIT)
        self.notes += unreached_lines(done.sightings, done.survey.machines, done.records)
        self.notes += alarm_lines(done)
        if done.survey.alarm:
            self.codes.append(Exit.MACHINE)
        if any(self.codes) and done.is_fenced:
            # Whatever else is wrong is for the controller that the machines obey.
            self.codes = [Exit.REFUSED]


def _stood(name: str, done: Pass) -> bool:
    """Whether a unit was as it should be before the pass did anything."""
    before = replace(done, sightings=done.survey.sightings)
    return all(report.verdict in DONE for report in reports_of(before, (name,)))


def _occupied_lines(reports: tuple[UnitReport, ...], done: Pass) -> list[str]:
    """The machines that a pass found to have a unit of their own by the name of one that was named."""
    return [
        occupied_line(report.name, report.machine, sighting.occupied[report.name])
        for report in reports
        if report.machine is not None
        and isinstance(sighting := done.sightings.get(report.machine.host), Reached)
        and report.name in sighting.occupied
    ]
