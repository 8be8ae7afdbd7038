"""What is worth remembering: commands and passes as events of the history."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fleetssh.core.model import Wanted
from fleetssh.store import Event

COMMAND = "command"

TYPED_LIMIT = 120
"""Characters kept of what was typed: it stands in the event of every unit that it changed."""


@dataclass(frozen=True, slots=True)
class Author:
    """Who changes what is wanted, and with which verb."""

    who: str
    verb: str


def command_events(
    author: Author,
    arguments: tuple[str, ...],
    before: Mapping[str, Wanted],
    after: Mapping[str, Wanted],
    at: float,
) -> tuple[Event, ...]:
    """One event for each unit that a command changed, sorted by unit: the verb and its arguments as they were
    typed, and what is different now."""
    typed = _cut(" ".join((author.verb, *arguments)))
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    return tuple(
        Event(at, author.who, COMMAND, name, f"{typed}: {_difference(before.get(name), after.get(name))}")
        for name in changed
    )


def _cut(text: str) -> str:
    return text if len(text) <= TYPED_LIMIT else f"{text[: TYPED_LIMIT - 3]}..."


def _difference(old: Wanted | None, new: Wanted | None) -> str:
    if old is None:
        return f"new, {new.target}" if new else ""
    if new is None:
        return f"forgotten, was {old.target}"
    return ", ".join(_differences(old, new))


def _differences(old: Wanted, new: Wanted) -> Iterator[str]:
    if old.unit.digest != new.unit.digest:
        yield f"file {old.unit.hash} -> {new.unit.hash}"
    if old.target is not new.target:
        yield f"{old.target} -> {new.target}"
    if old.generation != new.generation:
        yield "restart asked for"
