"""Verbs about the program itself: version, help."""

from __future__ import annotations

import click

from fleetssh import __version__
from fleetssh.cli.flags import Verb
from fleetssh.cli.output import say


@click.command(cls=Verb)
def version() -> None:
    """Print the version of fleetssh."""
    say(f"fleetssh version {__version__}")


@click.command(cls=Verb)
@click.argument("command", required=False)
@click.pass_context
def help(ctx: click.Context, command: str | None) -> None:
    """Show the help of COMMAND, or the list of all commands."""
    root = ctx.find_root()
    if command is None:
        say(*root.get_help().splitlines())
        return
    assert isinstance(root.command, click.Group)
    _, found, _ = root.command.resolve_command(root, [command])
    if found is not None:
        say(*click.Context(found, info_name=found.name, parent=root).get_help().splitlines())
