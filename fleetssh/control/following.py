"""Journals of many machines followed as one sequence, through every break."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from fleetssh import clock
from fleetssh.control.reading import QUEUED, Feed, Finding, place_of, why_not
from fleetssh.core.errors import FleetError
from fleetssh.core.journal import Line, Window
from fleetssh.hosts import Carrier
from fleetssh.wire.export import EntryReader
from fleetssh.wire.journal import catch_up_command, follow_command
from fleetssh.wire.remote import BEAT

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
class Remark:
    """Something about a machine that is followed."""

    text: str


News: TypeAlias = "list[Line] | Remark"


def go_on(finding: Finding, began: float) -> Feed:
    """What to follow after a reading: on after it; for a machine that could not be read, what it wrote since
    ``began`` (seconds since the epoch), when it was asked."""
    feed = finding.feed
    if finding.place is not None:
        return replace(feed, after=finding.place)
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
            follower = _Follower(carrier, feed, silence_seconds, number, news, stop)
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
        self._name = feed.host.name
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
        """One connection's worth: what was missed, then what comes. Why it ended."""
        try:
            # Whatever its code: journalctl --grep that finds nothing ends with 1.
            self._stream(catch_up_command(self._feed.ask, self._feed.after))
            code = self._stream(follow_command(self._feed.ask, self._feed.after, self._reader.boot))
        except FleetError as error:
            return why_not(self._feed, error)
        return f"{self._name}: journalctl ended there with exit code {code}"

    def _stream(self, command: str) -> int:
        self._reader, self._complaint = EntryReader(), b""
        return self._carrier.stream(
            self._feed.host, command, self._take, self._hear, silence_seconds=self._silence_seconds
        )

    def _take(self, data: bytes) -> None:
        """Only what is on its way to the reader counts as come."""
        entries = self._reader.feed(data)
        if self._reader.forgot:
            self._reader.forgot = False
            self._feed = replace(self._feed, after=None, ask=replace(self._feed.ask, since=""))
            self._tell("it was rebooted and its journal did not outlive that; going on with the new boot")
        if entries:
            self._put(_Event(self._source, tuple(Line(self._name, entry) for entry in entries)))
            self._feed = replace(self._feed, after=place_of(entries))

    def _hear(self, data: bytes) -> None:
        if BEAT in data and self._silent_since is not None:
            self._tell(f"back after {clock.monotonic() - self._silent_since:.0f} s")
            self._silent_since = None
        *lines, self._complaint = (self._complaint + data.replace(BEAT, b"")).split(b"\n")
        for line in lines:
            self._tell(line.decode("utf-8", "replace"))

    def _tell_silent(self, why: str) -> None:
        if self._silent_since is None:
            self._silent_since = clock.monotonic()
            self._put(_Event(self._source, remark=f"{why}; trying until it is back"))

    def _tell(self, what: str) -> None:
        self._put(_Event(self._source, remark=f"{self._name}: {what}"))

    def _put(self, event: _Event) -> None:
        while not self._stop.is_set():
            try:
                self._news.put(event, timeout=GIVE_UP_SECONDS)
            except queue.Full:
                continue
            return
        raise _Stopped
