"""What a journal entry is, and how the entries of several machines become one sequence."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

MAX_HELD = 10_000
"""Lines held back for their order: a flood is passed on rather than kept."""


@dataclass(frozen=True, slots=True)
class Large:
    """A value that is too large to be carried; ``size`` is its bytes."""

    size: int


Value: TypeAlias = bytes | Large


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a machine's journal.

    ``cursor`` is its place there, ``boot`` the boot that it is of, ``at`` the microseconds since the epoch at
    which the journal took it (what journalctl sorts by). A field may have several values.
    """

    cursor: str
    boot: str
    at: int
    fields: Mapping[str, tuple[Value, ...]]


@dataclass(frozen=True, slots=True)
class Line:
    """An entry and the host that it is from."""

    host: str
    entry: Entry


def merge(journals: Iterable[Iterable[Line]]) -> Iterator[Line]:
    """The lines of several journals by time; each journal's own order is kept, whatever its clock did.

    One line of each journal is held at a time.
    """
    keyed = [_keyed(number, lines) for number, lines in enumerate(journals)]
    return (line for _, _, line in heapq.merge(*keyed, key=lambda item: item[:2]))


def _keyed(number: int, lines: Iterable[Line]) -> Iterator[tuple[int, int, Line]]:
    latest = 0
    for line in lines:
        latest = max(latest, line.entry.at)
        yield latest, number, line


class Window:
    """Lines that are followed, held back for ``hold_seconds`` so that machines' lines come in time order.

    A line that comes later than that is passed on at once, out of order: it is never lost.
    """

    def __init__(self) -> None:
        self._held: list[tuple[int, int, Line]] = []
        self._arrivals: deque[tuple[float, int]] = deque()
        self._latest: dict[int, int] = {}
        self._count = 0

    def add(self, source: int, lines: Iterable[Line], due: float) -> None:
        """Takes in the next lines of one source, to be let out when the clock says ``due``."""
        for line in lines:
            key = self._latest[source] = max(self._latest.get(source, 0), line.entry.at)
            heapq.heappush(self._held, (key, self._count, line))
            self._arrivals.append((due, key))
            self._count += 1

    @property
    def due(self) -> float | None:
        """When ``release`` has something to let out; ``None`` when nothing is held."""
        return self._arrivals[0][0] if self._arrivals else None

    def release(self, now: float) -> list[Line]:
        """The lines whose time has come, and with each all that are older, in time order."""
        horizon = -1
        while self._arrivals and self._arrivals[0][0] <= now:
            horizon = max(horizon, self._arrivals.popleft()[1])
        lines = []
        while self._held and (self._held[0][0] <= horizon or len(self._held) > MAX_HELD):
            lines.append(heapq.heappop(self._held)[2])
        return lines
