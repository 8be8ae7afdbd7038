"""Writes docs/cli.md, the reference of the command line, from the program itself: ``make docs``."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import click

from fleetssh.cli import exits
from fleetssh.cli.examples import EXAMPLES, Example
from fleetssh.cli.flags import GLOBAL_FLAGS
from fleetssh.cli.main import SECTIONS, program

TARGET = Path(__file__).parents[1] / "docs" / "cli.md"

INTRODUCTION = """\
# The command line

Written by `make docs` from the program itself; `fleetssh help` and `fleetssh COMMAND --help` say the same.

A command may be shortened as long as no other one begins that way. Flags may stand before or after other
words; what comes after `--` is never taken for a flag. A flag without a value is `--flag` or
`--flag=true|false`. `UNIT` may be written without `.service`, and a glob such as `'web@*'` means every stored
unit that it fits.
"""


def render() -> str:
    """The whole page."""
    root = click.Context(program, info_name="fleetssh")
    parts = [INTRODUCTION, *_examples(EXAMPLES["fleetssh"]), *_contents()]
    for title, entries in SECTIONS.items():
        parts.append(f"## {title}\n")
        for name in entries:
            command = program.get_command(root, name)
            assert command is not None
            parts += _command(command, click.Context(command, info_name=name, parent=root))
    return "\n".join([*parts, *_global_options(root), *_exit_codes()])


def _contents() -> Iterator[str]:
    for title, entries in SECTIONS.items():
        links = ", ".join(f"[{name}](#fleetssh-{name})" for name in entries)
        yield f"- {title}: {links}"
    yield "- [Global options](#global-options), [exit codes](#exit-codes)\n"


# ---------------------------------------------------------------- one command


def _command(command: click.Command, ctx: click.Context) -> Iterator[str]:
    usage = " ".join(command.collect_usage_pieces(ctx))
    yield f"### {ctx.command_path}\n"
    yield f"```\n{ctx.command_path} {usage}\n```\n"
    yield from _prose(command.help or "")
    yield from _examples(EXAMPLES.get(ctx.command_path.removeprefix("fleetssh "), ()))
    own = [p for p in command.params if isinstance(p, click.Option) and not p.hidden]
    if own:
        yield from _table(("option", "meaning"), (_option(option, ctx) for option in own))
    if isinstance(command, click.Group):
        for name, part in command.commands.items():
            yield from _command(part, click.Context(part, info_name=name, parent=ctx))


def _prose(text: str) -> Iterator[str]:
    """Paragraphs on one line each; those that ``\\b`` keeps from being filled as they are."""
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        first, *rest = paragraph.splitlines()
        if first == "\b":
            yield "\n".join(["```", *rest, "```"]) + "\n"
        else:
            yield " ".join([first, *rest]) + "\n"


def _examples(examples: Sequence[Example]) -> Iterator[str]:
    if examples:
        width = max(len(line) for line, _ in examples)
        yield (
            "\n".join(["```", *(f"{line:<{width}}  # {purpose}" for line, purpose in examples), "```"]) + "\n"
        )


def _option(option: click.Option, ctx: click.Context) -> tuple[str, str]:
    names, meaning = option.get_help_record(ctx) or ("", "")
    return f"`{names}`", meaning


# ---------------------------------------------------------------- what goes for all


def _global_options(root: click.Context) -> Iterator[str]:
    yield "## Global options\n"
    yield (
        "For every command. Where a flag is not given the environment counts: the first of its variables "
        "that is set and not empty.\n"
    )
    rows = []
    for option in GLOBAL_FLAGS:
        assert isinstance(option, click.Option) and isinstance(option.envvar, list)
        twins = ", ".join(f"`{name}`" for name in option.envvar)
        rows.append((*_option(option, root), twins))
    yield from _table(("option", "meaning", "environment"), rows)


def _exit_codes() -> Iterator[str]:
    yield "## Exit codes\n"
    (kind,) = (n for n in ast.parse(inspect.getsource(exits)).body if isinstance(n, ast.ClassDef))
    yield f"{(ast.get_docstring(kind) or '').replace('``', '`')}\n"
    rows = []
    for member, docstring in zip(kind.body, kind.body[1:], strict=False):
        if isinstance(member, ast.Assign) and isinstance(docstring, ast.Expr):
            value = ast.literal_eval(member.value)
            rows.append((f"{value}", ast.literal_eval(docstring.value).replace("``", "`")))
    assert len(rows) == len(exits.Exit), "every exit code has a docstring"
    yield from _table(("code", "meaning"), rows)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """A table of Markdown, in which ``|`` must be escaped even inside code."""
    for row in (head, ("---",) * len(head), *rows):
        yield "| " + " | ".join(" ".join(cell.split()).replace("|", r"\|") for cell in row) + " |"
    yield ""


if __name__ == "__main__":
    TARGET.write_text(render(), encoding="utf-8")
