"""Many visits at once: bounded fan-out, and every answer turned into a sighting."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed

from fleetssh.core.errors import WireError
from fleetssh.core.sighting import Failure, Sighting, Unreached
from fleetssh.hosts import Answer, Carrier, Target
from fleetssh.wire.reply import read_reply
from fleetssh.wire.script import Visit

FORKS = 50
"""Machines in flight unless the user says otherwise: beyond that two cores only queue handshakes."""

MAX_SAID = 300
"""Bytes of what a machine said instead of a reply: a message has a line, and noise may have megabytes."""

LOOK_SECONDS = 20.0
"""A look takes a machine under 0.1 s; one that needs 20 s cannot be relied on to do anything."""

ACT_SECONDS = 180.0
"""Above what one visit may wait by itself: the lock, then stopping, restarting and starting."""


def visit_all(
    carrier: Carrier,
    visits: Iterable[tuple[Target, Visit]],
    now: Callable[[], float],
    *,
    deadline_seconds: float = LOOK_SECONDS,
    forks: int = FORKS,
) -> Iterator[Sighting]:
    """One sighting a visit, in the order in which they come back; at most ``forks`` at a time."""
    jobs = list(visits)
    if not jobs:
        return
    pool = ThreadPoolExecutor(max_workers=min(forks, len(jobs)))
    try:
        futures = [pool.submit(visit_one, carrier, t, v, now, deadline_seconds) for t, v in jobs]
        for future in as_completed(futures):
            yield future.result()
    finally:
        # An interrupted person does not wait for visits under way: closing the carrier ends them.
        pool.shutdown(wait=False, cancel_futures=True)


def visit_one(
    carrier: Carrier, target: Target, visit: Visit, now: Callable[[], float], deadline_seconds: float
) -> Sighting:
    """Carries one visit and reads its reply. A machine that fails is a value, not an exception."""
    answer = carrier.carry(target, visit, deadline_seconds)
    at = now()
    if isinstance(answer, Unreached):
        return Unreached(answer.host, answer.failure, answer.message, at)
    try:
        sighting = read_reply(target.name, answer.peer, visit.mark, answer.output, at)
    except WireError as error:
        return Unreached(target.name, Failure.HALF, error.message, at)
    if isinstance(sighting, Unreached) and sighting.failure is Failure.HALF:
        return _explain(target, visit, answer, sighting)
    return sighting


def _explain(target: Target, visit: Visit, answer: Answer, half: Unreached) -> Unreached:
    """A reply that never began says more: the login shell or sudo refused to run the program."""
    if f"FLEETSSH {visit.mark} begin".encode() in answer.output:
        return half
    if answer.status is None:
        return Unreached(half.host, Failure.HALF, "the connection broke off before it answered", half.seen_at)
    complaint, last = _last_line(answer.error), _last_line(answer.output)
    text = complaint or last or "nothing was said"
    # sudo complains on standard error; nologin and its like talk on standard output.
    kind = Failure.SUDO if target.become and answer.status and complaint else Failure.HALF
    if not complaint:
        text = f"the program did not run (exit status {answer.status}): {text}"
    return Unreached(half.host, kind, text, half.seen_at)


def _last_line(said: bytes) -> str:
    """The last line that is not empty, at most ``MAX_SAID`` bytes of it."""
    lines = said[-MAX_SAID:].decode("utf-8", "replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return last if last.isprintable() and "\ufffd" not in last else "nothing legible"
