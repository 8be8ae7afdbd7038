"""Many visits at once, with a bound on how many."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, SimpleQueue

from fleetssh.core.sighting import Sighting
from fleetssh.core.visit import Visit
from fleetssh.hosts import Carrier, Target

FORKS = 50
"""Machines in flight unless the user says otherwise: beyond that two cores only queue handshakes."""

LOOK_SECONDS = 20.0
"""A look takes a machine under 0.1 s; one that needs 20 s cannot be relied on to do anything."""

ACT_SECONDS = 180.0
"""Above what one visit may wait by itself: the lock, then stopping, restarting and starting."""


class Crew:
    """Makes visits, at most ``forks`` at a time. Its threads stay for the next ones: to start one for each
    visit costs a tenth of all that a look costs the controller."""

    def __init__(self, forks: int = FORKS) -> None:
        self.forks = forks
        self._idle: list[ThreadPoolExecutor] = []

    def visit_all(
        self,
        carrier: Carrier,
        visits: Iterable[tuple[Target, Visit]],
        *,
        deadline_seconds: float = LOOK_SECONDS,
        meanwhile: Callable[[], None] | None = None,
        every_seconds: float = LOOK_SECONDS,
    ) -> Iterator[Sighting]:
        """One sighting a visit, in the order in which they come back. While they are waited for,
        ``meanwhile`` is called in the caller's own thread, ``every_seconds``; visits that it makes do not
        wait for these. One at a time they are made in that thread, in the order given, and nothing is
        called."""
        jobs = list(visits)
        if self.forks <= 1 or len(jobs) <= (0 if meanwhile else 1):
            for target, visit in jobs:
                yield carrier.visit(target, visit, deadline_seconds)
            return
        pool = self._idle.pop() if self._idle else ThreadPoolExecutor(max_workers=self.forks)
        try:
            back: SimpleQueue[Future[Sighting]] = SimpleQueue()
            for target, visit in jobs:
                pool.submit(carrier.visit, target, visit, deadline_seconds).add_done_callback(back.put)
            for _ in jobs:
                yield _next(back, meanwhile, every_seconds).result()
        except BaseException:
            # An interrupted person does not wait for visits under way: closing the carrier ends them.
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        self._idle.append(pool)


def _next(
    back: SimpleQueue[Future[Sighting]], meanwhile: Callable[[], None] | None, every_seconds: float
) -> Future[Sighting]:
    if meanwhile is None:
        return back.get()
    while True:
        try:
            return back.get(timeout=every_seconds)
        except Empty:
            meanwhile()
