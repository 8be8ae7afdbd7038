"""Leases: how long a machine that nobody visits goes on running a unit, and when it has surely stopped."""

from __future__ import annotations

import re
from collections.abc import Mapping

from fleetssh.core.excerpts import shorten
from fleetssh.core.model import MachineRecord

VALID_SECONDS = 10.0
"""How long a pass's visit may lie on its way, on the machine's own clock: a bad network delivers it in time,
and it is short enough to wait for before a leased unit starts elsewhere."""

MIN_SECONDS = 5
"""The shortest lease: it has to outlive two passes of ``run`` at its default of 2 s, one of which may meet a
busy machine; a shorter one would stop healthy units for nothing."""

MAX_SECONDS = 24 * 60 * 60
"""The longest lease, a day: who waits longer for a machine before its units start elsewhere wants none."""

LEASE_STOP_SECONDS = 5.0
"""What units get to stop by themselves when their lease has run out; then they are killed. Long enough to
close files, and no longer, because every replacement waits for it."""

ACCURACY_SECONDS = 1.0
"""How much later than its deadline the machine may notice it: it counts whole seconds, and its timers have
``AccuracySec=1s``."""

CLOCK_RATE = 0.01
"""By how much a machine's clock may be slower than ours: a quartz is off by 0.01 %, and a clock that is being
set right by at most 0.05 %; virtual machines were seen to be worse."""

MARGIN_SECONDS = 3.0
"""Rounding of the visit's own limit to whole seconds (1), and two rounds of killing, a second each, for what
starts something on its way out (``ExecStopPost=``)."""

PASSES = 2
"""A lease should outlive so many intervals between passes: one machine is busy once, and one visit is lost
once, without a healthy unit being stopped."""

SHOWN = 3
"""Units named in a warning: enough to find the mistake, which is often that of a whole cluster."""

_SPAN = re.compile(r"([0-9]{1,9}) ?(s|sec|m|min|h)?")
_UNITS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600}


def runs_out(record: MachineRecord, lease: int) -> float:
    """The store's time from which on a unit with this lease has surely stopped on the machine of ``record``:
    the last visit that may have renewed it set out at ``armed_at`` and may have lain on its way for as long
    as it was valid. On a machine that forgot everything since (``armed_at`` is ``None``) it does not run."""
    if record.armed_at is None:
        return 0.0
    spans = VALID_SECONDS + lease + ACCURACY_SECONDS + LEASE_STOP_SECONDS
    return record.armed_at + spans / (1 - CLOCK_RATE) + MARGIN_SECONDS


def read_lease(text: str) -> int:
    """Seconds of a lease as a person writes it: ``30``, ``30s``, ``2min``, ``1h``, as systemd would read
    them; 0 is none. Raises ValueError whose text says what is wrong with it."""
    match = _SPAN.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{shorten(text)!r} is no length of time; expected seconds, as in 30, 30s or 2min")
    seconds = int(match[1]) * _UNITS[match[2] or "s"]
    if 0 < seconds < MIN_SECONDS:
        raise ValueError(
            f"{seconds} s would run out between two passes; expected at least {MIN_SECONDS}, or 0 for none"
        )
    if seconds > MAX_SECONDS:
        raise ValueError(f"{shorten(text)!r} is too long; expected at most a day ({MAX_SECONDS} s)")
    return seconds


def warn_of_short(leases: Mapping[str, int], interval: float) -> str:
    """What to tell of leases (unit -> seconds, 0 for none) that are too short for passes every ``interval``
    seconds, or an empty text: one late pass, and the machines stop healthy units."""
    short = sorted(unit for unit, lease in leases.items() if 0 < lease < PASSES * interval)
    if not short:
        return ""
    shown = ", ".join(short[:SHOWN]) + (f" and {len(short) - SHOWN} more" if len(short) > SHOWN else "")
    least = min(leases[unit] for unit in short)
    return (
        f"a lease of {least} s may run out between passes every {interval:g} s ({shown}): "
        f"make it {int(PASSES * interval) + 1} s or longer, or the passes more frequent"
    )
