"""Waiting until units really run: bounded looks at just the machines that are still at it."""

from __future__ import annotations

from dataclasses import replace

from fleetssh import clock
from fleetssh.control.cluster import Cluster
from fleetssh.control.reconcile import Pass
from fleetssh.control.survey import look_at
from fleetssh.core.report import UnitReport, Verdict, report_unit

WAIT_SECONDS = 120.0
"""Above systemd's own default limit for a start (90 s): a slower unit has raised that limit itself."""

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 2.0
"""Pauses between looks double from the first to the longest: quick units are told at once, slow ones
cost their machine little."""


def reports_of(done: Pass, names: tuple[str, ...]) -> tuple[UnitReport, ...]:
    """How the named units stand after a pass, in the order given."""
    return tuple(
        report
        for name in names
        for report in report_unit(name, done.state, done.plan.layout, done.survey.machines, done.sightings)
    )


def await_units(cluster: Cluster, done: Pass, names: tuple[str, ...], limit_seconds: float) -> Pass:
    """The same pass with newer sightings: returns when no named unit is still starting, or at the limit."""
    deadline = clock.monotonic() + limit_seconds
    pause = FIRST_PAUSE_SECONDS
    while True:
        busy = {
            report.machine.host
            for report in reports_of(done, names)
            if report.verdict is Verdict.STARTING and report.machine is not None
        }
        if not busy or clock.monotonic() + pause > deadline:
            return done
        clock.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        done = replace(done, sightings={**done.sightings, **look_at(cluster, busy)})
