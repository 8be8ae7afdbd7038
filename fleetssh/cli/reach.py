"""Verbs that reach into one machine: status, ssh."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace

import click

from fleetssh.cli.exits import Exit
from fleetssh.cli.finding import find_target, homes_of
from fleetssh.cli.flags import Flag, Verb
from fleetssh.cli.output import note, pass_on, pass_on_error, say
from fleetssh.cli.session import Session
from fleetssh.core.errors import CommandError, MachineError
from fleetssh.core.names import mangle
from fleetssh.inventory import Host
from fleetssh.wire.remote import plain_command, status_command

SSH_FAILED = 255
"""OpenSSH's exit status when it could not connect."""

port_option = click.option(
    "--ssh-port", type=click.IntRange(1, 65535), metavar="PORT", help="Connect to this port instead."
)


def _stream(session: Session, host: Host, command: str, port: int | None) -> int:
    return session.carrier.stream(at_port(host, port), command, pass_on, pass_on_error)


def at_port(host: Host, port: int | None) -> Host:
    """``host`` with the port of ``--ssh-port``, if that was given."""
    return replace(host, port=port) if port else host


def _has_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


@click.command(cls=Verb)
@click.argument("units", nargs=-1, metavar="UNIT...")
@port_option
@click.pass_obj
def status(session: Session, units: tuple[str, ...], ssh_port: int | None) -> int:
    """Show 'systemctl status' of units, from the machines that they are on; ends with its exit code.

    A global unit is shown on each machine that has it.
    """
    state = session.store.load()
    for position, argument in enumerate(units):
        name = mangle(argument)
        if name not in state.wanted:
            raise CommandError(f"Unit {name} does not exist.")
        homes = homes_of(session, state, name)
        if not homes:
            raise CommandError(f"Unit {name} does not appear to be loaded.")
        if position:
            say("")
        heads = state.wanted[name].unit.requirements.is_global
        codes = []
        for home in homes:
            if heads:
                say(f"{home.legend}:")
            codes.append(_status(session, home.host, name, ssh_port, go_on=heads))
        if any(codes):
            return next(code for code in codes if code)
    return Exit.DONE


def _status(session: Session, host: Host, name: str, port: int | None, *, go_on: bool) -> int:
    """One machine; with ``go_on`` a machine that does not answer does not end the command."""
    try:
        return _stream(session, host, status_command(name, sudo=host.become), port)
    except MachineError as error:
        if not go_on:
            raise
        note(error.message)
        return Exit.MACHINE


@click.command(cls=Verb)
@click.argument("words", nargs=-1, metavar="{MACHINE|UNIT} [COMMAND...]")
@click.option("--machine", default="", metavar="ID", help="A machine by its id's beginning or its host name.")
@click.option("--unit", default="", metavar="UNIT", help="The machine that a unit is on.")
@click.option("-A", "--A", "--forward-agent", "forward_agent", cls=Flag, default=False,
              help="Let the machine use your SSH agent.")  # fmt: skip
@port_option
@click.pass_obj
def ssh(
    session: Session,
    words: tuple[str, ...],
    machine: str,
    unit: str,
    forward_agent: bool,
    ssh_port: int | None,
) -> int:
    """Open a shell on a machine, or run a command there and end with its exit code.

    The machine is named by the beginning of its id, by its name in the inventory, or by a unit on it. Flags
    of the command come after '--'.
    """
    host, command = find_target(session, words, machine, unit)
    host = at_port(host, ssh_port)
    if command and not forward_agent and not _has_terminal():
        source = sys.stdin.fileno()
        return session.carrier.stream(host, plain_command(command), pass_on, pass_on_error, source)
    return _call_ssh(session, host, command, forward_agent)


def _call_ssh(session: Session, host: Host, command: Sequence[str], forward_agent: bool) -> int:
    """The system's own client: a terminal and an agent are its trade. As in fleet, the exit code of an
    interactive shell is not passed on."""
    program = shutil.which("ssh")
    if program is None:
        raise CommandError(
            "there is no ssh program on this computer, which interactive shells and --forward-agent need",
            hint="install OpenSSH's client, or give a command to run",
        )
    code = subprocess.call(
        [program, *_ssh_options(session, host, forward_agent), "--", host.address, *command]
    )
    if code == SSH_FAILED:
        raise MachineError(f"{host.name}: ssh could not connect")
    return code if command else Exit.DONE


def _ssh_options(session: Session, host: Host, forward_agent: bool) -> list[str]:
    accept = "accept-new" if session.settings.accept_new_host_keys else "yes"
    options = ["-p", str(host.port), "-o", f"StrictHostKeyChecking={accept}"]
    if host.user:
        options += ["-l", host.user]
    if host.key_file:
        options += ["-i", _literal(host.key_file), "-o", "IdentitiesOnly=yes"]
    if host.known_hosts:
        options += ["-o", f'UserKnownHostsFile="{_literal(host.known_hosts)}"']
    if session.settings.connect_timeout:
        options += ["-o", f"ConnectTimeout={max(1, round(session.settings.connect_timeout))}"]
    options += ["-A"] if forward_agent else []
    return [*options, "-t"] if _has_terminal() else options


def _literal(path: str) -> str:
    """A path in which OpenSSH expands nothing. Raises CommandError for what it has no spelling of."""
    if '"' in path or "${" in path:
        raise CommandError(f"ssh cannot be told of the file {path}: its name has a quote or ${{ in it")
    return path.replace("%", "%%")
