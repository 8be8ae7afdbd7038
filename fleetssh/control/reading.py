"""Journals of many machines read to their ends, as one sequence."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fleetssh.core.errors import FleetError
from fleetssh.core.journal import Entry, Line, merge
from fleetssh.hosts import Carrier
from fleetssh.inventory import Host
from fleetssh.wire.export import EntryReader, Place
from fleetssh.wire.journal import Ask, read_command
from fleetssh.wire.remote import BEAT

QUEUED = 4
"""Pieces (at most 256 KiB each) that wait for whoever prints, a machine: a flood waits on its machine."""


@dataclass(frozen=True, slots=True)
class Feed:
    """What is asked of one machine; ``after`` is where a follower goes on."""

    host: Host
    ask: Ask
    after: Place | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """How the reading of one machine's journal ended: journalctl's exit code and complaints, or why the
    machine could not be read (``code`` is ``None``). ``place`` is where to go on with following."""

    feed: Feed
    code: int | None = None
    complaint: bytes = b""
    why: str = ""
    place: Place | None = None


class Reading:
    """The journals of several machines, asked for at once; ``start`` is for what is then followed.

    Memory is bounded: a machine's journal is read only as fast as its lines are taken. A thread a machine,
    as merging needs the next line of each.
    """

    def __init__(
        self, carrier: Carrier, feeds: Sequence[Feed], silence_seconds: float, *, start: bool = False
    ) -> None:
        self._carrier = carrier
        self._feeds = feeds
        self._silence = silence_seconds
        self._start = start
        self._found: dict[int, Finding] = {}

    @property
    def findings(self) -> tuple[Finding, ...]:
        """How each ended, in the order of the feeds; complete when ``lines`` is."""
        return tuple(finding for _, finding in sorted(self._found.items()))

    def lines(self) -> Iterator[Line]:
        """Every machine's lines in time order; a machine that cannot be read has none, and a finding."""
        pieces: list[queue.Queue[list[Entry] | None]] = [queue.Queue(QUEUED) for _ in self._feeds]
        for number, piece in enumerate(pieces):
            threading.Thread(target=self._read, args=(number, piece), daemon=True).start()
        return merge(_drain(f.host.name, p) for f, p in zip(self._feeds, pieces, strict=True))

    def _read(self, number: int, pieces: queue.Queue[list[Entry] | None]) -> None:
        feed, reader, complaint = self._feeds[number], EntryReader(), bytearray()
        latest_first: list[Entry] = []
        place = None

        def take(data: bytes) -> None:
            nonlocal place
            entries = reader.feed(data)
            if feed.ask.is_backwards:
                latest_first.extend(entries)
            elif entries:
                place = place_of(entries)
                pieces.put(entries)

        code, why = None, ""
        try:
            command = read_command(feed.ask, start=self._start)
            code = self._carrier.stream(
                feed.host, command, take, complaint.extend, silence_seconds=self._silence
            )
        except FleetError as error:
            why = why_not(feed, error)
        if latest_first and not why:
            place = place_of(latest_first[:1])
            pieces.put(latest_first[::-1])
        said = bytes(complaint).replace(BEAT, b"")
        self._found[number] = Finding(feed, code, said, why, place or reader.end)
        pieces.put(None)


def place_of(entries: Sequence[Entry]) -> Place:
    """Where to go on after ``entries``."""
    return Place(entries[-1].cursor, entries[-1].boot)


def _drain(host: str, pieces: queue.Queue[list[Entry] | None]) -> Iterator[Line]:
    while (entries := pieces.get()) is not None:
        for entry in entries:
            yield Line(host, entry)


def why_not(feed: Feed, error: FleetError) -> str:
    """Why a machine could not be read, with its name."""
    name = f"{feed.host.name}: "
    return error.message if error.message.startswith(name) else name + error.message
