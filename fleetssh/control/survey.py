"""Looking at every machine at once, and judging what the answers mean."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from fleetssh.control.cluster import Cluster
from fleetssh.control.visiting import Errands
from fleetssh.core.doubt import Doubt, doubts, is_done_with
from fleetssh.core.errors import InventoryError
from fleetssh.core.gathering import keep_unread, overheard, owner
from fleetssh.core.health import health_of, judge, second_opinions
from fleetssh.core.identity import follow, homes, is_ghost, many_left
from fleetssh.core.metadata import merge
from fleetssh.core.model import Claim, Machine, MachineRecord, State
from fleetssh.core.sighting import Failure, Reached, Sighting, Unreached
from fleetssh.core.visit import Probe, Visit
from fleetssh.hosts.crew import visit_all
from fleetssh.inventory import Host, Inventory
from fleetssh.inventory.ways import host_of, way_of

NEVER = sys.maxsize
"""More looks than anybody takes."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What is known of the machines after one look at each: sightings and records by inventory host name,
    the machines as placement sees them (sorted by id), an alarm when too many went silent together,
    and what the store remembered before, of hosts that have left the inventory too. ``in_doubt`` are the
    units that may run where nobody can look. ``hosts`` are those that were visited, by name, and ``claim`` is
    what the looks came with."""

    sightings: Mapping[str, Sighting]
    records: Mapping[str, MachineRecord]
    machines: tuple[Machine, ...]
    alarm: str = ""
    stored: Mapping[str, MachineRecord] = field(default_factory=dict)
    in_doubt: Mapping[str, Doubt] = field(default_factory=dict)
    hosts: Mapping[str, Host] = field(default_factory=dict)
    claim: Claim | None = None

    def unreached(self) -> list[Unreached]:
        """The hosts that did not answer, sorted by name."""
        return [s for _, s in sorted(self.sightings.items()) if isinstance(s, Unreached)]


def look_at(cluster: Cluster, hosts: Iterable[str]) -> dict[str, Sighting]:
    """One look at each of the inventory's ``hosts``, by name: one round trip each, and nothing is decided."""
    chosen = set(hosts)
    visits = [(host, Visit()) for host in cluster.inventory.hosts if host.name in chosen]
    seen = visit_all(cluster.carrier, visits, forks=cluster.forks)
    return {sighting.host: sighting for sighting in cluster.watched(seen)}


def survey(cluster: Cluster, state: State, fence: int | None = None, *, deciding: bool = True) -> Survey:
    """Looks at every machine, then judges health over the remembered looks.

    With the ``fence`` of the store's hold the looks come with a claim, as those of a pass do: machines
    remember it, and renew their leases, which the store learns before they set out. Else nothing is written.
    Without ``deciding`` no machine becomes lost: only a pass gives one up, because it also moves its units.
    Raises InventoryError when two hosts turn out to be one machine: placing anything would be guessing.
    """
    stored = cluster.store.machines()
    known = _renamed(stored, cluster.inventory)
    hosts = _hosts(cluster.inventory, known, cluster.time())
    claim = None if fence is None else Claim(state.cluster, fence, cluster.controller)
    records = {name: r for name, r in known.items() if name in hosts and r.machine_id}
    at = cluster.time()
    if claim:
        records |= _arm(cluster, records, at)
    errands = Errands(cluster, claim, hosts, records)
    probes = _second_opinions(cluster, records, hosts) if deciding else {}
    looks = errands.look(at, probes, renewing=not any(map(_was_fenced, known.values())))
    records |= _disarm(known, looks)
    if claim and not any(_is_fenced(sighting, state, claim) for sighting in looks.values()):
        late = {name: s for name, s in looks.items() if isinstance(s, Reached) and s.is_late and s.leases}
        records |= _arm(cluster, {n: r for n, r in records.items() if n in late}, cluster.time())
        looks |= {name: s for name, s in errands.renew(late).items() if isinstance(s, Reached)}
    at = cluster.time()
    refuse_twins(cluster.inventory, looks)
    names = frozenset(host.name for host in cluster.inventory.hosts)
    ghosts = {name: r for name, r in known.items() if is_ghost(r) and not is_done_with(r, at)}
    records = follow(records | ghosts, looks, names)
    elsewhere = homes(looks, names)
    looks = {
        name: sighting
        for name, sighting in looks.items()
        if not isinstance(sighting, Reached) or elsewhere[sighting.facts.machine_id] == name
    }
    ours = {host: _if_ours(sighting, state, claim) for host, sighting in looks.items()}
    sightings = keep_unread({**known, **records}, ours, state.wanted)
    records |= _overheard(records, ours, sightings, at)
    patience = cluster.patience if deciding else replace(cluster.patience, looks=NEVER)
    leaving = frozenset(hosts) - names
    believe = cluster.believe_silence
    judgement = judge(records, sightings, patience, at, believe=believe, leaving=leaving)
    judged = {
        name: replace(errands.dated(record), way=way_of(hosts[name]))
        for name, record in judgement.records.items()
    }
    judged |= {name: record for name, record in records.items() if is_ghost(record)}
    alarm = judgement.alarm
    if not believe and (too_many := many_left(judged, leaving, patience)):
        alarm, leaving = too_many, frozenset()
    machines = sorted(
        (
            _machine(record, hosts.get(name), sightings.get(name), name in leaving)
            for name, record in judged.items()
        ),
        key=lambda machine: machine.id,
    )
    return Survey(
        sightings,
        judged,
        tuple(machines),
        alarm=alarm,
        stored=stored,
        in_doubt=doubts(judged, machines, at),
        hosts=hosts,
        claim=claim,
    )


def _machine(
    record: MachineRecord, host: Host | None, sighting: Sighting | None, is_leaving: bool
) -> Machine:
    """A machine as placement sees it; without a ``host`` no name leads to it any more."""
    return Machine(
        id=record.machine_id,
        host=record.host,
        address=record.address,
        metadata=merge(record.metadata, host.metadata if host else {}),
        health=health_of(record),
        occupied=_occupied(sighting),
        is_leaving=is_leaving or host is None,
        lease=host.lease if host else 0,
    )


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


def _overheard(
    records: Mapping[str, MachineRecord],
    looked: Mapping[str, Sighting],
    judged: Mapping[str, Sighting],
    at: float,
) -> dict[str, MachineRecord]:
    return {
        host: overheard(records.get(host), sighting, at)
        for host, sighting in looked.items()
        if isinstance(sighting, Reached) and sighting is not judged[host]
    }


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


def _occupied(sighting: Sighting | None) -> frozenset[str]:
    return frozenset(sighting.occupied) if isinstance(sighting, Reached) else frozenset()


def _if_ours(sighting: Sighting, state: State, claim: Claim | None) -> Sighting:
    """The sighting, unless its machine belongs to another cluster or obeys another controller."""
    if not isinstance(sighting, Reached):
        return sighting
    whose, holder = owner(sighting), sighting.holder
    if whose not in ("", state.cluster):
        title = f"{holder.who}'s cluster" if holder and holder.cluster == whose else "cluster"
        text = (
            f"it runs units of {title} {whose[:8]}..., this is {state.cluster[:8]}...; "
            "'fleetssh adopt' takes it over, 'fleetssh state rebuild' makes a lost state anew"
        )
        return Unreached(sighting.host, Failure.FOREIGN, text, sighting.seen_at, sent=True)
    if holder and _is_fenced(sighting, state, claim):
        ours = claim.fence if claim else state.fence
        text = f"{holder.who} holds it (fence {holder.fence}, this is {ours}); 'fleetssh adopt' takes it over"
        return Unreached(sighting.host, Failure.FENCED, text, sighting.seen_at, sent=True)
    return sighting


def _was_fenced(record: MachineRecord) -> bool:
    """Whether the machine obeyed another controller in the last pass: who may have been superseded renews no
    lease before the machines have said that it was not."""
    return record.failure.startswith(Failure.FENCED)


def _is_fenced(sighting: Sighting, state: State, claim: Claim | None) -> bool:
    holder = sighting.holder if isinstance(sighting, Reached) else None
    if holder is None or holder.cluster != state.cluster:
        return False
    if claim is None:
        return holder.fence > state.fence
    return (holder.fence, holder.who) != (claim.fence, claim.who) and holder.fence >= claim.fence


def refuse_twins(inventory: Inventory, sightings: Mapping[str, Sighting]) -> None:
    """Raises InventoryError when two of the inventory's hosts have one machine id."""
    owners: dict[str, str] = {}
    places = {host.name: host.where for host in inventory.hosts}
    for host, sighting in sorted(sightings.items()):
        if not isinstance(sighting, Reached) or host not in places:
            continue
        other = owners.setdefault(sighting.facts.machine_id, host)
        if other != host:
            raise InventoryError(
                f"{other} and {host} have the same machine id {sighting.facts.machine_id}",
                where=places[host],
                hint="either both names lead to one machine (remove one), or one is a clone of the other: "
                "run 'rm /etc/machine-id && systemd-machine-id-setup' on the clone and reboot it",
            )
