"""From a change of what is wanted to what became of it: as many passes as it takes, within bounds."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from dataclasses import replace

from fleetssh import clock
from fleetssh.cli.account import Account, Course, Work, last_on
from fleetssh.cli.exits import Exit
from fleetssh.cli.output import note
from fleetssh.cli.progress import progress
from fleetssh.cli.render import plural
from fleetssh.cli.session import Session
from fleetssh.cli.standing import problem
from fleetssh.control.cluster import Cluster
from fleetssh.control.commands import Change
from fleetssh.control.reconcile import run_pass
from fleetssh.control.result import Pass
from fleetssh.control.waiting import PATIENT, await_units, needs_another_pass, reports_of
from fleetssh.core.errors import InventoryError, StoreHeld
from fleetssh.core.model import MachineRecord, TargetState
from fleetssh.core.visit import START_WAIT_SECONDS

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 10.0
"""Pauses between passes double from the first to the longest: a pass looks at every machine."""


def carry_out(session: Session, change: Change, work: Work, retry: frozenset[str] = frozenset()) -> Exit:
    """Runs the passes that a change needs and tells what became of the units that were named."""
    records = session.store.machines()
    account = Account(change, work, records)
    if _needs_pass(change, records):
        account.tell(_run(session, change, work, retry))
    elif work.verb == "destroy":
        account.answer += [f"Destroyed {name}" for name in change.resolution.names]
    return account.close()


def _needs_pass(change: Change, records: Mapping[str, MachineRecord]) -> bool:
    """False when none of the named units is on a machine or is to be on one: no machine is visited then."""
    return any(
        last_on(name, change, records)
        or any(
            name in state.wanted and state.wanted[name].target is not TargetState.INACTIVE
            for state in (change.before, change.state)
        )
        for name in change.resolution.names
    )


def _run(session: Session, change: Change, work: Work, retry: frozenset[str]) -> Course:
    names = change.resolution.names
    began = clock.monotonic()
    with progress(session.cluster, f"to {work.verb} {_title(names)}") as cluster:
        course = Course(_one_pass(session, cluster, names, work, work.limit, retry))
    try:
        if work.wait:
            course.waits = _tell_waiting(course.last, names)
        with progress(session.cluster, f"(waiting for {_title(names)})") as cluster:
            _pursue(session, cluster, course, names, work, began + work.limit)
    except KeyboardInterrupt:
        note("what was asked for stays wanted: the pass that can carry it out does so")
        raise
    course.seconds = clock.monotonic() - began
    return course


def _pursue(
    session: Session, cluster: Cluster, course: Course, names: tuple[str, ...], work: Work, deadline: float
) -> None:
    """Further passes, as long as one may bring the named units on."""
    pause = FIRST_PAUSE_SECONDS
    while work.block and needs_another_pass(
        course.last, names, patient=work.wait, again=course.last is course.first
    ):
        left = deadline - clock.monotonic()
        if pause > left:
            return
        clock.sleep(pause)
        cluster = _reread(session, cluster)
        # For the patient, another controller at work is one more thing to wait for.
        with contextlib.suppress(*([StoreHeld] if work.wait else [])):
            course.add(_one_pass(session, cluster, names, work, left - pause))
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def _title(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else plural(len(names), "unit")


def _one_pass(
    session: Session,
    cluster: Cluster,
    names: tuple[str, ...],
    work: Work,
    limit: float,
    retry: frozenset[str] = frozenset(),
) -> Pass:
    """One pass, under the store's lock, and a wait for systemd's jobs, without it."""
    began = clock.monotonic()
    visit_wait = max(1, math.ceil(min(limit, START_WAIT_SECONDS))) if work.block else 0
    with session.hold() as fence:
        done = run_pass(cluster, fence, retry, wait_seconds=visit_wait)
    return await_units(cluster, done, names, limit - (clock.monotonic() - began)) if work.block else done


def _reread(session: Session, cluster: Cluster) -> Cluster:
    """The machines may have become others: the inventory is what people edit while somebody waits. A mistake
    in it is told to those who ask next; here the machines that were known go on."""
    try:
        return replace(cluster, inventory=session.read_inventory())
    except InventoryError:
        return cluster


def _tell_waiting(done: Pass, names: tuple[str, ...]) -> frozenset[str]:
    """Tells why there is something to wait for, once and at once; the units that wait."""
    reports = [report for report in reports_of(done, names) if report.verdict in PATIENT]
    for report in reports:
        lines, _ = problem(report, done)
        note(*lines)
    return frozenset(report.name for report in reports)
