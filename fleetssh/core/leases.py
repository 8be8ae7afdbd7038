"""Leases: how long a machine that nobody visits goes on running a unit, and when it has surely stopped."""

from __future__ import annotations

VALID_SECONDS = 30.0
"""How long a pass's visit may lie on its way, on the machine's own clock: longer than a visit waits for another
one there in all but hopeless cases, and short enough to wait for before a leased unit starts elsewhere."""
