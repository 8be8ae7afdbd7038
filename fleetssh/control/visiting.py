"""What a pass tells each machine: by whose right it comes, until when, and whom it is asked to try."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from fleetssh.control.cluster import Cluster
from fleetssh.core.leases import VALID_SECONDS
from fleetssh.core.model import Claim, MachineRecord
from fleetssh.core.sighting import Reached, Sighting
from fleetssh.core.visit import Order, Probe, Visit
from fleetssh.inventory import Host

TRUSTED_SECONDS = 100.0
"""How long after a machine said its uptime it can be added up: clocks that differ by 1 % are a second apart
then. Longer than a pass a minute; after that a machine with leases is asked first."""

KEEP_SECONDS = 5.0
"""For a visit that renews leases while another one is waited for: who does not answer by then holds up the
renewal of the rest."""


@dataclass(frozen=True, slots=True)
class Errands:
    """Makes the visits of one pass. Without a ``claim`` they only look. ``hosts`` are all that may be
    visited, by name, and ``records`` what is known of them. ``heard`` gets the time of every answer."""

    cluster: Cluster
    claim: Claim | None
    hosts: Mapping[str, Host]
    records: Mapping[str, MachineRecord]
    heard: dict[str, float] = field(default_factory=dict)

    def look(
        self, at: float, probes: Mapping[str, tuple[Probe, ...]], *, renewing: bool = True
    ) -> dict[str, Sighting]:
        """One look at every host, with the ports that each is asked to try. ``at`` is the store's time at
        which it was written down that these looks set out; without ``renewing`` they renew no lease."""
        visits = {
            name: self._look(name, self._valid_until(name, at) if renewing else 0.0, probes.get(name, ()))
            for name in self.hosts
        }
        return self._send(visits, self.cluster.look_seconds)

    def renew(self, late: Mapping[str, Reached]) -> dict[str, Sighting]:
        """A second visit to machines whose leases were not renewed: what was known of their clocks was out of
        date."""
        visits = {
            name: Visit(sighting.facts.boot_id, self.claim, sighting.facts.uptime + VALID_SECONDS)
            for name, sighting in late.items()
        }
        return self._send(visits, self.cluster.look_seconds)

    def act(
        self,
        at: float,
        orders: Mapping[str, Order],
        seen: Mapping[str, Reached],
        meanwhile: Callable[[], None],
        every_seconds: float,
    ) -> dict[str, Sighting]:
        """Carries orders out: each on a machine as it was ``seen``, and only soon after ``at``, the store's
        time at which it was written down that they set out."""
        visits = {
            name: Visit(seen[name].facts.boot_id, self.claim, self._valid_until(name, at), order=order)
            for name, order in orders.items()
        }
        return self._send(visits, self.cluster.act_seconds, meanwhile, every_seconds)

    def keep(self, at: float, seen: Mapping[str, Reached]) -> dict[str, Sighting]:
        """Renews the leases of machines that were ``seen``, while others are waited for."""
        visits = {
            name: Visit(sighting.facts.boot_id, self.claim, self._valid_until(name, at))
            for name, sighting in seen.items()
        }
        return self._send(visits, KEEP_SECONDS)

    def _look(self, name: str, valid_until: float, probes: tuple[Probe, ...]) -> Visit:
        record = self.records.get(name)
        return Visit(record.boot_id if record else "", self.claim, valid_until, probes)

    def _valid_until(self, name: str, at: float) -> float:
        """On the machine's own clock, as far as it is known: store time and uptimes grow at the same pace."""
        record = self.records.get(name)
        if record is None or at - record.read_at > TRUSTED_SECONDS:
            return 0.0
        return record.uptime + (at - record.read_at) + VALID_SECONDS

    def _send(
        self,
        visits: Mapping[str, Visit],
        deadline: float,
        meanwhile: Callable[[], None] | None = None,
        every_seconds: float = 0.0,
    ) -> dict[str, Sighting]:
        answers = self.cluster.crew.visit_all(
            self.cluster.carrier,
            [(self.hosts[name], visit) for name, visit in sorted(visits.items())],
            deadline_seconds=deadline,
            meanwhile=meanwhile,
            every_seconds=every_seconds,
        )
        sightings = {}
        # The store's time grows with ours: it is asked for once, not for each machine.
        began, clock = self.cluster.time(), self.cluster.clock
        uptime = clock.uptime().seconds
        for sighting in self.cluster.watched(answers):
            self.heard[sighting.host] = began + (clock.uptime().seconds - uptime)
            sightings[sighting.host] = sighting
        return sightings

    def dated(self, record: MachineRecord) -> MachineRecord:
        """A record made from an answer, with the time at which that came: the machine's uptime is of then,
        and other machines may have been waited for since."""
        return replace(record, read_at=min(record.read_at, self.heard.get(record.host, record.read_at)))
