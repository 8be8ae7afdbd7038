"""Looking at every machine at once, and judging what the answers mean."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from fleetssh.control.cluster import Cluster
from fleetssh.control.looking import look_everywhere
from fleetssh.core.doubt import Doubt, doubts, is_done_with, namesakes
from fleetssh.core.errors import InventoryError
from fleetssh.core.health import health_of, judge
from fleetssh.core.identity import at_home, follow, is_ghost, many_left
from fleetssh.core.metadata import merge
from fleetssh.core.model import Claim, Machine, MachineRecord, State
from fleetssh.core.ownership import if_ours, keep_unread, overheard
from fleetssh.core.sighting import Failure, Reached, Sighting, Unreached
from fleetssh.core.visit import Visit
from fleetssh.inventory import Host, Inventory
from fleetssh.inventory.ways import way_of

STALE_SECONDS = 120.0
"""Looks that took longer were held up here (a lid was closed, the process stopped), and what they tell is of
then: nobody is given up for it. A carrier lets no single one take half of that."""

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
    seen = cluster.crew.visit_all(cluster.carrier, visits)
    return {sighting.host: sighting for sighting in cluster.watched(seen)}


def survey(cluster: Cluster, state: State, fence: int | None = None, *, deciding: bool = True) -> Survey:
    """Looks at every machine, then judges health over the remembered looks.

    With the ``fence`` of the store's hold the looks come with a claim, as those of a pass do: machines
    remember it, and renew their leases, which the store learns before they set out. Else nothing is written.
    Without ``deciding`` no machine becomes lost: only a pass gives one up, because it also moves its units.
    Raises InventoryError when two hosts turn out to be one machine: placing anything would be guessing.
    """
    claim = None if fence is None else Claim(state.cluster, fence, cluster.controller)
    began = cluster.time()
    looks = look_everywhere(cluster, claim, deciding=deciding)
    at = cluster.time()
    if at - began > STALE_SECONDS:
        deciding = False
    refuse_twins(cluster.inventory, looks.sightings)
    names = frozenset(host.name for host in cluster.inventory.hosts)
    ghosts = {name: r for name, r in looks.known.items() if is_ghost(r) and not is_done_with(r, at)}
    records = follow({**looks.records, **ghosts}, looks.sightings, names)
    fence, who = (claim.fence, claim.who) if claim else (state.fence, "")
    answers = at_home(looks.sightings, names)
    ours = {host: if_ours(answer, state.cluster, fence, who) for host, answer in answers.items()}
    foreign = [a for host, a in answers.items() if isinstance(a, Reached) and _is_foreign(ours[host])]
    sightings = keep_unread({**looks.known, **records}, ours, state.wanted)
    records |= _overheard(records, ours, sightings, at)
    patience = cluster.patience if deciding else replace(cluster.patience, looks=NEVER)
    leaving = frozenset(looks.hosts) - names
    believe = cluster.believe_silence
    judgement = judge(records, sightings, patience, at, believe=believe, leaving=leaving)
    judged = {
        name: replace(looks.dated(record), way=way_of(looks.hosts[name]))
        for name, record in judgement.records.items()
    }
    judged |= {name: record for name, record in records.items() if is_ghost(record)}
    alarm = judgement.alarm
    if not believe and (too_many := many_left(judged, leaving, patience)):
        alarm, leaving = too_many, frozenset()
    machines = sorted(
        (
            _machine(record, looks.hosts.get(name), sightings.get(name), name in leaving)
            for name, record in judged.items()
        ),
        key=lambda machine: machine.id,
    )
    return Survey(
        sightings,
        judged,
        tuple(machines),
        alarm=alarm,
        stored=looks.stored,
        in_doubt=namesakes(foreign, looks.stored) | doubts(judged, machines, at),
        hosts=looks.hosts,
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


def _is_foreign(sighting: Sighting) -> bool:
    return isinstance(sighting, Unreached) and sighting.failure is Failure.FOREIGN


def _occupied(sighting: Sighting | None) -> frozenset[str]:
    return frozenset(sighting.occupied) if isinstance(sighting, Reached) else frozenset()


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
