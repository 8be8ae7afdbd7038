"""Answers for people and for scripts: one set of columns, shown as a table, as JSON or as YAML."""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import click

from fleetssh.cli.flags import Flag
from fleetssh.cli.render import pairs, table
from fleetssh.core.errors import CommandError

DIGITS = 3
"""Decimals of a number for scripts: milliseconds, where it is seconds."""

NUMBERS_BEGIN = frozenset("+-.0123456789")
"""What may look like a number in one version of YAML or another."""

Row = TypeVar("Row")
Result = TypeVar("Result")


class Format(enum.StrEnum):
    """How an answer is written."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


@dataclass(frozen=True, slots=True)
class Column(Generic[Row]):
    """One field of a listing.

    ``value`` is what scripts get: text, a number, a boolean, a mapping, a list, or ``None`` for what is
    absent. ``cell`` is what people read, given the row and whether they want whole ids; without one it is the
    value as text. A ``rare`` column is in an object only when ``--fields`` names it.
    """

    value: Callable[[Row], object]
    cell: Callable[[Row, bool], str] | None = None
    rare: bool = False

    def show(self, row: Row, full: bool) -> str:
        """The cell of ``row``; ``-`` for what is absent."""
        return self.cell(row, full) if self.cell else as_text(self.value(row))


@dataclass(frozen=True, slots=True)
class Listing(Generic[Row]):
    """What was asked of a listing verb: which columns, in which order and which format."""

    columns: Mapping[str, Column[Row]]
    fields: tuple[str, ...]
    format: Format = Format.TABLE
    legend: bool = True
    full: bool = False

    def lines(self, rows: Iterable[Row]) -> list[str]:
        """The answer: a table with the names of the fields as its head, or a list of objects."""
        if self.format is Format.TABLE:
            head = [[name.upper() for name in self.fields]] if self.legend else []
            body = [[self.columns[name].show(row, self.full) for name in self.fields] for row in rows]
            return table([*head, *body])
        return dump(
            [{name: self.columns[name].value(row) for name in self.fields} for row in rows], self.format
        )


def choose(
    columns: Mapping[str, Column[Any]], fields: str | None, default: str, format: Format
) -> tuple[str, ...]:
    """The names of the fields that were asked for, in that order. Without ``fields`` those of ``default`` for
    a table, and every common one for an object. Raises CommandError, in fleet's words, for a field that there
    is not."""
    if fields is None:
        common = tuple(name for name, column in columns.items() if not column.rare)
        return tuple(default.split(",")) if format is Format.TABLE else common
    known = f"there are: {','.join(columns)}"
    if not fields:
        raise CommandError("Must define output format", hint=known)
    names = tuple(fields.split(","))
    for name in names:
        if name not in columns:
            raise CommandError(f'Invalid key in output format: "{name}"', hint=known)
    return names


def as_text(value: object) -> str:
    """A value as people read it; ``-`` for what is absent or empty."""
    match value:
        case None | "" | () | []:
            return "-"
        case bool():
            return str(value).lower()
        case float():
            return f"{round(value, DIGITS):g}"
        case Mapping():
            return pairs(value)
        case list() | tuple():
            return ",".join(map(str, value))
        case _:
            return str(value)


# ---------------------------------------------------------------- options


def listing_options(
    columns: Mapping[str, Column[Row]], default: str
) -> Callable[[Callable[..., Result]], Callable[..., Result]]:
    """Gives a listing verb its options, and hands it what they say as ``listing``. A field that there is not
    is told before anything else happens."""
    more = ", ".join(name for name in columns if name not in default.split(","))
    also = f"; there are also {more}" if more else ""

    def begun(_ctx: click.Context, _param: click.Parameter, word: str) -> list[str]:
        before, comma, _ = word.rpartition(",")
        return [before + comma + name for name in columns if name not in before.split(",")]

    def decorate(function: Callable[..., Result]) -> Callable[..., Result]:
        @output_option
        @click.option("--fields", metavar="A,B,...", shell_complete=begun,
                      help=f"Columns of the table [default: {default}] or keys of the objects "
                      f"[default: all]{also}.")  # fmt: skip
        @click.option("--no-legend", cls=Flag, default=False, help="Leave the header of the table out.")
        @click.option("-l", "--l", "--full", "full", cls=Flag, default=False,
                      help="Show whole ids and hashes.")  # fmt: skip
        @functools.wraps(function)
        def with_listing(
            *args: object, full: bool, no_legend: bool, fields: str | None, output: Format, **others: object
        ) -> Result:
            names = choose(columns, fields, default, output)
            listing = Listing(columns, names, output, not no_legend, full)
            return function(*args, listing=listing, **others)

        return with_listing

    return decorate


def output_option(function: Callable[..., Result]) -> Callable[..., Result]:
    """``-o``: a table for people, or JSON or YAML for scripts; handed over as ``output``."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(Format, case_sensitive=False),
        default="table",
        show_default=True,
        help="How to print it; docs/output.md tells what scripts get.",
    )(function)


# ---------------------------------------------------------------- writing


def dump(value: object, format: Format) -> list[str]:
    """Lines of JSON or YAML, in plain ASCII: it is valid in any locale, and steers no terminal."""
    plain = _plain(value)
    if format is Format.YAML:
        return _yaml(plain).splitlines()
    # DEL is the one control character that JSON may hold as it is.
    return [line.replace("\x7f", "\\u007f") for line in _json(plain)]


def _json(plain: object) -> list[str]:
    """A list has one line an object: so grep works too, and thousands are written ten times faster."""
    import json

    if not isinstance(plain, list):
        return json.dumps(plain, indent=2, allow_nan=False).splitlines()
    items = [json.dumps(item, allow_nan=False) for item in plain]
    return ["[", *(f"  {item}," for item in items[:-1]), f"  {items[-1]}", "]"] if items else ["[]"]


def _yaml(plain: object) -> str:
    import yaml

    try:
        # libyaml writes about ten times faster, but is not in every build of PyYAML.
        from yaml import CSafeDumper as SafeDumper
    except ImportError:
        from yaml import SafeDumper  # type: ignore[assignment]

    class Dumper(SafeDumper):
        """Quotes what a reader of YAML 1.2 would take for a number where one of 1.1 does not: ``1e3``."""

        def text(self, text: str) -> yaml.ScalarNode:
            style = "'" if text[:1] in NUMBERS_BEGIN else None
            return self.represent_scalar("tag:yaml.org,2002:str", text, style)

    Dumper.add_representer(str, Dumper.text)
    return str(yaml.dump(plain, Dumper=Dumper, sort_keys=False, allow_unicode=False))


def _plain(value: object) -> object:
    """The value in types that every format knows; containers are copied, so that YAML needs no anchors."""
    match value:
        case None | bool() | int():
            return value
        case float():
            return round(value, DIGITS)
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case _:
            # Bytes that are no text reach us from the command line as surrogates, which YAML cannot hold.
            return str(value).encode("utf-8", "backslashreplace").decode()
