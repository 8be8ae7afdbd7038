"""The verb about the past: events."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import click

from fleetssh import clock
from fleetssh.cli.flags import Flag, Verb
from fleetssh.cli.formats import Column, Listing, listing_options
from fleetssh.cli.output import say
from fleetssh.cli.render import SHORT_HASH, SHORT_ID
from fleetssh.cli.session import Session
from fleetssh.control.chronicle import KINDS, about_machine, about_unit
from fleetssh.core.errors import UsageError
from fleetssh.core.names import mangle
from fleetssh.store import HISTORY_LIMIT, Event

LINES = 50
"""Shown unless asked otherwise: what a person reads, and some twenty commands and passes."""

UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}

_AGE = re.compile(r"-?((?:\d+[smhdw])+)(?: ago)?")
_WHOLE = re.compile(r"\b(?:[0-9a-f]{32}|[0-9a-f]{40})\b")


def _short_text(event: Event, full: bool) -> str:
    """Its text with machine ids and hashes cut as in the other listings."""
    return event.text if full else _WHOLE.sub(lambda found: _short_id(found[0]), event.text)


def _short_id(whole: str) -> str:
    return f"{whole[:SHORT_ID]}..." if len(whole) == 32 else whole[:SHORT_HASH]


COLUMNS: Mapping[str, Column[Event]] = {
    "time": Column(
        lambda event: clock.as_local(event.at),
        lambda event, full: (
            clock.as_local(event.at) if full else clock.as_local(event.at)[:19].replace("T", " ")
        ),
    ),
    "who": Column(
        lambda event: event.who,
        lambda event, full: event.who if full else event.who.partition(" (")[0],
    ),
    "kind": Column(lambda event: event.kind),
    "subject": Column(lambda event: event.subject or None),
    "text": Column(lambda event: event.text, _short_text),
}


def _since(_: click.Context, __: click.Parameter, value: str) -> float | None:
    """Seconds since the epoch of ``2h``, ``1d12h``, ``2026-11-21`` or ``2026-11-21 06:30``."""
    if not value:
        return None
    if age := _AGE.fullmatch(value.strip()):
        parts = re.findall(r"(\d+)([smhdw])", age[1])
        return clock.now() - sum(int(number) * UNIT_SECONDS[unit] for number, unit in parts)
    try:
        return clock.from_local(value.strip())
    except (ValueError, OverflowError):
        raise UsageError(
            f"--since: {value!r} is no time",
            hint="give an age such as 90s, 30m, 2h, 1d12h or a time such as 2026-11-21 or '2026-11-21 06:30'",
        ) from None


@click.command(cls=Verb)
@listing_options(COLUMNS, "time,who,kind,subject,text")
@click.option("-n", "--lines", type=click.IntRange(1), default=LINES, metavar="N", show_default=True,
              help=f"At most the latest N ({HISTORY_LIMIT} are kept).")  # fmt: skip
@click.option("-r", "--reverse", cls=Flag, default=False, help="Show the newest first.")
@click.option("--unit", default="", metavar="UNIT", help="Only what is about UNIT; globs work.")
@click.option("--machine", default="", metavar="MACHINE", help="Only what is about a machine, by host "
              "name or the beginning of its id.")  # fmt: skip
@click.option(
    "--kind", "kinds", type=click.Choice(KINDS), multiple=True, help="Only this kind; may be repeated."
)
@click.option("--since", callback=_since, default="", metavar="TIME",
              help="Not before TIME: an age such as 2h, or 2026-11-21, or '2026-11-21 06:30'.")  # fmt: skip
@click.pass_obj
def events(
    session: Session,
    listing: Listing[Event],
    lines: int,
    reverse: bool,
    unit: str,
    machine: str,
    kinds: tuple[str, ...],
    since: float | None,
) -> None:
    """Tell who did what, when and why, the latest last: commands, passes, moves, steps, troubles, health.

    No machine is touched. What every pass finds again is told once.
    """
    wanted = _filters(session, unit, machine, kinds, since)
    history = session.store.history(HISTORY_LIMIT if wanted else lines)
    chosen = [event for event in history if all(fits(event) for fits in wanted)][-lines:]
    say(*listing.lines(reversed(chosen) if reverse else chosen))


def _filters(
    session: Session, unit: str, machine: str, kinds: tuple[str, ...], since: float | None
) -> list[Callable[[Event], bool]]:
    filters: list[Callable[[Event], bool]] = []
    if unit:
        pattern = mangle(unit)
        filters.append(lambda event: about_unit(event, pattern))
    if machine:
        records = session.store.machines()
        filters.append(lambda event: about_machine(event, machine, records))
    if kinds:
        filters.append(lambda event: event.kind in kinds)
    if since is not None:
        filters.append(lambda event: event.at >= since)
    return filters
