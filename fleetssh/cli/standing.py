"""How units stand after a pass, in words: what keeps each from being what it should be."""

from __future__ import annotations

from collections.abc import Set

from fleetssh.cli.exits import Exit
from fleetssh.cli.telling import last_answer, refusal_lines, trouble_text, withheld_line
from fleetssh.control.result import Pass
from fleetssh.core.doubt import NAMESAKE, UNANSWERED, Doubt
from fleetssh.core.mending import RUNNING
from fleetssh.core.model import Health, Machine, TargetState
from fleetssh.core.outcomes import JOBS
from fleetssh.core.remarks import describe_failure
from fleetssh.core.report import UnitReport, Verdict
from fleetssh.core.sighting import Outcome, Reached, Unreached
from fleetssh.core.unitfile import parse

LOG_LINES = 10
"""Of a failed unit: enough to see why, and fleet's own default for ``journal``."""

WHEN = {
    UNANSWERED: "when {host} answers or is lost",
    NAMESAKE: "when {host} does not hold that any more",
}
"""When what waits for a machine in doubt is started; else by the next pass."""


def problem(report: UnitReport, done: Pass, waited: float = 0.0) -> tuple[list[str], Exit]:
    """What keeps a unit from being what it should be, and its code; ``DONE`` when that is no trouble.
    ``waited`` is in seconds."""
    name, machine = report.name, report.machine
    if report.verdict is Verdict.UNPLACED:
        return _unplaced(report, done)
    if machine is None:
        return [], Exit.DONE
    match report.verdict:
        case Verdict.UNKNOWN:
            return _unknown(name, machine, done), Exit.MACHINE
        case Verdict.RESTING:
            line = f"Unit {name} rests on {machine.legend}: a unit that it is bound to does not run"
            return [line], Exit.DONE
        case Verdict.FAILED:
            return _failed(report, machine, done), Exit.UNIT
        case Verdict.STARTING:
            line = f"Unit {name} is still starting on {machine.legend} after {waited:.0f} s"
            return [f"{line}; 'fleetssh status {name}' shows more"], Exit.UNIT
        case Verdict.STOPPING:
            return _stopping(report, machine, done), Exit.UNIT
        case Verdict.MISSING if doubt := _awaited(name, machine, done):
            return _waiting(machine, doubt), Exit.MACHINE
        case Verdict.MISSING:
            return _missing(report, machine, done), Exit.UNIT
        case Verdict.LAUNCHED:
            return _ended(report, machine, done), Exit.DONE
        case _:
            return [], Exit.DONE


def _ended(report: UnitReport, machine: Machine, done: Pass) -> list[str]:
    """That a service is through already: no failure, but not what most people mean by ``start``; often it has
    gone to the background without ``Type=forking``."""
    name = report.name
    if report.found is None or report.found.active != "inactive" or not name.endswith(".service"):
        return []
    if parse(done.state.wanted[name].unit.text).values("Service", "Type")[-1:] == ("oneshot",):
        return []
    return [f"Unit {name} has ended by itself on {machine.legend}, with success: nothing of it runs now"]


def is_refused(report: UnitReport, done: Pass) -> bool:
    """Whether its machine has said why a unit is not there as it should be: that needs no waiting for."""
    if report.verdict is not Verdict.MISSING or report.machine is None:
        return False
    host, name = report.machine.host, report.name
    sighting = done.sightings.get(host)
    in_the_way = isinstance(sighting, Reached) and (name in sighting.occupied or name in sighting.strangers)
    return in_the_way or _trouble(done, host, name) is not None


def _unknown(name: str, machine: Machine, done: Pass) -> list[str]:
    sighting = done.sightings.get(machine.host)
    why = f" ({sighting.why})" if isinstance(sighting, Unreached) else ""
    age = last_answer(sighting, done.records.get(machine.host))
    return [
        f"Unit {name} belongs on {machine.legend}, which does not answer{why}{age}",
        "  'fleetssh reconcile' carries this out when it answers again",
    ]


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


def _awaited(name: str, machine: Machine, done: Pass) -> Doubt | None:
    """Where a unit that is to start on ``machine`` may still run, if anywhere."""
    is_global = name in done.plan.layout.globals_on.get(machine.id, ())
    doubt = done.survey.in_doubt.get(name)
    return None if doubt is None or is_global or doubt.host == machine.host else doubt


def _waiting(machine: Machine, doubt: Doubt) -> list[str]:
    when = WHEN.get(doubt.reason, "by the next pass then").format(host=doubt.host)
    return [doubt.sentence, f"  it is started on {machine.legend} {when}"]


def _missing(report: UnitReport, machine: Machine, done: Pass) -> list[str]:
    name = report.name
    if name in done.withheld:
        return [withheld_line(name)]
    sighting = done.sightings.get(machine.host)
    if isinstance(sighting, Reached) and name in sighting.occupied:
        line = occupied_line(name, machine, sighting.occupied[name])
        return [f"{line}; the next pass leaves that machine out"]
    if isinstance(sighting, Reached) and name in sighting.strangers:
        return [f"Unit {name} cannot go on {machine.legend}: a file of that name is not ours and in the way"]
    if trouble := _trouble(done, machine.host, name):
        return [f"Unit {name} is not on {machine.legend} as it should be: {trouble_text(trouble)}"]
    if report.found is None:
        return [f"Unit {name} is missing on {machine.legend}"]
    if report.found.active in RUNNING:
        line = f"Unit {name} still runs on {machine.legend} as it was before"
        return [f"{line}; 'fleetssh reconcile' goes on with it"]
    return [f"Unit {name} does not run on {machine.legend}"]


def occupied_line(name: str, machine: Machine, path: str) -> str:
    """That a machine cannot take a unit because its own system has one by that name."""
    return f"Unit {name} cannot go on {machine.legend}: it has a unit of its own, {path}"


def _trouble(done: Pass, host: str, name: str) -> Outcome | None:
    mine = [outcome for at, outcome in done.troubles if at == host and outcome.unit in (name, "")]
    return max(mine, key=lambda outcome: outcome.unit == name, default=None)


def _stopping(report: UnitReport, machine: Machine, done: Pass) -> list[str]:
    """A stop that is not through: what systemd says, and what a person may do."""
    name, active = report.name, report.found.active if report.found else ""
    wanted = done.state.wanted.get(name)
    waits = wanted is not None and wanted.target is TargetState.LAUNCHED
    trouble = _trouble(done, machine.host, name)
    if active != "deactivating" and trouble:
        return [f"Unit {name} still runs on {machine.legend}: {trouble_text(trouble)}"]
    after = ", and its new file waits for that" if waits else ""
    return [
        f"Unit {name} has not stopped on {machine.legend} yet: it is {active}{after}",
        *_ways(name, machine),
    ]


def _ways(name: str, machine: Machine) -> list[str]:
    kill = f"fleetssh ssh {machine.host} -- systemctl kill -s KILL {name}"
    return [
        f"  systemd goes on stopping it for as long as its TimeoutStopSec= says; at once: {kill}",
        "  the rest is done by 'fleetssh reconcile' then",
    ]


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
                f"{last_answer(sighting, done.records.get(machine.host))}"
            )
            codes.add(Exit.MACHINE)
        elif isinstance(sighting, Reached) and any(item.entry.name == name for item in sighting.found):
            lines += _left(name, machine, sighting, done)
            codes.add(Exit.UNIT)
    return lines, min(codes, default=Exit.DONE)


def _left(name: str, machine: Machine, sighting: Reached, done: Pass) -> list[str]:
    found = next(item for item in sighting.found if item.entry.name == name)
    if found.active == "deactivating":
        line = f"Unit {name} has not stopped on {machine.legend} yet, so it is still there"
        return [line, *_ways(name, machine)]
    trouble = _trouble(done, machine.host, name)
    why = f": {trouble_text(trouble)}" if trouble else ""
    return [f"Unit {name} could not be removed from {machine.legend}{why}"]
