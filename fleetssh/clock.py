"""The only module that reads the time or sleeps; everything else is handed a value."""

from __future__ import annotations

import time


def now() -> float:
    """Wall clock, seconds since the epoch."""
    return time.time()


def monotonic() -> float:
    """Seconds that only grow, for deadlines."""
    return time.monotonic()


def sleep(seconds: float) -> None:
    """Waits."""
    time.sleep(seconds)
