"""What happened, as lines that a person can read: virtual time, who, where, what."""

from __future__ import annotations

from collections.abc import Callable

TAIL = 120
"""Lines of a failing seed that are shown: what broke a rule hardly ever lies further back."""


class Transcript:
    """One seed's story. ``now`` gives the virtual time."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.lines: list[str] = []

    def say(self, who: str, what: str) -> None:
        """Adds a line."""
        self.lines.append(f"{self._now():9.2f}  {who:<10} {what}")

    def text(self, most: int = TAIL) -> str:
        """The last ``most`` lines."""
        left_out = len(self.lines) - most
        head = [f"... {left_out} lines before"] if left_out > 0 else []
        return "\n".join(head + self.lines[-most:])
