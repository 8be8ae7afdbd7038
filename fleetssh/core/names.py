"""Unit names: how an argument becomes one, which are valid, what they are made of, what a glob matches."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from fleetssh.core.errors import UnitError

SUFFIXES = (
    ".service",
    ".socket",
    ".timer",
    ".path",
    ".device",
    ".mount",
    ".automount",
    ".target",
    ".slice",
    ".swap",
)
"""Suffixes that an argument may already carry. The first seven are fleet's; fleet turned ``foo.target``
into ``foo.target.service``, which made units of the last three types unreachable although systemd loads
them from files like any other."""

TEMPLATE_SUFFIXES = (".service", ".socket", ".timer", ".path", ".target")
"""Unit types whose names may contain ``@`` (fleet's list)."""

MAX_LENGTH = 255
"""Bytes in a name: a longer one is no file name on Linux and no unit name to systemd (fleet said 256)."""

CACHED_GLOBS = 4096
"""Compiled patterns kept: more than a large cluster's distinct patterns, and only a few megabytes."""

_NOT_FROM_FILES = {
    ".device": "a device unit appears with its hardware and cannot be started",
    ".scope": "a scope unit is made by a running program, not from a file",
    ".snapshot": "systemd has no snapshot units any more",
    ".busname": "systemd has no busname units any more",
}
PERPETUAL = frozenset({"-.slice", "system.slice", "-.mount"})
"""Units that systemd itself makes on every machine, without a file, and that nobody can stop."""

_STRANGE_CHARACTER = re.compile(r"[^0-9a-zA-Z:\-_.\\@]")
_GLOB_CHARACTERS = frozenset("*?[\\")


# ---------------------------------------------------------------- from an argument to a name


def with_suffix(argument: str) -> str:
    """``argument`` (a name or a path), with ``.service`` added unless it ends in one of ``SUFFIXES``."""
    return argument if argument.endswith(SUFFIXES) else argument + ".service"


def mangle(argument: str) -> str:
    """The unit name that a command's argument means: its last path component, ``with_suffix``.

    fleet: ``foo`` is ``foo.service``, ``examples/foo.socket`` is ``foo.socket``. A deliberate difference:
    ``foo.target``, ``foo.slice`` and ``foo.swap`` stay as they are (see ``SUFFIXES``).
    The result may still be no valid name: see ``validate_name``.
    """
    return with_suffix(argument.rstrip("/").rpartition("/")[2])


def validate_name(name: str) -> None:
    """Raise ``UnitError`` unless ``name`` can name a unit of ours; the first problem is told.

    fleet's rules in fleet's order (``api/units.go``), except that a unit type which systemd cannot start
    from a file is refused, and so is a name without anything before its suffix.
    """
    if not name:
        raise UnitError("unit name cannot be empty")
    if len(name.encode("utf-8", "replace")) > MAX_LENGTH:
        raise UnitError(f"unit name is longer than {MAX_LENGTH} bytes: {name[:40]}...")
    stem, dot, word = name.rpartition(".")
    if not dot:
        raise UnitError(f"unit name {name!r} has no type", hint=f"did you mean {with_suffix(name)!r}?")
    if not word:
        raise UnitError(f"unit name {name!r} cannot end in a dot")
    _validate_type(name, "." + word)
    if strange := _STRANGE_CHARACTER.search(stem):
        raise UnitError(
            f"invalid character {strange[0]!r} in unit name",
            hint=f"{name!r}: letters, digits and : - _ . \\ @ are allowed",
        )
    if name in PERPETUAL:
        raise UnitError(f"{name} belongs to systemd itself on every machine", hint="choose another name")
    if not stem or stem.startswith("@"):
        raise UnitError(f"unit name {name!r} has nothing before its {'@' if stem else 'type'}")


def _validate_type(name: str, suffix: str) -> None:
    if suffix in _NOT_FROM_FILES:
        raise UnitError(f"invalid unit type in {name!r}: {_NOT_FROM_FILES[suffix]}")
    if suffix not in SUFFIXES:
        known = " ".join(known for known in SUFFIXES if known not in _NOT_FROM_FILES)
        raise UnitError(f"invalid unit type {suffix!r} in {name!r}", hint=f"unit types: {known}")
    if "@" in name and suffix not in TEMPLATE_SUFFIXES:
        raise UnitError(
            f"a {suffix} unit cannot be a template or an instance: {name!r}",
            hint=f"unit types that can: {' '.join(TEMPLATE_SUFFIXES)}",
        )


# ---------------------------------------------------------------- the parts of a name


@dataclass(frozen=True, slots=True)
class UnitName:
    """The parts of a unit name.

    ``foo@bar.service``: prefix ``foo``, instance ``bar``, suffix ``.service``. The instance reaches from the
    first ``@`` to the last dot; it is empty for a template and ``None`` for a name without ``@``.
    """

    full: str
    prefix: str
    instance: str | None
    suffix: str

    @property
    def stem(self) -> str:
        """The name without its suffix: ``foo@bar``."""
        return self.full.removesuffix(self.suffix)

    @property
    def template(self) -> str | None:
        """``foo@.service``, also for a template itself; ``None`` for a name without ``@``."""
        return None if self.instance is None else f"{self.prefix}@{self.suffix}"

    @property
    def is_template(self) -> bool:
        """True for ``foo@.service``."""
        return self.instance == ""

    @property
    def is_instance(self) -> bool:
        """True for ``foo@bar.service``."""
        return bool(self.instance)


def split_name(name: str) -> UnitName:
    """The parts of ``name``; ``UnitError`` when it has no dot. Nothing else is validated."""
    stem, dot, word = name.rpartition(".")
    if not dot:
        raise UnitError(f"unit name {name!r} has no type", hint=f"did you mean {with_suffix(name)!r}?")
    prefix, at, instance = stem.partition("@")
    return UnitName(name, prefix, instance if at else None, "." + word)


def template_of(name: str) -> str | None:
    """The template that ``name`` is an instance of; ``None`` unless it is an instance."""
    parts = split_name(name)
    return parts.template if parts.is_instance else None


def is_template(name: str) -> bool:
    """True for ``foo@.service``; ``UnitError`` when ``name`` has no dot."""
    return split_name(name).is_template


def is_instance(name: str) -> bool:
    """True for ``foo@bar.service``; ``UnitError`` when ``name`` has no dot."""
    return split_name(name).is_instance


def expand(value: str, name: str) -> str:
    """``value`` with fleet's four specifiers replaced for the unit ``name``, in this order:

    ``%n`` full name, ``%N`` name without suffix, ``%p`` prefix, ``%i`` instance (empty without one).
    There is no ``%%`` and no unescaping; a name without a dot expands nothing.
    """
    if "%" not in value or "." not in name:
        return value
    parts = split_name(name)
    return (
        value.replace("%n", parts.full)
        .replace("%N", parts.stem)
        .replace("%p", parts.prefix)
        .replace("%i", parts.instance or "")
    )


# ---------------------------------------------------------------- globs


def is_literal(pattern: str) -> bool:
    """True when ``pattern`` has no glob character, so that it can only match the name equal to it."""
    return _GLOB_CHARACTERS.isdisjoint(pattern)


def glob_matches(pattern: str, name: str) -> bool:
    """Whether the whole ``name`` matches ``pattern`` by the rules of Go's ``path.Match``, as in fleet.

    ``*`` is any run of characters except ``/``, ``?`` one such character, ``[abc]``, ``[a-z]``, ``[^a]``
    a class, backslash takes the next character literally. A malformed pattern matches nothing.
    """
    if is_literal(pattern):
        return pattern == name
    compiled = compile_glob(pattern)
    return compiled is not None and compiled.fullmatch(name) is not None


@lru_cache(maxsize=CACHED_GLOBS)
def compile_glob(pattern: str) -> re.Pattern[str] | None:
    """``pattern`` (rules: ``glob_matches``) as a regular expression for ``fullmatch``; ``None`` if malformed.

    Matching takes time linear in the name for each ``*``, whatever the pattern: every ``*`` but the last
    takes the first match of what follows it and is never tried again, which is also what Go does.
    """
    try:
        head, *runs = _chunks(pattern)
    except ValueError:
        return None
    if not runs:
        return re.compile(head, re.DOTALL)
    middle = "".join(f"(?>[^/]*?{chunk})" for chunk in runs[:-1] if chunk)
    return re.compile(f"{head}{middle}[^/]*{runs[-1]}", re.DOTALL)


def _chunks(pattern: str) -> list[str]:
    """Regular expressions for the parts between the stars of a glob; ``ValueError`` if it is malformed."""
    chunks = [""]
    at = 0
    while at < len(pattern):
        char = pattern[at]
        if char == "*":
            chunks.append("")
            at += 1
        elif char == "?":
            chunks[-1] += "[^/]"
            at += 1
        elif char == "[":
            term, at = _class(pattern, at + 1)
            chunks[-1] += term
        else:
            literal, at = _literal(pattern, at)
            chunks[-1] += re.escape(literal)
    return chunks


def _literal(pattern: str, at: int) -> tuple[str, int]:
    """The character at ``at``, or the one after a backslash, and where to go on."""
    if pattern[at : at + 1] == "\\":
        at += 1
    if at >= len(pattern):
        raise ValueError("the pattern ends too early")
    return pattern[at], at + 1


def _class(pattern: str, at: int) -> tuple[str, int]:
    """The class that begins after the ``[`` before ``at``, and where to go on. It may not be empty."""
    negated = pattern[at : at + 1] == "^"
    if negated:
        at += 1
    ranges: list[str] = []
    empty = True
    while empty or pattern[at : at + 1] != "]":
        low, at = _bound(pattern, at)
        high = low
        if pattern[at : at + 1] == "-":
            high, at = _bound(pattern, at + 1)
        if low <= high:
            ranges.append(f"{re.escape(low)}-{re.escape(high)}")
        empty = False
    if ranges:
        return f"[{'^' if negated else ''}{''.join(ranges)}]", at + 1
    return ("." if negated else "(?!)"), at + 1


def _bound(pattern: str, at: int) -> tuple[str, int]:
    """One end of a range: a ``-`` or ``]`` must be escaped to be one."""
    if pattern[at : at + 1] in ("-", "]"):
        raise ValueError("a class needs a character here")
    return _literal(pattern, at)
