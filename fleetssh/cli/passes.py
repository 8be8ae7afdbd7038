"""Verbs about passes: reconcile, plan, why."""

from __future__ import annotations

import sys
from dataclasses import replace

import click

from fleetssh.cli.exits import Exit, combine
from fleetssh.cli.flags import Flag, Verb
from fleetssh.cli.formats import Format, dump, output_option
from fleetssh.cli.objects import plan_object, why_object
from fleetssh.cli.output import note, say
from fleetssh.cli.progress import progress
from fleetssh.cli.render import plural
from fleetssh.cli.session import HOLD_SECONDS, Session
from fleetssh.cli.standing import problem
from fleetssh.cli.telling import (
    alarm_lines,
    done_lines,
    refusal_lines,
    unreached_lines,
    waits_for,
    work_lines,
)
from fleetssh.cli.troubles import troubles_of
from fleetssh.control.reconcile import plan_pass, run_pass
from fleetssh.control.result import Pass
from fleetssh.control.waiting import reports_of
from fleetssh.core.errors import CommandError
from fleetssh.core.names import mangle
from fleetssh.core.placement import explain

UNATTENDED_SECONDS = 10.0
"""How long a pass of cron's waits for another one: long enough for commands, and over before cron begins the
next, so that passes never pile up."""

believe_option = click.option(
    "--believe-silence",
    cls=Flag,
    default=False,
    help="Give machines up even when many of them went silent together.",
)


@click.command(cls=Verb)
@believe_option
@click.pass_obj
def reconcile(session: Session, believe_silence: bool) -> Exit:
    """Run one pass: look at every machine and do what brings it to what is wanted.

    Prints what it did, and nothing when all is well, so that cron mails only what matters. Exits with 3
    when a unit has no place or has failed, with 4 when a machine does not answer, and with 6 when another
    pass is under way and not over after a minute (without a terminal: after 10 seconds).
    """
    wait = HOLD_SECONDS if sys.stderr.isatty() else UNATTENDED_SECONDS
    ours = replace(session.cluster, believe_silence=believe_silence)
    with progress(ours, lines=False) as cluster, session.hold(wait) as fence:
        done = run_pass(cluster, fence)
    say(*done_lines(done))
    troubles, code = troubles_of(done)
    for trouble in troubles:
        note(*trouble.lines)
    return code


def _tell_alarm(done: Pass) -> Exit:
    note(*alarm_lines(done))
    return Exit.MACHINE if done.survey.alarm else Exit.DONE


@click.command(cls=Verb)
@output_option
@click.option("--exit-code", cls=Flag, default=False, help="Exit with 5 when there is something to do.")
@click.pass_obj
def plan(session: Session, output: Format, exit_code: bool) -> Exit:
    """Print what 'fleetssh reconcile' would do now, line for line, and change nothing."""
    with progress(session.cluster) as cluster:
        planned = plan_pass(cluster)
    lines = work_lines(planned.plan)
    say(*(lines if output is Format.TABLE else dump(plan_object(planned), output)))
    note(*planned.plan.remarks)
    note(*unreached_lines(planned.sightings, planned.survey.machines, planned.records))
    unplaced = reports_of(planned, tuple(planned.plan.layout.unplaced))
    problems = [problem(report, planned) for report in unplaced if not report.machine]
    for told, _ in problems:
        note(*told)
    if not lines:
        note("nothing to do")
    if planned.is_fenced:
        return Exit.REFUSED
    if exit_code and lines:
        return Exit.PENDING
    found = [code for _, code in problems] + [Exit.MACHINE for _ in planned.unreached]
    return combine([*found, _tell_alarm(planned)])


@click.command(cls=Verb)
@output_option
@click.argument("unit")
@click.pass_obj
def why(session: Session, unit: str, output: Format) -> None:
    """Tell where UNIT belongs, and for every machine why it is there, could be there, or cannot."""
    name = mangle(unit)
    if name not in session.store.load().wanted:
        raise CommandError(f"Unit {name} does not exist.", hint="'fleetssh list-unit-files' lists the units")
    with progress(session.cluster) as cluster:
        planned = plan_pass(cluster)
    machines = planned.survey.machines
    reasons = explain(name, planned.state.wanted, machines, planned.plan.layout)
    if output is not Format.TABLE:
        say(*dump(why_object(name, planned, reasons), output))
        return
    say(_header(name, planned))
    say(*refusal_lines(reasons, machines))
    if wait := waits_for(name, planned):
        say(f"  it {wait}")
    known = {machine.host for machine in machines}
    never = {host: s for host, s in planned.sightings.items() if host not in known}
    say(*(f"  {line}" for line in unreached_lines(never, machines, planned.records)))


def _header(name: str, planned: Pass) -> str:
    wanted = planned.state.wanted[name]
    head = f"Unit {name}: target state {wanted.target}"
    layout = planned.plan.layout
    if wanted.unit.requirements.is_global:
        homes = sum(name in units for units in layout.globals_on.values())
        return f"{head}, global, on {plural(homes, 'machine')}"
    placement = layout.placements.get(name)
    if placement is None:
        return f"{head}, not placed"
    legends = {machine.id: machine.legend for machine in planned.survey.machines}
    return f"{head}, on {legends.get(placement.machine, placement.machine)}"
