"""Verbs that ask every machine what there is: list-machines, list-units."""

from __future__ import annotations

from collections.abc import Mapping

import click

from fleetssh import clock
from fleetssh.cli.exits import Exit
from fleetssh.cli.flags import Flag, Verb
from fleetssh.cli.formats import Column, Listing, listing_options
from fleetssh.cli.output import note, say
from fleetssh.cli.progress import progress
from fleetssh.cli.render import duration, machine_title, short_hash
from fleetssh.cli.session import Session
from fleetssh.cli.telling import unreached_lines
from fleetssh.control.listing import MachineRow, UnitRow, machine_rows, unit_rows
from fleetssh.control.survey import Survey, survey
from fleetssh.core.model import Health, State

COUNTS = frozenset({"cpus", "memory"})
"""Facts that are numbers."""

MACHINE_COLUMNS: Mapping[str, Column[MachineRow]] = {
    "machine": Column(lambda row: row.id, lambda row, full: machine_title(row.id, "", full=full)),
    "ip": Column(lambda row: row.address or None),
    "metadata": Column(lambda row: row.metadata),
    "host": Column(lambda row: row.host),
    "health": Column(lambda row: row.health),
    "age": Column(lambda row: row.age_seconds, lambda row, _: duration(row.age_seconds), rare=True),
    "age_seconds": Column(lambda row: row.age_seconds),
    "facts": Column(lambda row: {k: int(v) if k in COUNTS else v for k, v in row.facts.items()}),
    "problem": Column(lambda row: row.problem or None),
}

UNIT_COLUMNS: Mapping[str, Column[UnitRow]] = {
    "unit": Column(lambda row: row.name),
    "machine": Column(
        lambda row: row.machine.id,
        lambda row, full: machine_title(row.machine.id, row.machine.address, full=full),
    ),
    "load": Column(lambda row: row.load),
    "active": Column(lambda row: row.active),
    "sub": Column(lambda row: row.sub),
    "hash": Column(lambda row: row.hash or None, lambda row, full: short_hash(row.hash, full=full)),
    "ip": Column(lambda row: row.machine.address or None),
    "host": Column(lambda row: row.machine.host),
    "health": Column(lambda row: row.machine.health),
    "age": Column(lambda row: row.age_seconds, lambda row, _: duration(row.age_seconds), rare=True),
    "age_seconds": Column(lambda row: row.age_seconds),
    "last_active": Column(lambda row: row.last_active),
    "last_sub": Column(lambda row: row.last_sub),
}


@click.command(cls=Verb)
@listing_options(MACHINE_COLUMNS, "machine,ip,metadata")
@click.option("-a", "--all", "everything", cls=Flag, default=False, help="Show lost machines too.")
@click.pass_obj
def list_machines(session: Session, listing: Listing[MachineRow], everything: bool) -> Exit:
    """List the machines that are up or in doubt, by machine id. Exits with 4 when none answers."""
    _, seen = _look(session)
    rows = machine_rows(seen, clock.now())
    say(*listing.lines(row for row in rows if everything or row.health is not Health.LOST))
    return _tell_unreached(seen)


@click.command(cls=Verb)
@listing_options(UNIT_COLUMNS, "unit,machine,active,sub")
@click.pass_obj
def list_units(session: Session, listing: Listing[UnitRow]) -> Exit:
    """List the units on every machine in systemd's words. Exits with 4 when no machine answers.

    Of a machine in doubt it is only known what should run there: its units are shown as unknown.
    """
    state, seen = _look(session)
    say(*listing.lines(unit_rows(state, seen, clock.now())))
    return _tell_unreached(seen)


def _look(session: Session) -> tuple[State, Survey]:
    state = session.store.load()
    with progress(session.cluster) as cluster:
        return state, survey(cluster, state, deciding=False)


def _tell_unreached(seen: Survey) -> Exit:
    note(*unreached_lines(seen.sightings, seen.machines, seen.records))
    nobody = len(seen.unreached()) == len(seen.sightings)
    return Exit.MACHINE if nobody else Exit.DONE
