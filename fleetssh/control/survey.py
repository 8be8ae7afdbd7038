"""Looking at every machine at once, and judging what the answers mean."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from fleetssh import clock
from fleetssh.control.cluster import Cluster
from fleetssh.core.errors import InventoryError
from fleetssh.core.health import judge
from fleetssh.core.metadata import merge
from fleetssh.core.model import Health, Machine, MachineRecord, TargetState
from fleetssh.core.sighting import Failure, Reached, Sighting, Unreached
from fleetssh.hosts.crew import visit_all
from fleetssh.inventory import Inventory
from fleetssh.wire.script import write_look

MARK_BYTES = 12
"""Randomness in a visit's frame mark: nothing that a machine prints can imitate it."""

NEVER = sys.maxsize
"""More looks than anybody takes."""

NOTHING_KNOWN: Mapping[str, MachineRecord] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Survey:
    """What is known of the machines after one look at each: sightings and records by inventory host name,
    the machines as placement sees them (sorted by id), an alarm when too many went silent together,
    and what the store remembered before, of hosts that have left the inventory too."""

    sightings: Mapping[str, Sighting]
    records: Mapping[str, MachineRecord]
    machines: tuple[Machine, ...]
    alarm: str = ""
    stored: Mapping[str, MachineRecord] = field(default_factory=dict)

    def unreached(self) -> list[Unreached]:
        """The hosts that did not answer, sorted by name."""
        return [s for _, s in sorted(self.sightings.items()) if isinstance(s, Unreached)]

    def in_doubt(self) -> dict[str, str]:
        """Unit -> host for what was last seen on a machine that is in doubt."""
        return {
            known.name: machine.host
            for machine in self.machines
            if machine.health is Health.DOUBTFUL
            for known in self.records[machine.host].seen
        }


def boot_of(records: Mapping[str, MachineRecord], host: str) -> str:
    """The boot in which a machine was last seen; empty for one that never was."""
    record = records.get(host)
    return record.boot_id if record else ""


def new_mark() -> str:
    """A frame mark for one visit."""
    return secrets.token_hex(MARK_BYTES)


def look_at(
    cluster: Cluster, hosts: Iterable[str] | None = None, records: Mapping[str, MachineRecord] = NOTHING_KNOWN
) -> dict[str, Sighting]:
    """One look at each of ``hosts`` (all of the inventory without it), by host name: one round trip each.

    A machine that is still in the boot of its record says only what may have changed since.
    """
    chosen = None if hosts is None else set(hosts)
    visits = (
        (host, write_look(new_mark(), become=host.become, known_boot=boot_of(records, host.name)))
        for host in cluster.inventory.hosts
        if chosen is None or host.name in chosen
    )
    seen = visit_all(cluster.carrier, visits, clock.now, forks=cluster.forks)
    return {sighting.host: sighting for sighting in cluster.watched(seen)}


def survey(cluster: Cluster, cluster_id: str, *, deciding: bool = True) -> Survey:
    """Looks at every machine, then judges health over the remembered looks. Writes nothing.

    Without ``deciding`` no machine becomes lost: only a pass gives one up, because it also moves its units.
    Raises InventoryError when two hosts turn out to be one machine: placing anything would be guessing.
    """
    stored = cluster.store.machines()
    looks = look_at(cluster, records=stored)
    sightings = {host: _not_foreign(s, cluster_id) for host, s in looks.items()}
    _refuse_twins(cluster.inventory, sightings)
    known = {host.name for host in cluster.inventory.hosts}
    remembered = {name: record for name, record in stored.items() if name in known}
    patience = cluster.patience if deciding else replace(cluster.patience, looks=NEVER)
    judgement = judge(remembered, sightings, patience)
    metadata = {host.name: host.metadata for host in cluster.inventory.hosts}
    machines = [
        Machine(
            id=record.machine_id,
            host=host,
            address=record.address,
            metadata=merge(record.metadata, metadata[host]),
            health=judgement.health[host],
            occupied=_occupied(sightings[host]),
        )
        for host, record in judgement.records.items()
    ]
    machines.sort(key=lambda machine: machine.id)
    return Survey(sightings, judgement.records, tuple(machines), judgement.alarm, stored)


def _occupied(sighting: Sighting) -> frozenset[str]:
    return frozenset(sighting.occupied) if isinstance(sighting, Reached) else frozenset()


def _not_foreign(sighting: Sighting, cluster_id: str) -> Sighting:
    if (
        isinstance(sighting, Reached)
        and sighting.manifest.cluster != cluster_id
        and any(entry.target is not TargetState.INACTIVE for entry in sighting.manifest.entries)
    ):
        text = (
            f"it runs units of cluster {sighting.manifest.cluster[:8]}..., this is {cluster_id[:8]}...; "
            "use that cluster's state file, or reboot the machine to forget them"
        )
        return Unreached(sighting.host, Failure.FOREIGN, text, sighting.seen_at)
    return sighting


def _refuse_twins(inventory: Inventory, sightings: Mapping[str, Sighting]) -> None:
    owners: dict[str, str] = {}
    places = {host.name: host.where for host in inventory.hosts}
    for host, sighting in sorted(sightings.items()):
        if not isinstance(sighting, Reached):
            continue
        other = owners.setdefault(sighting.facts.machine_id, host)
        if other != host:
            raise InventoryError(
                f"{other} and {host} have the same machine id {sighting.facts.machine_id}",
                where=places[host],
                hint="either both names lead to one machine (remove one), or one is a clone of the other: "
                "run 'rm /etc/machine-id && systemd-machine-id-setup' on the clone and reboot it",
            )
