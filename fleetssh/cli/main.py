"""The program: finds the verb that was meant, runs it, and turns whatever happens into an exit code."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import click

from fleetssh import __version__
from fleetssh.cli.exits import Exit, code_of
from fleetssh.cli.flags import HELP_NAMES, Shaped
from fleetssh.cli.output import note, say
from fleetssh.cli.session import Session
from fleetssh.core.errors import FleetError, UsageError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a verb is defined and what it is for. Modules are imported when their verb is used: those that
    speak SSH take longer to import than a verb that only reads the store takes to answer."""

    module: str
    summary: str


SECTIONS: dict[str, dict[str, Entry]] = {
    "Units": {
        "submit": Entry("units", "Hand unit files over without running them."),
        "load": Entry("units", "Put units on machines without starting them."),
        "start": Entry("units", "Run units, handing them over first if necessary."),
        "restart": Entry("units", "Stop and start units where they are."),
        "stop": Entry("units", "Stop units and leave them on their machines."),
        "unload": Entry("units", "Stop units and take them off their machines."),
        "destroy": Entry("units", "Stop units, take them off and forget them."),
        "cat": Entry("files", "Print a unit file as it was handed over."),
        "verify": Entry("files", "Check local unit files; touches no cluster."),
    },
    "What there is": {
        "list-machines": Entry("machines", "List the machines."),
        "list-units": Entry("machines", "List what runs where, as systemd says."),
        "list-unit-files": Entry("files", "List the units there are and what is wanted of them."),
        "events": Entry("events", "Tell who did what, when and why."),
        "status": Entry("reach", "Show systemctl status of units."),
        "journal": Entry("journal", "Show or follow the journal of units."),
        "ssh": Entry("reach", "Open a shell or run a command on a machine."),
    },
    "Passes": {
        "plan": Entry("passes", "Show what reconcile would do."),
        "reconcile": Entry("passes", "Bring every machine to what is wanted; fit for cron."),
        "run": Entry("run", "Watch the machines: pass after pass, until it is told to end."),
        "why": Entry("passes", "Tell why a unit is where it is, or nowhere."),
        "adopt": Entry("adopt", "Take machines over from another controller or cluster."),
    },
    "More": {
        "state": Entry("state", "Check, back up and restore the state."),
        "lab": Entry("lab", "Make a throw-away cluster of real systemd machines on this computer."),
        "completion": Entry("completion", "Print a script that makes your shell complete commands."),
        "version": Entry("about", "Print the version."),
        "help": Entry("about", "Show the help of a command."),
    },
}
ENTRIES = {name: entry for section in SECTIONS.values() for name, entry in section.items()}
NOT_VERBS = {"fd-forward": "there is no fleet daemon to talk to: machines are reached over SSH directly"}


class Program(Shaped, click.Group):
    """``fleetssh`` itself: verbs by any unambiguous beginning of their names."""

    allow_interspersed_args = False

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Every verb, in the order of the help."""
        return list(ENTRIES)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb that ``cmd_name`` is or uniquely begins."""
        begun = [cmd_name] if cmd_name in ENTRIES else [n for n in ENTRIES if n.startswith(cmd_name)]
        if len(begun) != 1:
            return None
        module = importlib.import_module(f"fleetssh.cli.{ENTRIES[begun[0]].module}")
        command = getattr(module, begun[0].replace("-", "_"))
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Raises UsageError for a word that is no verb, naming those that it may have meant."""
        command = self.get_command(ctx, args[0])
        if command is None:
            raise UsageError(f'unknown command "{args[0]}" for "fleetssh"', _advice(args[0]))
        return command.name, command, args[1:]

    def shell_complete(self, _ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """The verbs that begin with a word, without importing any of them."""
        from click.shell_completion import CompletionItem

        return [CompletionItem(n, help=e.summary) for n, e in ENTRIES.items() if n.startswith(incomplete)]

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The verbs by section, without importing any of them."""
        for title, entries in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, entry.summary) for name, entry in entries.items()])

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Verbs first: they are what people look for."""
        self.format_commands(ctx, formatter)
        super().format_options(ctx, formatter)


def _advice(word: str) -> str:
    if word in NOT_VERBS:
        return NOT_VERBS[word]
    near = [name for name in ENTRIES if name.startswith(word)]
    near += [name for name in difflib.get_close_matches(word, ENTRIES) if name not in near]
    return f"did you mean {' or '.join(near)}?" if near else "'fleetssh help' lists the commands"


def _print_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        say(f"fleetssh version {__version__}")
        ctx.exit()


@click.command(
    cls=Program,
    name="fleetssh",
    invoke_without_command=True,
    context_settings=HELP_NAMES,
    help=f"systemd for a cluster, with nothing on the machines but sshd and systemd. Version {__version__}.",
    epilog="'fleetssh help COMMAND' explains a command. Every global option can be set in the environment as "
    "FLEETSSH_<OPTION> or FLEETCTL_<OPTION>, and given before or after the command.",
)
@click.option("-v", "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version,
              help="Print the version.")  # fmt: skip
@click.pass_context
def program(ctx: click.Context) -> None:
    """The program itself: without a command, its help."""
    if ctx.invoked_subcommand is None:
        say(*ctx.get_help().splitlines())


def main(argv: Sequence[str]) -> int:
    """Runs one command line; its exit code. Nothing a person does wrong ends in a traceback."""
    session = Session()
    try:
        return _run(session, argv)
    finally:
        session.close()


def _run(session: Session, argv: Sequence[str]) -> int:
    try:
        code: Any = program.main(list(argv), prog_name="fleetssh", standalone_mode=False, obj=session)
    except FleetError as error:
        note(*error.message.splitlines(), *(f"  {line}" for line in error.hint.splitlines()))
        return code_of(error)
    except click.Abort:
        return Exit.INTERRUPTED
    except click.ClickException as error:
        where = getattr(error, "ctx", None)
        path = where.command_path if where else "fleetssh"
        note(*error.format_message().splitlines(), f"  '{path} --help' shows the usage")
        return error.exit_code
    except Exception as error:
        if session.settings.debug:
            note(*traceback.format_exc().splitlines())
        note(f"fleetssh: internal error: {type(error).__name__}: {error}",
             "  this is a defect: please report it with what --debug shows")  # fmt: skip
        return Exit.ERROR
    return code if isinstance(code, int) else Exit.DONE


def run() -> NoReturn:
    """The console script."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    code = main(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # Python would complain about the same pipe again when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)
