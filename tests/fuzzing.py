"""How many inputs the fuzz tests make up, and what every answer to bad input must be like.

500 in CI. A hundred thousand, by hand: ``FLEETSSH_FUZZ=100000 .venv/bin/pytest -q tests -k fuzz``.
"""

from __future__ import annotations

import os
import re

from hypothesis import HealthCheck, settings

from fleetssh.core.errors import FleetError

EXAMPLES = int(os.environ.get("FLEETSSH_FUZZ", "500"))

fuzz = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

LONGEST_MESSAGE = 1500
"""Characters: a screen. What somebody else wrote may have megabytes and must not be repeated whole."""


def check_answer(error: FleetError, place: str) -> None:
    """The answer to bad input: one short printable line, a place in ``place``, a hint of the same kind."""
    assert error.message.isprintable(), error.message
    assert 5 < len(error.message) < LONGEST_MESSAGE
    assert error.hint.isprintable(), error.hint
    assert len(error.hint) < LONGEST_MESSAGE
    where = getattr(error, "where", "")
    assert re.fullmatch(rf"{re.escape(place)}(:[1-9][0-9]*)?", where), where
    assert error.message.startswith(f"{where}: ")
