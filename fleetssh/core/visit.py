"""A visit as a value: everything that one machine is told and asked in one round trip."""

from __future__ import annotations

from dataclasses import dataclass

from fleetssh.core.model import Claim, MachinePlan
from fleetssh.core.sighting import Manifest

START_WAIT_SECONDS = 5
"""How long one visit waits for systemd's start jobs; a slower unit is watched by later looks. Shorter than
a visit waits for a machine's lock: whoever comes after a controller that died gets the machine in time."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A silent machine whose SSH port another one is asked to try: the second opinion."""

    host: str
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Order:
    """The steps that a visit carries out before it looks. ``found`` is the manifest of the machine for which
    they were planned, and ``look`` the mark of the look on which: where it has another manifest by now, or a
    pass has looked again, nothing is done. systemd's start jobs are waited for up to ``wait_seconds``, not at
    all with 0."""

    plan: MachinePlan
    found: Manifest
    wait_seconds: int = START_WAIT_SECONDS
    look: str = ""


@dataclass(frozen=True, slots=True)
class Visit:
    """What one machine is told and asked.

    ``known_boot`` is the boot in which it was last seen: in that boot it does not say again what stays true.
    With a ``claim`` the visit comes from a pass: the machine remembers the claim, refuses a smaller one, and
    renews its leases, unless its own uptime is beyond ``valid_until`` seconds: then the visit comes too late,
    and changes nothing. Without a claim it only looks. ``order`` needs both.
    """

    known_boot: str = ""
    claim: Claim | None = None
    valid_until: float = 0.0
    probes: tuple[Probe, ...] = ()
    order: Order | None = None
