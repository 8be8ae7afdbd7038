"""What is worth remembering of commands and passes, as events of the history."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from fleetssh.control.result import Pass
from fleetssh.core.health import health_of, reboot_of
from fleetssh.core.identity import is_ghost
from fleetssh.core.model import Action, Health, MachineRecord, Move, Step, TargetState, Wanted
from fleetssh.core.names import glob_matches
from fleetssh.core.remarks import describe_failure
from fleetssh.core.sighting import Reached
from fleetssh.store import Event

COMMAND, PASS, MOVE, STEP, TROUBLE, HEALTH = "command", "pass", "move", "step", "trouble", "health"
KINDS = (COMMAND, PASS, MOVE, STEP, TROUBLE, HEALTH)
"""An operator changed what is wanted; a pass did or found something; the schedule changed; a machine did
something; something could not be done or has failed; a machine's health changed."""

TYPED_LIMIT = 120
"""Characters kept of what was typed: it stands in the event of every unit that it changed."""

TEXT_LIMIT = 500
"""Characters kept of one event, so that a machine that says a lot cannot swell the history."""

UNPLACED_SHOWN = 3
"""Units without a place that a pass names; 'fleetssh plan' names all of them and why."""

UNTOLD = frozenset({Action.RELOAD, Action.NOTE})
"""Steps that change nothing that anybody would look for."""

NOWHERE = "nowhere"
CUT = "..."

TOOK = ", took "
"""Before the duration of a pass, which is not part of what it has to say."""


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
    words = " ".join((author.verb, *arguments))
    typed = _cut(words.encode("utf-8", "backslashreplace").decode(), TYPED_LIMIT)  # it may be no text at all
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    return tuple(
        _event(at, author.who, COMMAND, name, f"{typed}: {_difference(before.get(name), after.get(name))}")
        for name in changed
    )


def health_events(
    who: str, before: Mapping[str, MachineRecord], after: Mapping[str, MachineRecord], at: float
) -> tuple[Event, ...]:
    """One event for each machine that was rebooted or whose health is another than remembered, by host name,
    with the reason.

    ``before`` is what the store remembered, ``after`` what is true of the inventory's hosts now.
    """
    return tuple(
        _event(at, who, HEALTH, host, text)
        for host in sorted(before.keys() | after.keys())
        if (text := _health_change(before.get(host), after.get(host)))
    )


def _health_change(old: MachineRecord | None, new: MachineRecord | None) -> str:
    if new is None:
        # Of a ghost that was told when it became one.
        return "" if old is None or is_ghost(old) else "no longer in the inventory"
    was, now = health_of(old) if old else None, health_of(new)
    if old and reboot_of(old, new):
        return f"{was} -> up: it was rebooted"
    if was is now:
        return ""
    if now is not Health.UP:
        return f"{was or 'new'} -> {now}: {new.failure}"
    return f"{was} -> up: it answers again" if was else "new -> up: seen for the first time"


def move_events(who: str, moves: Sequence[Move], at: float) -> tuple[Event, ...]:
    """One event for each change of the schedule, in the order of ``moves``; machines by their whole ids."""
    return tuple(
        _event(
            at, who, MOVE, move.unit, f"{move.before or NOWHERE} -> {move.after or NOWHERE}: {move.reason}"
        )
        for move in moves
    )


def pass_events(who: str, done: Pass, seconds: float, at: float) -> tuple[Event, ...]:
    """What a pass did and found, then one summary of it; nothing of a pass that found all well.

    ``seconds`` is how long it took. Its moves and the machines' health have events of their own.
    """
    told = [
        *((STEP, unit, text) for unit, text in _steps(done.done)),
        *((TROUBLE, unit, text) for unit, text in _troubles(done)),
    ]
    layout = done.plan.layout
    stored = done.survey.stored
    if not (told or layout.moves or layout.unplaced or health_events(who, stored, done.records, at)):
        return ()
    told.append((PASS, "", f"{_summary(done)}{TOOK}{seconds:.1f} s"))
    return tuple(_event(at, who, kind, subject, text) for kind, subject, text in told)


def news(events: Sequence[Event], latest: Sequence[Event]) -> Sequence[Event]:
    """``events``, or nothing when the history's ``latest`` ones, as many, already say just that: a trouble
    that every pass meets again is told once, so that a pass a minute doesn't push everything else out."""
    return () if [_gist(event) for event in events] == [_gist(event) for event in latest] else events


def about_unit(event: Event, pattern: str) -> bool:
    """Whether ``event`` is about a unit whose name matches the glob ``pattern``."""
    return event.kind not in (PASS, HEALTH) and glob_matches(pattern, event.subject)


def about_machine(event: Event, word: str, records: Mapping[str, MachineRecord]) -> bool:
    """Whether ``event`` is about the machine called ``word``, or whose id begins with it.

    ``records`` tell which host has which id; a machine that they do not have is known by ``word`` alone.
    """
    known = [r for r in records.values() if word == r.host or r.machine_id.startswith(word)]
    hosts = {word, *(record.host for record in known)}
    head = event.text.partition(": ")[0]
    if event.kind == HEALTH:
        return event.subject in hosts
    if event.kind == MOVE:
        ids = (word, *(record.machine_id for record in known if record.machine_id))
        return any(end.startswith(ids) for end in head.split(" -> ") if end != NOWHERE)
    return event.kind in (STEP, TROUBLE) and head in hosts


def _event(at: float, who: str, kind: str, subject: str, text: str) -> Event:
    return Event(at, who, kind, subject, _cut(text, TEXT_LIMIT))


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - len(CUT)]}{CUT}"


def _gist(event: Event) -> tuple[str, str, str]:
    text = event.text.rpartition(TOOK)[0] if event.kind == PASS else event.text
    return event.kind, event.subject, text


# ---------------------------------------------------------------- commands


def _difference(old: Wanted | None, new: Wanted | None) -> str:
    if old is None:
        return f"new, {new.target}" if new else ""
    if new is None:
        return f"forgotten, was {old.target}"
    return ", ".join(_differences(old, new))


def _differences(old: Wanted, new: Wanted) -> Iterator[str]:
    if old.unit.hash != new.unit.hash:
        yield f"file {old.unit.hash} -> {new.unit.hash}"
    if old.target is not new.target:
        yield f"{old.target} -> {new.target}"
    if old.generation != new.generation:
        yield "restart asked for"


# ---------------------------------------------------------------- passes


def _steps(done: Sequence[tuple[str, Step]]) -> Iterator[tuple[str, str]]:
    """One text for all that a machine did with one unit: ``m1: write, start (least loaded)``."""
    by_place: dict[tuple[str, str], list[Step]] = {}
    for host, step in done:
        if step.action not in UNTOLD:
            by_place.setdefault((host, step.unit), []).append(step)
    for (host, unit), steps in by_place.items():
        parts = [
            f"{', '.join(step.action for step in same)} ({reason})"
            for reason, same in groupby(steps, key=lambda step: step.reason)
        ]
        yield unit, f"{host}: {'; '.join(parts)}"


def _troubles(done: Pass) -> Iterator[tuple[str, str]]:
    for host, outcome in done.troubles:
        message = outcome.message.replace("\n", "; ")
        what = "" if outcome.action is Action.NOTE else f"{outcome.action} failed: "
        yield outcome.unit, f"{host}: {what}{message}"
    for unit in sorted(done.withheld):
        yield unit, "not started anew: its old copy was not seen to have stopped"
    yield from _new_failures(done)
    if done.survey.alarm:
        yield "", done.survey.alarm


def _new_failures(done: Pass) -> Iterator[tuple[str, str]]:
    """Units that should run and have failed since they were last seen."""
    for host, sighting in sorted(done.sightings.items()):
        record = done.survey.stored.get(host)
        known = {seen.name for seen in record.seen if seen.active == "failed"} if record else set()
        if isinstance(sighting, Reached):
            for found in sighting.found:
                entry = found.entry
                if (
                    found.active == "failed"
                    and entry.target is TargetState.LAUNCHED
                    and entry.name not in known
                ):
                    yield entry.name, f"{host}: failed{describe_failure(found)}"


def _summary(done: Pass) -> str:
    unplaced = sorted(done.plan.layout.unplaced)
    names = ", ".join([*unplaced[:UNPLACED_SHOWN], *(["..."] if len(unplaced) > UNPLACED_SHOWN else [])])
    counts = {
        "machines": len(done.sightings),
        "unreached": len(done.unreached),
        "moves": len(done.plan.layout.moves),
        "steps": sum(step.action not in UNTOLD for _, step in done.done),
        "troubles": sum(1 for _ in _troubles(done)),
        "unplaced": len(unplaced),
    }
    text = ", ".join(f"{word}: {count}" for word, count in counts.items() if count)
    return f"{text} ({names})" if unplaced else text
