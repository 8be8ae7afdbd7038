"""Journals of many machines as one sequence: read to their ends, or followed through every break."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from fleetssh import clock
from fleetssh.core.errors import FleetError
from fleetssh.core.journal import Entry, Line, Window, merge
from fleetssh.hosts import Carrier
from fleetssh.inventory import Host
from fleetssh.wire.journal import FORGOT, Ask, EntryReader, Place, follow_command, read_command
from fleetssh.wire.remote import BEAT, BEAT_SECONDS

QUEUED = 4
"""Pieces (at most 256 KiB each) that wait for whoever prints, a machine: a flood waits on its machine."""

HOLD_SECONDS = 0.3
"""How long a followed line waits for older ones of other machines: nobody notices it, and an answer from the
other side of the world takes less."""

RETRY_SECONDS = 0.5
RETRY_MAX_SECONDS = 10.0
"""A machine that is away is tried again at once, then ever less often: a reboot is noticed within 10 s."""

LOOK_SECONDS = 5.0
"""How often a follower asks where the units are now; that reads the store and no machine."""

GIVE_UP_SECONDS = 1.0
"""How long a thread waits for room in its queue before it looks whether anybody still reads."""


@dataclass(frozen=True, slots=True)
class Feed:
    """What is asked of one machine; ``after`` is where a follower goes on."""

    host: Host
    ask: Ask
    after: Place | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """How the reading of one machine's journal ended: journalctl's exit code and complaints, or why the
    machine could not be read (``code`` is ``None``). ``last`` is the last entry that came."""

    feed: Feed
    code: int | None = None
    complaint: bytes = b""
    why: str = ""
    last: Entry | None = None


@dataclass(frozen=True, slots=True)
class Remark:
    """Something about a machine that is followed."""

    text: str


News: TypeAlias = "list[Line] | Remark"


# ---------------------------------------------------------------- read to the end


class Reading:
    """The journals of several machines, asked for at once.

    Memory is bounded: a machine's journal is read only as fast as its lines are taken. A thread a machine,
    as merging needs the next line of each.
    """

    def __init__(self, carrier: Carrier, feeds: Sequence[Feed], silence_seconds: float) -> None:
        self._carrier = carrier
        self._feeds = feeds
        self._silence = silence_seconds + 2 * BEAT_SECONDS
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
        feed = self._feeds[number]
        reader, complaint, last = EntryReader(), bytearray(), None

        def take(data: bytes) -> None:
            nonlocal last
            if entries := reader.feed(data):
                last = entries[-1]
                pieces.put(entries)

        try:
            command = read_command(feed.ask)
            code = self._carrier.stream(
                feed.host, command, take, complaint.extend, silence_seconds=self._silence
            )
            found = Finding(feed, code, bytes(complaint).replace(BEAT, b""), "", last)
        except FleetError as error:
            found = Finding(feed, None, b"", _with_name(feed, error), last)
        self._found[number] = found
        pieces.put(None)


def _drain(host: str, pieces: queue.Queue[list[Entry] | None]) -> Iterator[Line]:
    while (entries := pieces.get()) is not None:
        for entry in entries:
            yield Line(host, entry)


def _with_name(feed: Feed, error: FleetError) -> str:
    name = f"{feed.host.name}: "
    return error.message if error.message.startswith(name) else name + error.message


# ---------------------------------------------------------------- follow


def go_on(finding: Finding, began: float) -> Feed:
    """What to follow after a reading: on after its last entry; for a machine that could not be read, what it
    wrote since ``began`` (seconds since the epoch), when it was asked."""
    feed = finding.feed
    if finding.last is not None:
        return replace(feed, after=Place(finding.last.cursor, finding.last.boot))
    if finding.code is None and not feed.ask.since:
        return replace(feed, ask=replace(feed.ask, since=f"@{began:.0f}"))
    return feed


def follow(
    carrier: Carrier,
    feeds: Sequence[Feed],
    silence_seconds: float,
    more: Callable[[], Sequence[Feed]],
) -> Iterator[News]:
    """New lines as they come, and remarks about machines that went silent or came back; it never ends.

    No line is lost or repeated when a connection breaks off: each machine is gone on with after the last
    entry that came from it. ``more`` is asked from time to time for what is to be followed besides.
    """
    news: queue.Queue[_Event] = queue.Queue(QUEUED * max(1, len(feeds)))
    stop = threading.Event()
    window = Window()
    started = 0

    def start(batch: Sequence[Feed]) -> int:
        for number, feed in enumerate(batch, started):
            follower = _Follower(carrier, feed, silence_seconds + 2 * BEAT_SECONDS, number, news, stop)
            threading.Thread(target=follower.run, daemon=True).start()
        return started + len(batch)

    try:
        started = start(feeds)
        look_at = clock.monotonic() + LOOK_SECONDS
        while True:
            until = min(look_at, window.due or look_at)
            try:
                event = news.get(timeout=max(0.0, until - clock.monotonic()))
            except queue.Empty:
                event = None
            now = clock.monotonic()
            if event is not None and event.remark:
                yield Remark(event.remark)
            elif event is not None:
                hold = HOLD_SECONDS if started > 1 else 0.0
                window.add(event.source, event.lines, now + hold)
            if ready := window.release(now):
                yield ready
            if now >= look_at:
                started = start(more())
                look_at = now + LOOK_SECONDS
    finally:
        stop.set()


@dataclass(frozen=True, slots=True)
class _Event:
    source: int
    lines: tuple[Line, ...] = ()
    remark: str = ""


class _Stopped(Exception):
    """Nobody reads any more."""


class _Follower:
    """Follows one machine's journal in a thread of its own, from break to break."""

    def __init__(
        self,
        carrier: Carrier,
        feed: Feed,
        silence_seconds: float,
        source: int,
        news: queue.Queue[_Event],
        stop: threading.Event,
    ) -> None:
        self._carrier = carrier
        self._feed = feed
        self._silence_seconds = silence_seconds
        self._source = source
        self._news = news
        self._stop = stop
        self._reader = EntryReader()
        self._complaint = b""
        self._silent_since: float | None = None

    def run(self) -> None:
        """Follows until nobody reads any more."""
        pause = RETRY_SECONDS
        try:
            while True:
                began, after = clock.monotonic(), self._feed.after
                self._tell_silent(self._follow())
                went_well = self._feed.after != after or clock.monotonic() - began > 2 * RETRY_MAX_SECONDS
                pause = RETRY_SECONDS if went_well else min(2 * pause, RETRY_MAX_SECONDS)
                if self._stop.wait(pause):
                    return
        except _Stopped:
            return

    def _follow(self) -> str:
        """One connection's worth; why it ended."""
        self._reader, self._complaint = EntryReader(), b""
        try:
            code = self._carrier.stream(
                self._feed.host,
                follow_command(self._feed.ask, self._feed.after),
                self._take,
                self._hear,
                silence_seconds=self._silence_seconds,
            )
        except FleetError as error:
            return _with_name(self._feed, error)
        return f"{self._feed.host.name}: journalctl ended there with exit code {code}"

    def _take(self, data: bytes) -> None:
        """Only what is on its way to the reader counts as come."""
        if entries := self._reader.feed(data):
            name = self._feed.host.name
            self._put(_Event(self._source, tuple(Line(name, entry) for entry in entries)))
            self._feed = replace(self._feed, after=Place(entries[-1].cursor, entries[-1].boot))

    def _hear(self, data: bytes) -> None:
        name = self._feed.host.name
        if BEAT in data and self._silent_since is not None:
            self._tell(f"{name}: back after {clock.monotonic() - self._silent_since:.0f} s")
            self._silent_since = None
        if FORGOT in data:
            self._tell(
                f"{name}: it was rebooted and its journal did not outlive that; going on with the first line "
                "of the new boot"
            )
        *lines, self._complaint = (self._complaint + data.translate(None, BEAT + FORGOT)).split(b"\n")
        for line in lines:
            self._tell(f"{name}: {line.decode('utf-8', 'replace')}")

    def _tell_silent(self, why: str) -> None:
        if self._silent_since is None:
            self._silent_since = clock.monotonic()
            self._tell(f"{why}; trying until it is back")

    def _tell(self, remark: str) -> None:
        self._put(_Event(self._source, remark=remark))

    def _put(self, event: _Event) -> None:
        while not self._stop.is_set():
            try:
                self._news.put(event, timeout=GIVE_UP_SECONDS)
            except queue.Full:
                continue
            return
        raise _Stopped
