"""One visit from value to value: written, carried, and its answer read."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace

from fleetssh import clock
from fleetssh.core.errors import WireError
from fleetssh.core.sighting import Failure, Sighting, Unreached
from fleetssh.core.visit import Visit
from fleetssh.hosts import Target
from fleetssh.wire.reply import read_reply
from fleetssh.wire.script import Script, write_visit

MARK_BYTES = 12
"""Randomness in a program's frame mark: nothing that a machine prints can imitate it."""

MAX_SAID = 300
"""Bytes of what a machine said instead of a reply: a message has a line, and noise may have megabytes."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back of one command: bytes, exit status (``None`` when the session broke off) and the
    numeric address that was spoken to."""

    output: bytes
    error: bytes
    status: int | None
    peer: str


def converse(
    carry: Callable[[Target, Script, float], Answer | Unreached],
    target: Target,
    visit: Visit,
    deadline_seconds: float,
) -> Sighting:
    """Writes the program of a visit, has it carried, and reads what the machine answered. Whatever goes wrong
    is a value."""
    script = write_visit(secrets.token_hex(MARK_BYTES), visit, become=target.become)
    answer = carry(target, script, deadline_seconds)
    at = clock.now()
    if isinstance(answer, Unreached):
        return replace(answer, seen_at=at)
    try:
        sighting = read_reply(target.name, answer.peer, script.mark, answer.output, at)
    except WireError as error:
        return Unreached(target.name, Failure.HALF, error.message, at, sent=True)
    if isinstance(sighting, Unreached):
        half = sighting.failure is Failure.HALF
        return replace(_explain(target, script, answer, sighting) if half else sighting, sent=True)
    return sighting


def _explain(target: Target, script: Script, answer: Answer, half: Unreached) -> Unreached:
    """A reply that never began says more: the login shell or sudo refused to run the program."""
    if f"FLEETSSH {script.mark} begin".encode() in answer.output:
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
