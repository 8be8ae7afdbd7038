"""What a pass tells each machine: by whose right it comes, until when, and whom it is asked to try."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from fleetssh.control.cluster import Cluster
from fleetssh.core.leases import VALID_SECONDS
from fleetssh.core.model import Claim, MachineRecord
from fleetssh.core.sighting import Reached, Sighting
from fleetssh.core.visit import Order, Probe, Visit
from fleetssh.hosts.crew import visit_all
from fleetssh.inventory import Host


@dataclass(frozen=True, slots=True)
class Errands:
    """Makes the visits of one pass. Without a ``claim`` they only look. ``hosts`` are all that may be
    visited, by name, and ``records`` what is known of them. ``heard`` gets the time of every answer."""

    cluster: Cluster
    claim: Claim | None
    hosts: Mapping[str, Host]
    records: Mapping[str, MachineRecord]
    heard: dict[str, float] = field(default_factory=dict)

    def look(self, probes: Mapping[str, tuple[Probe, ...]]) -> dict[str, Sighting]:
        """One look at every host, with the ports that each is asked to try."""
        at = self.cluster.time()
        return self._send(
            {name: self._look(name, at, probes.get(name, ())) for name in self.hosts},
            self.cluster.look_seconds,
        )

    def renew(self, sightings: Mapping[str, Sighting]) -> dict[str, Sighting]:
        """A second visit to the machines whose leases could not be renewed, because what was known of their
        clock was out of date."""
        late = {
            name: sighting
            for name, sighting in sightings.items()
            if isinstance(sighting, Reached) and sighting.is_late and sighting.leases
        }
        visits = {
            name: Visit(sighting.facts.boot_id, self.claim, sighting.facts.uptime + VALID_SECONDS)
            for name, sighting in late.items()
        }
        return self._send(visits, self.cluster.look_seconds)

    def act(
        self, orders: Mapping[str, Order], seen: Mapping[str, Reached], deadline: float
    ) -> dict[str, Sighting]:
        """Carries orders out: each on a machine as it was ``seen``, and only soon."""
        at = self.cluster.time()
        visits = {
            name: Visit(seen[name].facts.boot_id, self.claim, self._valid_until(name, at), order=order)
            for name, order in orders.items()
        }
        return self._send(visits, deadline)

    def _look(self, name: str, at: float, probes: tuple[Probe, ...]) -> Visit:
        record = self.records.get(name)
        return Visit(record.boot_id if record else "", self.claim, self._valid_until(name, at), probes)

    def _valid_until(self, name: str, at: float) -> float:
        """On the machine's own clock, as far as it is known: store time and uptimes grow at the same pace."""
        record = self.records.get(name)
        return record.uptime + (at - record.read_at) + VALID_SECONDS if record else 0.0

    def _send(self, visits: Mapping[str, Visit], deadline: float) -> dict[str, Sighting]:
        jobs: Iterable[tuple[Host, Visit]] = [
            (self.hosts[name], visit) for name, visit in sorted(visits.items())
        ]
        answers = visit_all(self.cluster.carrier, jobs, deadline_seconds=deadline, forks=self.cluster.forks)
        sightings = {}
        for sighting in self.cluster.watched(answers):
            self.heard[sighting.host] = self.cluster.time()
            sightings[sighting.host] = sighting
        return sightings

    def dated(self, record: MachineRecord) -> MachineRecord:
        """A record made from an answer, with the time at which that came: the machine's uptime is of then,
        and other machines may have been waited for since."""
        return replace(record, read_at=min(record.read_at, self.heard.get(record.host, record.read_at)))
