"""Verbs that change what is wanted of units: submit, load, start, restart, stop, unload, destroy."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import click

from fleetssh.cli.account import Work
from fleetssh.cli.exits import Exit
from fleetssh.cli.flags import Flag, Verb
from fleetssh.cli.output import note, say
from fleetssh.cli.replacing import submitted_lines
from fleetssh.cli.session import Session
from fleetssh.cli.working import carry_out
from fleetssh.control import commands
from fleetssh.control.chronicle import Author
from fleetssh.control.waiting import WAIT_SECONDS
from fleetssh.core.errors import UsageError
from fleetssh.core.model import TargetState
from fleetssh.store import Store

ATTEMPT_SECONDS = 2.0
"""fleet: one attempt to see a unit's state lasts 2 s."""

MOST_ATTEMPTS = 10**9
"""Sixty years; a number with hundreds of digits is no number of seconds that can be reckoned with."""

Function = TypeVar("Function", bound=Callable[..., object])


def _units(function: Function) -> Function:
    return click.argument("units", nargs=-1, metavar="UNIT...")(function)


def _creating(function: Function) -> Function:
    replace = click.option(
        "--replace", cls=Flag, default=False, help="Replace stored units by changed files."
    )
    sign = click.option(
        "--sign", cls=Flag, default=False, hidden=True, expose_value=False, callback=_refuse_sign
    )
    return _units(replace(sign(function)))


def _waiting(function: Function) -> Function:
    help_ = "Return at once instead of waiting for the units."
    return click.option("--no-block", cls=Flag, default=False, help=help_)(_bounded(function))


def _patient(function: Function) -> Function:
    return click.option(
        "--wait",
        cls=Flag,
        default=False,
        help="Wait, for ever unless --block-attempts bounds it, until a machine can take the units.",
    )(_waiting(function))


def _bounded(function: Function) -> Function:
    help_ = "Wait at most N times 2 seconds (0: two minutes)."
    return click.option("--block-attempts", type=int, default=0, metavar="N", help=help_)(function)


def _refuse_sign(_: click.Context, __: click.Parameter, value: bool) -> None:
    if value:
        raise UsageError("--sign: fleet dropped signed units, and so there are none here")


def _author(session: Session) -> Author:
    return Author(session.who, session.verb)


def _limit(attempts: int, *, wait: bool = False) -> float:
    """Seconds to wait for units; fleet waited for ever without ``--block-attempts``."""
    if attempts > 0:
        return min(attempts, MOST_ATTEMPTS) * ATTEMPT_SECONDS
    return math.inf if wait else WAIT_SECONDS


# ---------------------------------------------------------------- submit, load, start


@click.command(cls=Verb)
@_creating
@click.pass_obj
def submit(session: Session, units: tuple[str, ...], replace: bool) -> None:
    """Hand unit files over to the cluster's state. Nothing is placed or run.

    UNIT is the path of a file, or an instance of a template that was handed over or lies beside it.
    """
    if not units:
        note("No units given")
        return
    change = commands.bring(session.store, _author(session), units, TargetState.INACTIVE, replace=replace)
    _tell_new(change)
    say(*submitted_lines(change.resolution.replaced, change.state))


@click.command(cls=Verb)
@_creating
@_patient
@click.pass_obj
def load(
    session: Session, units: tuple[str, ...], replace: bool, no_block: bool, block_attempts: int, wait: bool
) -> Exit:
    """Put units on machines without starting them, handing them over first if necessary.

    A unit that runs is stopped, as in fleet. Where no machine can take a unit now, it ends at once with every
    machine's reason; --wait goes on until one can.
    """
    work = _patient_work("load", no_block, block_attempts, wait)
    return _bring(session, units, TargetState.LOADED, replace, work)


@click.command(cls=Verb)
@_creating
@_patient
@click.pass_obj
def start(
    session: Session, units: tuple[str, ...], replace: bool, no_block: bool, block_attempts: int, wait: bool
) -> Exit:
    """Run units, handing them over and placing them first if necessary.

    Ends when systemd says that they run; otherwise tells why they do not. Where no machine can take a unit
    now, it ends at once with every machine's reason; --wait goes on until one can.
    """
    work = _patient_work("start", no_block, block_attempts, wait)
    return _bring(session, units, TargetState.LAUNCHED, replace, work)


def _patient_work(verb: str, no_block: bool, block_attempts: int, wait: bool) -> Work:
    if wait and no_block:
        raise UsageError("--wait and --no-block contradict each other")
    return Work(verb, not no_block, _limit(block_attempts, wait=wait), wait=wait)


def _bring(session: Session, units: tuple[str, ...], target: TargetState, replace: bool, work: Work) -> Exit:
    if not units:
        note("No units given")
        return Exit.DONE
    session.require_inventory()
    change = commands.bring(session.store, _author(session), units, target, replace=replace)
    _tell_new(change)
    already = [name for name in change.resolution.names if name not in change.changed]
    again = frozenset(already) if target is TargetState.LAUNCHED else frozenset()
    return carry_out(session, change, work, again)


def _tell_new(change: commands.Change) -> None:
    say(*(f"Unit {unit.name} inactive" for unit in change.resolution.created))
    say(*change.resolution.notes)
    note(*change.resolution.warnings)


# ---------------------------------------------------------------- the rest


@click.command(cls=Verb)
@_units
@_bounded
@click.pass_obj
def restart(session: Session, units: tuple[str, ...], block_attempts: int) -> Exit:
    """Stop and start units on the machines where they are; start those that are only loaded."""
    work = Work("restart", True, _limit(block_attempts), done="restarted")
    return _change(session, units, commands.restart, work)


@click.command(cls=Verb)
@_units
@_waiting
@click.pass_obj
def stop(session: Session, units: tuple[str, ...], no_block: bool, block_attempts: int) -> Exit:
    """Stop units. They stay loaded on their machines; globs such as 'web@*' work."""
    work = Work("stop", not no_block, _limit(block_attempts), done="stopped")
    return _change(session, units, partial(commands.take_down, target=TargetState.LOADED), work)


@click.command(cls=Verb)
@_units
@_waiting
@click.pass_obj
def unload(session: Session, units: tuple[str, ...], no_block: bool, block_attempts: int) -> Exit:
    """Stop units and take them off their machines. Their files stay in the cluster's state."""
    work = Work("unload", not no_block, _limit(block_attempts), done="unloaded")
    return _change(session, units, partial(commands.take_down, target=TargetState.INACTIVE), work)


@click.command(cls=Verb)
@_units
@_waiting
@click.pass_obj
def destroy(session: Session, units: tuple[str, ...], no_block: bool, block_attempts: int) -> Exit:
    """Stop units, take them off their machines and forget them."""
    work = Work("destroy", not no_block, _limit(block_attempts))
    return _change(session, units, commands.remove, work)


def _change(
    session: Session,
    units: tuple[str, ...],
    verb: Callable[[Store, Author, tuple[str, ...]], commands.Change],
    work: Work,
) -> Exit:
    if not units:
        note("No units given")
        return Exit.DONE
    if session.store.machines():
        session.require_inventory()
    change = verb(session.store, _author(session), units)
    # Whoever started what is only loaded, a timer or a person: it is meant too.
    again = frozenset(change.resolution.names if work.verb in ("stop", "restart") else ())
    return carry_out(session, change, work, again)
