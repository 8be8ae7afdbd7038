"""The ``lab`` verbs: a throw-away cluster on this computer, and its faults."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from fleetssh.lab import Lab

_Verb = TypeVar("_Verb", bound=Callable[..., Any])

COLUMNS = ("NAME", "ADDRESS", "STATE", "MACHINE")


@click.group()
def lab() -> None:
    """A throw-away cluster of real systemd machines on this computer.

    Its machines are called m1, m2 and so on. The faults (kill, freeze, cut) take several names. It needs
    root, because it makes network namespaces; nothing in it ever reaches a network outside this computer.
    """


def _lab_options(verb: _Verb) -> _Verb:
    verb = click.option("--name", default="fleet", show_default=True, help="Name of the lab.")(verb)
    place = click.option(
        "--dir",
        "folder",
        type=click.Path(file_okay=False, path_type=Path),
        help="Folder for the lab's files; default: below FLEETSSH_LAB_DIR, or in your state folder.",
    )
    return place(verb)


_machines = click.argument("machines", metavar="MACHINE...", nargs=-1, required=True)


@lab.command()
@click.option("--machines", default=3, show_default=True, help="How many machines there shall be at least.")
@_lab_options
def up(machines: int, name: str, folder: Path | None) -> None:
    """Bring the lab up, or bring back what is missing of it."""
    found = _open(name, folder)
    found.up(machines, _tell)
    _tell("the lab is up; to use it:")
    click.echo(f"export FLEETSSH_INVENTORY={found.inventory_path}")


@lab.command()
@_lab_options
def down(name: str, folder: Path | None) -> None:
    """Take the lab away without a trace, the machines' disks included."""
    _open(name, folder).down()
    _tell(f"the lab {name} is gone")


@lab.command("list")
@_lab_options
def list_(name: str, folder: Path | None) -> None:
    """Show the machines: running, frozen, cut or off."""
    found = _open(name, folder).machines()
    if not found:
        _tell(f"there is no lab called {name}; to make it: fleetssh lab up --name {name}")
    rows = [COLUMNS, *((m.name, m.address, m.state.value, m.machine_id) for m in found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        click.echo("\t".join(cells).rstrip())


@lab.command()
@_machines
@_lab_options
def kill(machines: tuple[str, ...], name: str, folder: Path | None) -> None:
    """Cut the power of machines; their disks stay."""
    found = _open(name, folder)
    _each(machines, found.kill, "has no power")


@lab.command()
@_machines
@_lab_options
def boot(machines: tuple[str, ...], name: str, folder: Path | None) -> None:
    """Boot machines that are off, from their kept disks."""
    found = _open(name, folder)
    _each(machines, found.boot, "is up")


@lab.command()
@_machines
@_lab_options
def reboot(machines: tuple[str, ...], name: str, folder: Path | None) -> None:
    """Shut machines down in order and boot them again."""
    found = _open(name, folder)
    _each(machines, found.reboot, "is up again")


@lab.command()
@_machines
@_lab_options
def freeze(machines: tuple[str, ...], name: str, folder: Path | None) -> None:
    """Freeze all processes of machines; their kernels still answer."""
    found = _open(name, folder)
    _each(machines, found.freeze, "is frozen")


@lab.command()
@_machines
@_lab_options
def thaw(machines: tuple[str, ...], name: str, folder: Path | None) -> None:
    """Let frozen machines go on."""
    found = _open(name, folder)
    _each(machines, found.thaw, "goes on")


@lab.command()
@_machines
@click.option("--one-way", is_flag=True, help="Lose only the machine's answers to this computer.")
@_lab_options
def cut(machines: tuple[str, ...], one_way: bool, name: str, folder: Path | None) -> None:
    """Cut the network cable of machines."""
    found = _open(name, folder)
    what = "is cut off (its answers are lost)" if one_way else "is cut off"
    _each(machines, lambda machine: found.cut(machine, one_way), what)


@lab.command()
@_machines
@_lab_options
def heal(machines: tuple[str, ...], name: str, folder: Path | None) -> None:
    """Mend the network cable of machines."""
    found = _open(name, folder)
    _each(machines, found.heal, "is connected")


def _open(name: str, folder: Path | None) -> Lab:
    # Imported here: most verbs of the command line need no lab.
    from fleetssh.lab import Lab

    return Lab.open(name, folder)


def _each(machines: tuple[str, ...], act: Callable[[str], None], done: str) -> None:
    for machine in machines:
        act(machine)
        _tell(f"{machine} {done}")


def _tell(message: str) -> None:
    click.echo(message, err=True)
