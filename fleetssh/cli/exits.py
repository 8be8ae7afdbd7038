"""Exit codes: what each means, which error has which, and which one wins."""

from __future__ import annotations

import enum
from collections.abc import Iterable

from fleetssh.core.errors import FleetError, MachineError, StoreHeld, UsageError


class Exit(enum.IntEnum):
    """How a command ended. ``status``, ``journal`` and ``ssh`` pass on the remote command's own code."""

    DONE = 0
    """Done; what was asked for is so."""
    ERROR = 1
    """An error: a bad unit file, a bad inventory, a damaged state file, a name that does not exist."""
    USAGE = 2
    """The command line cannot be meant: an unknown command or flag, a value of the wrong kind."""
    UNIT = 3
    """A unit could not be placed, or did not reach its target state."""
    MACHINE = 4
    """A machine that matters to what was asked for could not be reached."""
    PENDING = 5
    """``plan --exit-code``: there is something to do. ``adopt``, ``state rebuild``: nobody said yes to it."""
    REFUSED = 6
    """Another controller is at work on the cluster, or machines obey another one (``fleetssh adopt``)."""
    INTERRUPTED = 130
    """Ctrl-C: 128 and the number of SIGINT, as shells do it."""


_BY_ERROR: tuple[tuple[type[FleetError], Exit], ...] = (
    (UsageError, Exit.USAGE),
    (MachineError, Exit.MACHINE),
    (StoreHeld, Exit.REFUSED),
)


def code_of(error: FleetError) -> Exit:
    """The exit code of an error."""
    return next((code for kind, code in _BY_ERROR if isinstance(error, kind)), Exit.ERROR)


def combine(codes: Iterable[Exit]) -> Exit:
    """The one code for several findings: the smallest that is not 0, so that a unit's own trouble (3) is
    told before a machine that does not answer (4)."""
    return min((code for code in codes if code), default=Exit.DONE)
