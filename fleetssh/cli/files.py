"""Verbs about unit files, which touch no machine: cat, verify, list-unit-files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from fleetssh.cli.exits import Exit, combine
from fleetssh.cli.flags import Verb
from fleetssh.cli.formats import Column, Listing, listing_options
from fleetssh.cli.output import note, pass_on, say
from fleetssh.cli.render import machine_title, short_hash
from fleetssh.cli.session import Session
from fleetssh.control.listing import UnitFileRow, unit_file_rows
from fleetssh.control.unitfiles import MAX_UNIT_BYTES
from fleetssh.core.errors import CommandError, UnitError
from fleetssh.core.names import mangle, with_suffix
from fleetssh.core.requirements import read_unit


def _target(row: UnitFileRow, full: bool) -> str:
    if row.is_global:
        return "global"
    return machine_title(row.machine_id, row.address, full=full) if row.machine_id else "-"


COLUMNS: Mapping[str, Column[UnitFileRow]] = {
    "unit": Column(lambda row: row.name),
    "hash": Column(lambda row: row.hash, lambda row, full: short_hash(row.hash, full=full)),
    "dstate": Column(lambda row: row.target),
    "state": Column(lambda row: row.state or None),
    "target": Column(lambda row: row.machine_id or None, _target),
    "tmachine": Column(lambda row: row.machine_id or None, _target, rare=True),
    "global": Column(lambda row: row.is_global),
    "desc": Column(lambda row: row.description or None),
    "ip": Column(lambda row: row.address or None),
    "host": Column(lambda row: row.host or None),
}


@click.command(cls=Verb)
@click.argument("units", nargs=-1, metavar="UNIT")
@click.pass_obj
def cat(session: Session, units: tuple[str, ...]) -> None:
    """Print the stored file of UNIT, byte for byte as it was handed over."""
    if len(units) != 1:
        raise CommandError("One unit file must be provided")
    name = mangle(units[0])
    wanted = session.store.load().wanted.get(name)
    if wanted is None:
        raise CommandError(f"Unit {name} not found")
    pass_on(wanted.unit.text)


@click.command(cls=Verb)
@click.argument("units", nargs=-1, metavar="UNIT...")
def verify(units: tuple[str, ...]) -> Exit:
    """Check local unit files: their names, their syntax and their [X-Fleet] section.

    No cluster is touched. (In fleet this command checked signatures, a feature that it dropped.)
    """
    if not units:
        note("No units given")
    return combine([_verify(argument) for argument in units])


def _verify(argument: str) -> Exit:
    path = Path(with_suffix(argument))
    try:
        if path.exists() and not path.is_file():
            note(f"{path}: it is a folder" if path.is_dir() else f"{path}: it is no ordinary file")
            return Exit.ERROR
        with path.open("rb") as file:
            text = file.read(MAX_UNIT_BYTES + 1)
        if len(text) > MAX_UNIT_BYTES:
            raise UnitError(f"it is larger than {MAX_UNIT_BYTES} bytes; that is no unit file")
        read_unit(path.name, text, str(path))
    except OSError as error:
        note(f"{path}: {error.strerror}")
    except UnitError as error:
        note(error.message if error.where else f"{path}: {error.message}")
        if error.hint:
            note(f"  {error.hint}")
    else:
        say(f"{path.name}: ok")
        return Exit.DONE
    return Exit.ERROR


@click.command(cls=Verb)
@listing_options(COLUMNS, "unit,hash,dstate,state,target")
@click.pass_obj
def list_unit_files(session: Session, listing: Listing[UnitFileRow]) -> None:
    """List the units there are, what is wanted of them (DSTATE) and what was last seen of them (STATE).

    No machine is touched; 'fleetssh list-units' asks the machines.
    """
    if "tmachine" in listing.fields:
        note('WARNING: The "tmachine" field is deprecated. Use "target" instead')
    say(*listing.lines(unit_file_rows(session.store.load(), session.store.machines())))
