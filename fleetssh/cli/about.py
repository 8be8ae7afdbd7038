"""Verbs about the program itself: version, help."""

from __future__ import annotations

import click

from fleetssh import __version__
from fleetssh.cli.flags import Verb
from fleetssh.cli.output import say
from fleetssh.core.errors import UsageError


@click.command(cls=Verb)
def version() -> None:
    """Print the version of fleetssh."""
    say(f"fleetssh version {__version__}")


@click.command(cls=Verb)
@click.argument("words", nargs=-1, metavar="[COMMAND]")
@click.pass_context
def help(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Show the help of COMMAND, or the list of all commands."""
    shown = ctx.find_root()
    rest = list(words)
    while rest:
        command = shown.command
        if not isinstance(command, click.Group):
            raise UsageError(
                f'"{shown.command_path}" has no command "{rest[0]}"', f"try: fleetssh help {shown.info_name}"
            )
        _, found, rest = command.resolve_command(shown, rest)
        if found is not None:
            shown = click.Context(found, info_name=found.name, parent=shown)
    say(*shown.get_help().splitlines())
