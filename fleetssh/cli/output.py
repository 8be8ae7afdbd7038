"""The only place that prints: answers on standard output, everything else on standard error."""

from __future__ import annotations

import os
import re
import sys

import click

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")


def say(*lines: str) -> None:
    """Prints lines of the answer."""
    for line in lines:
        click.echo(printable(line))


def note(*lines: str) -> None:
    """Prints lines that are not the answer: warnings, failures, what else happened."""
    for line in lines:
        click.echo(printable(line), err=True)


def pass_on(data: bytes) -> None:
    """Hands bytes on to standard output as they are, at once."""
    click.echo(data, nl=False)


def pass_on_error(data: bytes) -> None:
    """Hands bytes on to standard error as they are, at once."""
    click.echo(data, nl=False, err=True)


def printable(line: str) -> str:
    """``line`` without control characters (but tabs): what a machine says must not steer a terminal."""
    return _CONTROL.sub("�", line)


def has_screen() -> bool:
    """Whether standard error is a terminal on which a line can be drawn anew."""
    return sys.stderr.isatty() and os.environ.get("TERM", "") not in ("", "dumb", "unknown")
