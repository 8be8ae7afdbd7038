"""The looks of one pass: at whom, with whose claim, and what the store learns before they set out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from fleetssh.control.cluster import Cluster
from fleetssh.control.visiting import Errands
from fleetssh.core.doubt import is_done_with
from fleetssh.core.health import second_opinions
from fleetssh.core.model import Claim, MachineRecord
from fleetssh.core.ownership import obeys_another
from fleetssh.core.sighting import Failure, Reached, Sighting, Unreached
from fleetssh.core.visit import Probe
from fleetssh.inventory import Host, Inventory
from fleetssh.inventory.ways import host_of, way_of


@dataclass(frozen=True, slots=True)
class Looks:
    """One look at each of ``hosts``, by name: those of the inventory, and those that left it and may still
    run something of ours.

    ``stored`` is what the store remembered before, and ``known`` the same by the names of today; ``records``
    are of those that were visited, as the looks left them. ``dated`` gives a record the time of its answer.
    """

    hosts: Mapping[str, Host]
    stored: Mapping[str, MachineRecord]
    known: Mapping[str, MachineRecord]
    records: Mapping[str, MachineRecord]
    sightings: Mapping[str, Sighting]
    dated: Callable[[MachineRecord], MachineRecord]


def look_everywhere(cluster: Cluster, claim: Claim | None, *, deciding: bool) -> Looks:
    """Looks at every machine, one round trip each: two where a lease has to be renewed and the machine's
    clock is not known well enough. With a ``claim`` leases are renewed, and the store learns of it before the
    looks set out; without one nothing is written. When ``deciding``, machines are asked for a second opinion
    of others that went silent."""
    stored = cluster.store.machines()
    known = _renamed(stored, cluster.inventory)
    at = cluster.time()
    hosts = _hosts(cluster.inventory, known, at)
    records = {name: r for name, r in known.items() if name in hosts and r.machine_id}
    if claim:
        records |= _arm(cluster, records, at)
    errands = Errands(cluster, claim, hosts, records)
    probes = _second_opinions(cluster, records, hosts) if deciding else {}
    looks = errands.look(at, probes, renewing=not any(map(_was_fenced, known.values())))
    records |= _disarm(known, looks)
    if claim and not any(obeys_another(s, claim.cluster, claim.fence, claim.who) for s in looks.values()):
        late = {name: s for name, s in looks.items() if isinstance(s, Reached) and s.is_late and s.leases}
        records |= _arm(cluster, {n: r for n, r in records.items() if n in late}, cluster.time())
        looks |= {name: s for name, s in errands.renew(late).items() if isinstance(s, Reached)}
    return Looks(hosts, stored, known, records, looks, errands.dated)


def _renamed(stored: Mapping[str, MachineRecord], inventory: Inventory) -> dict[str, MachineRecord]:
    """``stored``, in which a host that left the inventory is the new one that is reached the same way."""
    known = dict(stored)
    for host in inventory.hosts:
        if host.name in stored:
            continue
        for name, record in stored.items():
            left = name in known and all(name != other.name for other in inventory.hosts)
            if left and record.way and _place(record.way) == _place(way_of(host)):
                known[host.name] = replace(known.pop(name), host=host.name)
                break
    return known


def _place(way: Mapping[str, str]) -> tuple[str | None, str | None]:
    return way.get("address"), way.get("port")


def _hosts(inventory: Inventory, stored: Mapping[str, MachineRecord], at: float) -> dict[str, Host]:
    """The inventory's hosts, and those that have left it and may still run something of ours."""
    hosts = {host.name: host for host in inventory.hosts}
    for name, record in stored.items():
        host = host_of(name, record.way)
        if name not in hosts and host is not None and not is_done_with(record, at):
            hosts[name] = host
    return hosts


def _second_opinions(
    cluster: Cluster, records: Mapping[str, MachineRecord], hosts: Mapping[str, Host]
) -> Mapping[str, tuple[Probe, ...]]:
    targets = {name: (host.address, host.port) for name, host in hosts.items()}
    return second_opinions(records, cluster.carrier.fallen(), targets)


def _arm(cluster: Cluster, records: Mapping[str, MachineRecord], at: float) -> dict[str, MachineRecord]:
    """Writes down, before they set out, that looks may renew the leases of machines that have any."""
    armed = {
        name: replace(record, armed_at=at)
        for name, record in records.items()
        if record.armed_at is not None or any(seen.lease for seen in record.seen)
    }
    cluster.store.remember(armed.values())
    return armed


def _disarm(stored: Mapping[str, MachineRecord], looks: Mapping[str, Sighting]) -> dict[str, MachineRecord]:
    """The records of those that surely got nothing, as they were before."""
    return {
        name: stored[name]
        for name, sighting in looks.items()
        if name in stored and isinstance(sighting, Unreached) and not sighting.sent
    }


def _was_fenced(record: MachineRecord) -> bool:
    """Whether the machine obeyed another controller in the last pass: who may have been superseded renews no
    lease before the machines have said that it was not."""
    return record.failure.startswith(Failure.FENCED)
