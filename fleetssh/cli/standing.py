"""How units stand after a pass, in words: what keeps each from being what it should be."""

from __future__ import annotations

from collections.abc import Set

from fleetssh.cli.exits import Exit
from fleetssh.cli.telling import refusal_lines, trouble_text, withheld_line
from fleetssh.control.reconcile import Pass
from fleetssh.core.mending import RUNNING
from fleetssh.core.model import Action, Health, Machine, Outcome, Reached, Unreached
from fleetssh.core.outcomes import JOBS
from fleetssh.core.planning import describe_failure
from fleetssh.core.report import UnitReport, Verdict

LOG_LINES = 10
"""Of a failed unit: enough to see why, and fleet's own default for ``journal``."""


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
        why = f" ({sighting.why})" if isinstance(sighting, Unreached) else ""
        return [
            f"Unit {name} belongs on {machine.legend}, which does not answer{why}",
            "  'fleetssh reconcile' carries this out when it answers again",
        ], Exit.MACHINE
    if report.verdict is Verdict.RESTING:
        return [f"Unit {name} rests on {machine.legend}: a unit that it is bound to does not run"], Exit.DONE
    if report.verdict is Verdict.FAILED:
        return _failed(report, machine, done), Exit.UNIT
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
    # Where no machine answers, it is not the unit's fault.
    answers = any(machine.health is Health.UP for machine in done.survey.machines)
    code = Exit.UNIT if answers else Exit.MACHINE
    return [f"Unit {report.name} is not placed: no machine can take it", *lines], code


def _failed(report: UnitReport, machine: Machine, done: Pass) -> list[str]:
    found = report.found
    why = describe_failure(found).removeprefix(" (").removesuffix(")") if found else ""
    why = why or _refused(report.name, machine.host, done)
    if not why and found and found.ending:
        why = str(found.ending)
    log = found.detail.log if found and found.detail else ()
    head = f"Unit {report.name} failed on {machine.legend}"
    return [f"{head}: {why}" if why else head, *(f"  {line}" for line in log[-LOG_LINES:])]


def _refused(name: str, host: str, done: Pass) -> str:
    """What systemd said when it did not even begin to start a unit: which unit that it needs is missing."""
    jobs = [outcome for at, outcome in done.troubles if at == host and outcome.action in JOBS]
    return "; ".join(line for outcome in jobs for line in outcome.message.splitlines() if name in line)


def _missing(report: UnitReport, machine: Machine, done: Pass) -> list[str]:
    name = report.name
    if name in done.withheld:
        return [withheld_line(name)]
    if trouble := _trouble(done, machine.host, name):
        return [f"Unit {name} is not on {machine.legend} as it should be: {trouble_text(trouble)}"]
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
                f"({sighting.why}); it is removed there when it answers again"
            )
            codes.add(Exit.MACHINE)
        elif isinstance(sighting, Reached) and any(item.entry.name == name for item in sighting.found):
            trouble = _trouble(done, machine.host, name)
            why = f": {trouble_text(trouble)}" if trouble else ""
            lines.append(f"Unit {name} could not be removed from {machine.legend}{why}")
            codes.add(Exit.UNIT)
    return lines, min(codes, default=Exit.DONE)
