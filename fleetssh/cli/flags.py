"""How a command line is written: fleet's boolean flags, and global flags before or after the verb."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from typing import Any

import click
from click.core import ParameterSource

from fleetssh.cli.examples import EXAMPLES
from fleetssh.cli.session import Session
from fleetssh.core.errors import UsageError

NO_DAEMON = (
    "there is no fleet daemon, API or etcd: --inventory names the machines, --state where the state lies"
)
GONE = {
    "--endpoint": NO_DAEMON,
    "--driver": NO_DAEMON,
    "--etcd-key-prefix": NO_DAEMON,
    "--etcd-keyfile": NO_DAEMON,
    "--etcd-certfile": NO_DAEMON,
    "--etcd-cafile": NO_DAEMON,
    "--key-file": NO_DAEMON,
    "--cert-file": NO_DAEMON,
    "--ca-file": NO_DAEMON,
    "--experimental-api": NO_DAEMON,
    "--request-timeout": "use --connect-timeout",
    "--tunnel": "machines are reached directly: give them a ProxyJump in ~/.ssh/config",
}
"""Flags of fleetctl that have no counterpart, and what replaces each."""


class Flag(click.Option):
    """A boolean flag: ``--flag`` or ``--flag=true|false``; it never takes the next word (fleet 1.1)."""

    def __init__(self, param_decls: Sequence[str], **attrs: Any) -> None:
        super().__init__(param_decls, type=click.BOOL, is_flag=False, **attrs)

    @property
    def spelled(self) -> str:
        """Its longest name."""
        return max(self.opts, key=len)

    def get_help_record(self, _ctx: click.Context) -> tuple[str, str] | None:
        """Its names alone: people write the value only where it is ``false``."""
        return ", ".join(name for name in self.opts if not is_long_letter(name)), self.help or ""


def is_long_letter(name: str) -> bool:
    """Whether ``name`` is fleet's ``--f`` beside ``-f``: understood, and shown nowhere."""
    return name.startswith("--") and len(name) == len("--x")


def spell_flags(options: Sequence[click.Parameter], words: Sequence[str], *, mixed: bool) -> list[str]:
    """``words`` with every boolean flag written as ``--flag=true``, which click reads without asking for a
    value. Nothing after ``--`` is touched, nor, unless ``mixed``, after the first word that is no flag."""
    flags = {name: option.spelled for option in options if isinstance(option, Flag) for name in option.opts}
    valued = {name for option in options for name in option.opts if name not in flags and _takes(option)}
    spelled: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--" or not (mixed or word.startswith("-")):
            return [*spelled, word, *rest]
        letters = [*_spell_letters(word, flags)]
        spelled += letters
        if letters[-1] in valued:
            spelled += rest[:1]
            del rest[:1]
    return spelled


def _takes(option: click.Parameter) -> bool:
    return isinstance(option, click.Option) and not option.is_flag


def _spell_letters(word: str, flags: dict[str, str]) -> Iterator[str]:
    """One word, or one for each letter of ``-Af``."""
    if word in flags:
        yield f"{flags[word]}=true"
        return
    while word[:1] == "-" and word[:2] in flags:
        flag, word = flags[word[:2]], word[2:]
        if word.startswith("="):
            yield flag + word
            return
        yield f"{flag}=true"
        if not word:
            return
        word = f"-{word}"
    yield word


# ---------------------------------------------------------------- global flags


def _collect(ctx: click.Context, param: click.Parameter, value: object) -> None:
    session = ctx.find_object(Session)
    if session is None or value is None or param.name is None:
        return
    said = ctx.get_parameter_source(param.name) is ParameterSource.COMMANDLINE
    session.set(param.name, value, override=said)


def _global(kind: type[click.Option], *names: str, **attrs: Any) -> click.Option:
    words = [name[2:].upper().replace("-", "_") for name in names if name.startswith("--")]
    twins = [f"{tool}_{word}" for tool in ("FLEETSSH", "FLEETCTL") for word in words]
    return kind(names, envvar=twins, expose_value=False, callback=_collect, **attrs)


GLOBAL_FLAGS: tuple[click.Option, ...] = (
    _global(click.Option, "--inventory", metavar="PATH", help="Inventory file or folder (./inventory.yml)."),
    _global(
        click.Option,
        "--state",
        metavar="PATH",
        help="SQLite file of the cluster's state (~/.local/state/fleetssh/CLUSTER/state.db).",
    ),
    _global(click.Option, "--cluster", metavar="NAME", help="Name of the cluster, for its state (default)."),
    _global(
        click.Option,
        "--forks",
        type=click.IntRange(1),
        metavar="N",
        help="Visit at most N machines at a time (50).",
    ),
    _global(
        click.Option,
        "--lost-after-looks",
        type=click.IntRange(1),
        metavar="N",
        help="A machine is lost after N looks without an answer (3) ...",
    ),
    _global(
        click.Option,
        "--lost-after-seconds",
        type=click.FloatRange(0),
        metavar="S",
        help="... and S seconds since the first of them (60).",
    ),
    _global(
        click.Option,
        "--connect-timeout",
        "--ssh-timeout",
        type=click.FloatRange(0, min_open=True),
        metavar="S",
        help="Seconds for an SSH connection to come up (5).",
    ),
    _global(
        click.Option,
        "--ssh-username",
        metavar="USER",
        help="Login name on every machine, instead of the inventory's.",
    ),
    _global(
        click.Option,
        "--known-hosts-file",
        metavar="PATH",
        help="File of the machines' host keys, instead of the inventory's.",
    ),
    _global(Flag, "--accept-new-host-keys", help="Trust the host key of a machine on first use."),
    _global(Flag, "--strict-host-key-checking", help="Always on; see --accept-new-host-keys."),
    _global(
        Flag, "--debug", help="Print log lines on standard error, and the traceback of an internal error."
    ),
)
"""Every one can also be set as FLEETSSH_<FLAG> or FLEETCTL_<FLAG>; an empty value counts as none."""

EXAMPLE_COLUMNS = 48
"""For the command line of an example; what it is for goes beside it, or below a longer one."""

_LONG_LETTER = re.compile(r"--\w, ")

HELP_NAMES = {"help_option_names": ["-h", "--h", "--help"]}


class Shaped(click.Command):
    """A command that reads flags as fleet does and knows the global ones."""

    allow_interspersed_args = True

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Its own parameters and the global flags."""
        own = super().get_params(ctx)
        return [*own[:-1], *GLOBAL_FLAGS, *own[-1:]]

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Its arguments as the usage shows them; those without a name are not for people."""
        return [piece for piece in super().collect_usage_pieces(ctx) if piece]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Raises UsageError for an unknown flag, with the nearest known one."""
        spelled = spell_flags(self.get_params(ctx), args, mixed=self.allow_interspersed_args)
        try:
            return super().parse_args(ctx, spelled)
        except click.NoSuchOption as error:
            raise UsageError(f"unknown flag: {error.option_name}", _advice(self, ctx, error)) from None

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """What it is for, then examples."""
        super().format_help_text(ctx, formatter)
        if examples := EXAMPLES.get(ctx.command_path.removeprefix("fleetssh ")):
            with formatter.section("Examples"):
                formatter.write_dl(examples, col_max=EXAMPLE_COLUMNS)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Its own flags, then the global ones."""
        for title, chosen in (("Options", False), ("Global options", True)):
            found = [p for p in self.get_params(ctx) if (p in GLOBAL_FLAGS) is chosen]
            shown = [p for p in found if isinstance(p, click.Option) and not p.hidden]
            records = [record for p in shown if (record := p.get_help_record(ctx))]
            with formatter.section(title):
                formatter.write_dl([(_LONG_LETTER.sub("", names), text) for names, text in records])


class Verb(Shaped):
    """A command word with its flags."""

    def __init__(self, name: str | None, **attrs: Any) -> None:
        super().__init__(name, context_settings=HELP_NAMES, **attrs)

    def invoke(self, ctx: click.Context) -> Any:
        """Tells the session who asks, then does it."""
        ctx.ensure_object(Session).begin(self.name or "")
        return super().invoke(ctx)


def _advice(command: click.Command, ctx: click.Context, error: click.NoSuchOption) -> str:
    if error.option_name in GONE:
        return GONE[error.option_name]
    names = [name for param in command.get_params(ctx) for name in param.opts if name.startswith("--")]
    near = difflib.get_close_matches(error.option_name, names, n=1)
    if near:
        return f"did you mean {near[0]}?"
    if command.name == "ssh":
        return "flags of the remote command come after '--': fleetssh ssh MACHINE -- ls -l"
    return f"'{ctx.command_path} --help' shows the flags there are"
