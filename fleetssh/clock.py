"""The only module that reads the time or sleeps; everything else is handed a value."""

from __future__ import annotations

import io
import time
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo


def now() -> float:
    """Wall clock, seconds since the epoch."""
    return time.time()


def monotonic() -> float:
    """Seconds that only grow, for deadlines."""
    return time.monotonic()


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
