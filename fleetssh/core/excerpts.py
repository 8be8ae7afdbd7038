"""How a text that somebody else wrote is shown in a message: on one line, printable, and short."""

from __future__ import annotations

MAX_SHOWN = 80
"""Characters: enough to find the place in a file, and a message stays readable."""


def shorten(text: str) -> str:
    """``text``, or its first ``MAX_SHOWN`` characters and three dots; to be printed by ``repr``."""
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def excerpt(text: str) -> str:
    """``shorten``, with what cannot be printed written as backslash escapes."""
    short = shorten(text)
    return short if short.isprintable() else repr(short)[1:-1]
