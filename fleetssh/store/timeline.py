"""The store's own time: how instants of one boot after another become one time that only grows."""

from __future__ import annotations

from dataclasses import dataclass

from fleetssh.clock import Uptime


@dataclass(frozen=True, slots=True)
class Timeline:
    """``base`` is the store's time at second 0 of this computer's boot ``boot`` (``None``: nobody asked yet);
    ``last`` is the latest instant that was stored. Both in seconds.

    Where the kernel has no clock that wrong settings cannot move, all boots are the one named ``""``.
    """

    boot: str | None
    base: float
    last: float

    def knows(self, uptime: Uptime) -> bool:
        """Whether ``uptime`` is of the boot that this timeline counts from."""
        return self.boot == uptime.boot

    def at(self, uptime: Uptime) -> float:
        """The time at an ``uptime`` that it knows. A clock that was put back makes time stand still until it
        has caught up: what was stored never lies in the future."""
        return max(self.base + uptime.seconds, self.last)

    def resumed(self, uptime: Uptime) -> Timeline:
        """The timeline that goes on from ``last`` at ``uptime``: of what lies between, nothing is counted,
        because nobody knows how long that was."""
        return Timeline(uptime.boot, self.last - uptime.seconds, self.last)
