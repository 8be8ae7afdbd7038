"""Leases: how long a machine that nobody visits goes on running a unit, and when it has surely stopped."""

from __future__ import annotations

from fleetssh.core.model import MachineRecord

VALID_SECONDS = 30.0
"""How long a pass's visit may lie on its way, on the machine's own clock: longer than a visit waits for another
one there in all but hopeless cases, and short enough to wait for before a leased unit starts elsewhere."""

LEASE_STOP_SECONDS = 5.0
ACCURACY_SECONDS = 1.0
CLOCK_RATE = 0.01
MARGIN_SECONDS = 1.0


def runs_out(record: MachineRecord, lease: int) -> float:
    """The store's time from which on a unit with this lease has surely stopped on the machine of ``record``."""
    if record.armed_at is None:
        return 0.0
    spans = VALID_SECONDS + lease + ACCURACY_SECONDS + LEASE_STOP_SECONDS
    return record.armed_at + spans * (1 + CLOCK_RATE) + MARGIN_SECONDS
