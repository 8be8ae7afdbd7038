"""Waiting until units are what they should be: looks at machines that are still at it, then more passes."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace

from fleetssh import clock
from fleetssh.control.cluster import Cluster
from fleetssh.control.result import Pass
from fleetssh.control.survey import look_at
from fleetssh.core.model import Action, TargetState
from fleetssh.core.report import UnitReport, Verdict, report_unit
from fleetssh.core.sighting import Reached

WAIT_SECONDS = 120.0
"""Above systemd's own default limit for a start (90 s): a slower unit has raised that limit itself."""

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 2.0
"""Pauses between looks double from the first to the longest: quick units are told at once, slow ones
cost their machine little."""

PATIENT = frozenset({Verdict.UNPLACED, Verdict.UNKNOWN, Verdict.MISSING})
"""What may become well by itself, with other machines or when a silent one answers (``--wait``)."""


def reports_of(done: Pass, names: tuple[str, ...]) -> tuple[UnitReport, ...]:
    """How the named units stand after a pass, in the order given."""
    return tuple(
        report
        for name in names
        for report in report_unit(name, done.state, done.plan.layout, done.survey.machines, done.sightings)
    )


def await_units(cluster: Cluster, done: Pass, names: tuple[str, ...], limit_seconds: float) -> Pass:
    """The same pass with newer sightings: returns when systemd has no job left for any named unit, or at the
    limit. No pass is needed for that, nor anybody's lock."""
    deadline = clock.monotonic() + limit_seconds
    pause = FIRST_PAUSE_SECONDS
    while True:
        busy = {
            report.machine.host
            for report in reports_of(done, names)
            if report.machine is not None and _is_at_it(report, done)
        }
        if not busy or clock.monotonic() + pause > deadline:
            return done
        clock.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        done = replace(done, sightings={**done.sightings, **look_at(cluster, busy)})


def _is_at_it(report: UnitReport, done: Pass) -> bool:
    if report.verdict is Verdict.STOPPING:
        # Whatever comes after the stop (a new file, its removal) needs a visit.
        going = report.found is not None and report.found.active == "deactivating"
        return going and done.state.wanted[report.name].target is TargetState.LOADED
    return report.verdict is Verdict.STARTING


def needs_another_pass(done: Pass, names: tuple[str, ...], *, patient: bool, again: bool = False) -> bool:
    """Whether a further pass may bring the named units on: because a stop has to end first, their own or that
    of a unit that they must not run beside, because a machine turned out to have a unit of its own by that
    name, or, for the ``patient``, because machines change.

    With ``again`` also because a visit failed as a whole: somebody else's may have come in between.
    """
    slow = {(host, outcome.unit) for host, outcome in done.troubles if outcome.action is Action.STOP}
    failed = {host for host, outcome in done.troubles if again and outcome.action is Action.NOTE}
    apart = {outcome.unit for _, outcome in done.troubles if outcome.action is Action.START}
    return any(name in apart or _is_unfinished(name, done, slow, failed, patient) for name in names)


def _is_unfinished(
    name: str, done: Pass, slow: Set[tuple[str, str]], failed: Set[str], patient: bool
) -> bool:
    """``slow`` names the units that did not stop in their visit, and where; ``failed`` the hosts whose visit
    did nothing."""
    if any(unit == name and _holds(name, done, host) for host, unit in slow):
        return True
    if any(_holds(name, done, host) for host in failed):
        return True
    wanted = done.state.wanted.get(name)
    if wanted is None or wanted.target is TargetState.INACTIVE:
        return False
    # A global unit runs wherever it fits, and nowhere is not a failure (fleet): nobody waits for more.
    waits = patient and not wanted.unit.requirements.is_global
    return any(
        (waits and report.verdict in PATIENT)
        or (report.verdict is Verdict.MISSING and _is_refused(report, done, failed))
        for report in reports_of(done, (name,))
    )


def _holds(name: str, done: Pass, host: str) -> bool:
    """Whether the machine still has the unit, and not as it is wanted there."""
    sighting = done.sightings.get(host)
    if not isinstance(sighting, Reached) or all(item.entry.name != name for item in sighting.found):
        return False
    return all(
        report.machine is None
        or report.machine.host != host
        or report.verdict in (Verdict.STOPPING, Verdict.MISSING)
        for report in reports_of(done, (name,))
    )


def _is_refused(report: UnitReport, done: Pass, failed: Set[str]) -> bool:
    """Whether its machine has a unit of its own by that name, or did nothing at all."""
    if report.machine is None:
        return False
    sighting = done.sightings.get(report.machine.host)
    occupied = isinstance(sighting, Reached) and report.name in sighting.occupied
    return occupied or report.machine.host in failed
