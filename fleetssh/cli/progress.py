"""What a person sees while machines are asked: how far it is, after a second, on standard error only."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from fleetssh.cli.output import has_screen, note
from fleetssh.cli.render import plural

if TYPE_CHECKING:
    from fleetssh.control.cluster import Cluster
    from fleetssh.core.sighting import Sighting

QUIET_SECONDS = 1.0
"""Work shorter than this shows no progress: a line that flashes by tells nobody anything."""

LONGEST_PAUSE_SECONDS = 60.0
"""Pauses between lines double up to this: a log stays short, and shows every minute that work goes on."""

REDRAW_SECONDS = 0.1
"""How long a count may be out of date on a screen."""


@contextlib.contextmanager
def progress(
    cluster: Cluster, purpose: str = "", *, hosts: int | None = None, lines: bool = True
) -> Iterator[Cluster]:
    """The same cluster, its answers counted as they come in and shown while the body runs.

    On a terminal that is one line that is redrawn, and gone at the end; elsewhere, unless ``lines`` is
    false, lines after 1, 2, 4, 8 ... seconds. ``purpose`` ("to start 3 units") follows the count
    of ``hosts``, which are all those of the inventory unless it is given.
    """
    count = _Count(len(cluster.inventory.hosts) if hosts is None else hosts, purpose)
    over = threading.Event()
    teller = threading.Thread(target=_tell, args=(count, over, lines), daemon=True)
    teller.start()
    try:
        yield replace(cluster, watch=count.see)
    finally:
        over.set()
        teller.join()


@dataclass(slots=True)
class _Count:
    """How many machines have answered, and how often machines did that had answered before."""

    total: int
    purpose: str
    seen: set[str] = field(default_factory=set)
    again: int = 0

    def see(self, sighting: Sighting) -> None:
        """Counts one answer."""
        self.again += sighting.host in self.seen
        self.seen.add(sighting.host)

    def __str__(self) -> str:
        more = f" and {plural(self.again, 'more visit')}" if self.again else ""
        return " ".join(
            filter(None, (f"visiting machines {len(self.seen)}/{self.total}{more}", self.purpose))
        )


def _tell(count: _Count, over: threading.Event, lines: bool) -> None:
    if over.wait(QUIET_SECONDS):
        return
    with contextlib.suppress(OSError):  # nobody reads: that must not end the work
        if has_screen():
            _redraw(count, over)
        elif lines or sys.stderr.isatty():
            _print(count, over)


def _redraw(count: _Count, over: threading.Event) -> None:
    from rich.console import Console  # costs 100 ms to import

    with Console(stderr=True).status(f"{count} ...") as status:
        while not over.wait(REDRAW_SECONDS):
            status.update(f"{count} ...")


def _print(count: _Count, over: threading.Event) -> None:
    pause = QUIET_SECONDS
    while True:
        note(f"{count} ...")
        if over.wait(pause):
            return
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
