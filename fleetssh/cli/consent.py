"""Asking a person before something is done that was only shown so far."""

from __future__ import annotations

import sys

import click

from fleetssh.cli.flags import Flag
from fleetssh.cli.output import note

yes_option = click.option("-y", "--yes", cls=Flag, default=False, help="Do it without asking.")


def consents(question: str, *, yes: bool) -> bool:
    """Whether to go on: ``yes`` was given, or a person at a terminal says so. Else it is told that nothing
    was changed, and how to go on."""
    if yes:
        return True
    if sys.stdin.isatty() and click.confirm(question, err=True):
        return True
    note("nothing was changed; --yes does it without asking")
    return False
