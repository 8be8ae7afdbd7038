"""Unit files: reads one the way fleet did, keeps its exact bytes, and tells its hash."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from fleetssh.core.errors import UnitError
from fleetssh.core.excerpts import excerpt, shorten

MAX_LINE = 2047
"""Bytes in a line, without its newline. fleet refused longer ones because systemd used to cut them off."""

BLANKS = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
"""What counts as white space: Unicode's, as in fleet. (``str.strip()`` also takes control characters.)"""


@dataclass(frozen=True, slots=True)
class Option:
    """One ``name=value`` of a section; ``line`` is where it begins, counted from 1.

    A continued value keeps its backslashes, newlines and leading blanks: see ``unfold``.
    """

    section: str
    name: str
    value: str
    line: int


@dataclass(frozen=True, slots=True)
class UnitFile:
    """A unit file: its exact bytes, and its options in file order (an empty section leaves no trace)."""

    text: bytes
    options: tuple[Option, ...]

    @property
    def digest(self) -> str:
        """SHA-1 of the bytes, 40 hexadecimal digits: what ``sha1sum`` prints."""
        return hashlib.sha1(self.text, usedforsecurity=False).hexdigest()

    @property
    def hash(self) -> str:
        """SHA-1 of ``normal_form`` in UTF-8, 40 hexadecimal digits: fleet's hash of a unit."""
        return hashlib.sha1(self.normal_form.encode(), usedforsecurity=False).hexdigest()

    @property
    def normal_form(self) -> str:
        """The options alone, as fleet printed them: sections in order of first appearance, each with all
        its options in file order, one empty line between sections, no comments."""
        sections: dict[str, list[str]] = {}
        for option in self.options:
            sections.setdefault(option.section, []).append(f"{option.name}={option.value}\n")
        return "\n".join(f"[{name}]\n{''.join(lines)}" for name, lines in sections.items())

    def values(self, section: str, name: str) -> tuple[str, ...]:
        """All values of an option in file order, empty ones too."""
        return tuple(
            option.value for option in self.options if option.name == name and option.section == section
        )

    def first(self, section: str, name: str) -> str | None:
        """The first value of an option; ``None`` when the file has none."""
        return next(iter(self.values(section, name)), None)


def unfold(value: str) -> str:
    """``value`` with every continuation (backslash, newline) replaced by a space, as systemd reads it."""
    return value.replace("\\\n", " ").strip(BLANKS)


def locate(source: str, line: int) -> str:
    """Where a mistake is: ``file:line``, or ``line N`` when the file has no name."""
    return f"{source}:{line}" if source else f"line {line}"


def parse(text: bytes, source: str = "") -> UnitFile:
    """Read a unit file by fleet's rules (go-systemd's lexer); no option is interpreted here.

    Raises ``UnitError`` with ``source`` and line for what is no unit file: a section header without its
    ``]`` or with text after it, a line without ``=``, a line longer than ``MAX_LINE``, bytes that are not
    UTF-8, a NUL.
    """
    return UnitFile(text, tuple(_read_options(_read_lines(text, source), source)))


def _read_lines(text: bytes, source: str) -> list[str]:
    try:
        decoded = text.decode()
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise UnitError("a unit file must be UTF-8 text", locate(source, line)) from None
    if (nul := text.find(b"\0")) >= 0:
        line = text.count(b"\n", 0, nul) + 1
        raise UnitError("a unit file must be text, but it has a NUL byte", locate(source, line))
    if len(text) > MAX_LINE:
        _check_line_lengths(text, source)
    return decoded.split("\n")


def _check_line_lengths(text: bytes, source: str) -> None:
    for number, line in enumerate(text.split(b"\n"), 1):
        if len(line) > MAX_LINE:
            raise UnitError(
                f"line too long: {len(line)} bytes, at most {MAX_LINE}",
                locate(source, number),
                hint="end a line with a backslash to continue its value on the next",
            )


def _read_options(lines: list[str], source: str) -> list[Option]:
    options: list[Option] = []
    section = ""
    at, column = _skip_prelude(lines)
    while at < len(lines):
        line = lines[at][column:].lstrip(BLANKS)
        column = 0
        if not line:
            at += 1
        elif line[0] == "[":
            section, at = _read_header(lines, at, line, source)
        elif line[0] in "#;":
            at = _skip_comment(lines, at)
        else:
            name, equals, value = line.partition("=")
            if not equals:
                raise UnitError(
                    f"line without '=': {shorten(line.rstrip(BLANKS))!r}",
                    locate(source, at + 1),
                    hint="write Name=value, or begin the line with # to make it a comment",
                )
            start = at + 1
            value, at = _read_value(lines, at, value)
            options.append(Option(section, name.rstrip(BLANKS), value, start))
    return options


def _skip_prelude(lines: list[str]) -> tuple[int, int]:
    """Line and column of the first ``[`` outside a comment; past the end if there is none.

    Everything before it is ignored, and a comment may begin anywhere there.
    """
    at = 0
    while at < len(lines):
        column = next((index for index, char in enumerate(lines[at]) if char in "[#;"), None)
        if column is None:
            at += 1
        elif lines[at][column] == "[":
            return at, column
        else:
            at = _skip_comment(lines, at)
    return at, 0


def _skip_comment(lines: list[str], at: int) -> int:
    """The line after the comment at ``at``: a backslash (and one space after it) continues a comment too."""
    while at < len(lines) and lines[at].removesuffix(" ").endswith("\\"):
        at += 1
    return at + 1


def _read_header(lines: list[str], at: int, line: str, source: str) -> tuple[str, int]:
    """Name of the section whose header begins ``line``, and the line after it. A name may span lines."""
    start = at + 1
    names: list[str] = []
    line = line[1:]
    while "]" not in line:
        names.append(line)
        at += 1
        if at == len(lines):
            raise UnitError("unable to find end of section", locate(source, start), hint="close it with ]")
        line = lines[at]
    last, _, garbage = line.partition("]")
    name = "\n".join([*names, last])
    if garbage := garbage.strip(BLANKS):
        raise UnitError(
            f"found garbage after section name [{excerpt(name)}]: {shorten(garbage)!r}",
            locate(source, at + 1),
            hint="a section header stands on a line of its own",
        )
    return name, at + 1


def _read_value(lines: list[str], at: int, value: str) -> tuple[str, int]:
    """The value that begins at line ``at`` with the text ``value``, and the line after it.

    A line whose very last character is a backslash is continued. A blank line ends a value, which then
    keeps the newline before it.
    """
    line = value
    while line.endswith("\\") and at + 1 < len(lines):
        at += 1
        line = lines[at]
        if not line.strip(BLANKS):
            return value.strip(BLANKS) + "\n", at + 1
        value += "\n" + line
    return value.strip(BLANKS), at + 1
