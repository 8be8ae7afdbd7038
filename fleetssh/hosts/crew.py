"""Many visits at once, with a bound on how many."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed

from fleetssh.core.sighting import Sighting
from fleetssh.core.visit import Visit
from fleetssh.hosts import Carrier, Target

FORKS = 50
"""Machines in flight unless the user says otherwise: beyond that two cores only queue handshakes."""

LOOK_SECONDS = 20.0
"""A look takes a machine under 0.1 s; one that needs 20 s cannot be relied on to do anything."""

ACT_SECONDS = 180.0
"""Above what one visit may wait by itself: the lock, then stopping, restarting and starting."""


def visit_all(
    carrier: Carrier,
    visits: Iterable[tuple[Target, Visit]],
    *,
    deadline_seconds: float = LOOK_SECONDS,
    forks: int = FORKS,
) -> Iterator[Sighting]:
    """One sighting a visit, in the order in which they come back; at most ``forks`` at a time. One at a time
    they are made in the caller's own thread, in the order given."""
    jobs = list(visits)
    if min(forks, len(jobs)) <= 1:
        for target, visit in jobs:
            yield carrier.visit(target, visit, deadline_seconds)
        return
    pool = ThreadPoolExecutor(max_workers=min(forks, len(jobs)))
    try:
        futures = [pool.submit(carrier.visit, target, visit, deadline_seconds) for target, visit in jobs]
        for future in as_completed(futures):
            yield future.result()
    finally:
        # An interrupted person does not wait for visits under way: closing the carrier ends them.
        pool.shutdown(wait=False, cancel_futures=True)
