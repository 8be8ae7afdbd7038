"""The only module that reads the time or sleeps; everything else is handed a value."""

from __future__ import annotations

import io
import time
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import cache
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Uptime:
    """A moment that no wrong clock can move: ``seconds`` since this computer's boot ``boot``, sleep included.

    Comparable among all processes of one boot. Where the kernel has no such clock, ``boot`` is empty and
    ``seconds`` are the wall clock's.
    """

    boot: str
    seconds: float


class Clock(Protocol):
    """The time as those see it who must also work in a simulated one."""

    def now(self) -> float:
        """Wall clock, seconds since the epoch."""

    def monotonic(self) -> float:
        """Seconds that only grow, for deadlines."""

    def uptime(self) -> Uptime:
        """This moment, counted from this computer's boot."""

    def sleep(self, seconds: float) -> None:
        """Waits."""


class SystemClock:
    """Implements ``Clock`` with this computer's own."""

    def now(self) -> float:
        """See Clock.now."""
        return now()

    def monotonic(self) -> float:
        """See Clock.monotonic."""
        return monotonic()

    def uptime(self) -> Uptime:
        """See Clock.uptime."""
        return uptime()

    def sleep(self, seconds: float) -> None:
        """See Clock.sleep."""
        sleep(seconds)


SYSTEM = SystemClock()


def now() -> float:
    """Wall clock, seconds since the epoch."""
    return time.time()


def monotonic() -> float:
    """Seconds that only grow, for deadlines."""
    return time.monotonic()


def uptime() -> Uptime:
    """This moment, counted from this computer's boot."""
    try:
        return Uptime(_boot(), time.clock_gettime(time.CLOCK_BOOTTIME))
    except (OSError, AttributeError):
        return Uptime("", time.time())


@cache
def _boot() -> str:
    """Read once: no process outlives its boot."""
    return BOOT_ID.read_text().strip()


def sleep(seconds: float) -> None:
    """Waits."""
    time.sleep(seconds)


def calendar(seconds: int, zone: tzinfo | None = None) -> datetime:
    """The calendar's name for ``seconds`` since the epoch, in ``zone`` or in this computer's own."""
    return datetime.fromtimestamp(seconds, zone).astimezone(zone)


def read_zone(data: bytes) -> tzinfo:
    """The time zone that an ``/etc/localtime`` holds; UTC for anything else, as in the C library."""
    try:
        return ZoneInfo.from_file(io.BytesIO(data))
    except Exception:  # The parser raises whatever it stumbles over.
        return UTC


def as_local(seconds: float) -> str:
    """ISO 8601 to the millisecond, in local time with its offset: ``2026-11-21T06:29:22.405+01:00``."""
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="milliseconds")


def from_local(text: str) -> float:
    """Seconds since the epoch of an ISO 8601 date or time, local without an offset. Raises ValueError."""
    return datetime.fromisoformat(text).timestamp()
