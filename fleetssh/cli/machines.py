"""Verbs that ask every machine what there is: list-machines, list-units."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

from fleetssh import clock
from fleetssh.cli.exits import Exit
from fleetssh.cli.flags import Flag, Verb
from fleetssh.cli.output import note, progress, say
from fleetssh.cli.render import duration, listing, machine_title, pairs, plural
from fleetssh.cli.session import Session
from fleetssh.cli.telling import unreached_lines
from fleetssh.control.listing import MachineRow, UnitRow, machine_rows, unit_rows
from fleetssh.control.survey import Survey, survey
from fleetssh.core.model import Health, State

Function = TypeVar("Function", bound=Callable[..., object])


def _listing(fields: str, more: str) -> Callable[[Function], Function]:
    def decorate(function: Function) -> Function:
        function = click.option("--fields", default=fields, metavar="A,B,...", show_default=True,
                                help=f"Columns, also {more}.")(function)  # fmt: skip
        function = click.option("--no-legend", cls=Flag, default=False, help="Leave the header out.")(
            function
        )
        return click.option("-l", "--l", "--full", "full", cls=Flag, default=False,
                            help="Show whole ids and hashes.")(function)  # fmt: skip

    return decorate


@click.command(cls=Verb)
@_listing("machine,ip,metadata", "host, health, age (since it last answered) and facts")
@click.option("-a", "--all", "everything", cls=Flag, default=False, help="Show lost machines too.")
@click.pass_obj
def list_machines(session: Session, full: bool, no_legend: bool, fields: str, everything: bool) -> Exit:
    """List the machines that are up or in doubt, by machine id. Exits with 4 when none answers."""
    columns = _machine_columns(full)
    listing([], columns, fields, legend=False)  # a wrong field is told before anybody is asked
    _, seen = _look(session)
    rows = machine_rows(seen, clock.now())
    shown = [row for row in rows if everything or row.health is not Health.LOST]
    say(*listing(shown, columns, fields, legend=not no_legend))
    return _tell_unreached(seen)


def _machine_columns(full: bool) -> dict[str, Callable[[MachineRow], str]]:
    return {
        "machine": lambda row: machine_title(row.id, "", full=full),
        "ip": lambda row: row.address or "-",
        "metadata": lambda row: pairs(row.metadata),
        "host": lambda row: row.host,
        "health": lambda row: row.health,
        "age": lambda row: duration(row.age_seconds),
        "facts": lambda row: pairs(row.facts),
    }


@click.command(cls=Verb)
@_listing("unit,machine,active,sub", "load and hash")
@click.pass_obj
def list_units(session: Session, full: bool, no_legend: bool, fields: str) -> Exit:
    """List the units on every machine in systemd's words. Exits with 4 when no machine answers.

    Of a machine in doubt it is only known what should run there: its units are shown as unknown.
    """
    columns = _unit_columns(full)
    listing([], columns, fields, legend=False)
    state, seen = _look(session)
    say(*listing(unit_rows(state, seen), columns, fields, legend=not no_legend))
    return _tell_unreached(seen)


def _unit_columns(full: bool) -> dict[str, Callable[[UnitRow], str]]:
    return {
        "unit": lambda row: row.name,
        "machine": lambda row: machine_title(row.machine.id, row.machine.address, full=full),
        "load": lambda row: row.load,
        "active": lambda row: row.active,
        "sub": lambda row: row.sub,
        "hash": lambda row: (row.hash if full else row.hash[:7]) or "-",
    }


def _look(session: Session) -> tuple[State, Survey]:
    cluster = session.cluster
    state = cluster.store.load()
    with progress(f"looking at {plural(len(cluster.inventory.hosts), 'machine')} ..."):
        return state, survey(cluster, state.cluster, deciding=False)


def _tell_unreached(seen: Survey) -> Exit:
    note(*unreached_lines(seen.sightings, seen.machines, seen.records))
    nobody = len(seen.unreached()) == len(seen.sightings)
    return Exit.MACHINE if nobody else Exit.DONE
