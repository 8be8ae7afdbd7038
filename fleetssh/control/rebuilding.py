"""Making a lost state anew from what the machines hold; no machine is touched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace

from fleetssh.control.chronicle import Author, command_events
from fleetssh.control.cluster import Cluster
from fleetssh.control.inquiry import Inquiry, inquire
from fleetssh.core.errors import CommandError, MachineError
from fleetssh.core.gathering import Finding, Seen, gather
from fleetssh.core.health import judge
from fleetssh.core.model import MachineRecord, State
from fleetssh.core.ownership import is_ours, is_unread, owner, unread
from fleetssh.core.sighting import Reached, Sighting
from fleetssh.core.takeover import AS_IT_IS, items, take_in
from fleetssh.inventory.ways import way_of
from fleetssh.store import REIGN

AUTHOR_VERB = "state rebuild"


@dataclass(frozen=True, slots=True)
class Rebuild:
    """What rebuilding would do, as a value that two inquiries can be compared by.

    ``before`` is the state as it is, ``after`` as it would be; ``machines`` maps the hosts that are read to
    the ids of their machines, ``others`` hosts to the other clusters whose units they hold, ``unreached``
    hosts to why they cannot be read. ``findings`` are what does not go together.
    """

    before: State
    after: State
    fence: int
    findings: tuple[Finding, ...]
    machines: Mapping[str, str]
    others: Mapping[str, str]
    unreached: Mapping[str, str] = field(compare=False)
    sightings: Mapping[str, Sighting] = field(compare=False)

    @property
    def is_fresh(self) -> bool:
        """Whether there is nothing in the state so far; else it is one that was rebuilt in part."""
        return self.before.revision == 0


def survey_rebuild(cluster: Cluster, cluster_id: str = "") -> Rebuild:
    """What a state made from the machines would be. Changes nothing.

    Of a state that was rebuilt before, only the machines that could not be read then are. Raises CommandError
    for a state with anything else in it, for machines of several clusters unless ``cluster_id`` (or its
    beginning) chooses, and where no machine holds anything; MachineError when that may be because some do
    not answer.
    """
    state = replace(cluster.store.load(), fence=0)  # it grows with every hold
    records = cluster.store.machines()
    missing = {host for host, record in records.items() if is_unread(record)}
    if state.revision and not missing:
        raise CommandError(
            f"there is a state already, with {len(state.wanted)} units: one is only made where there is none",
            hint="move the state file away first, or name another one with --state\n"
            "'fleetssh adopt' takes machines over into the state that there is",
        )
    found = inquire(cluster, lambda sighting: not state.revision or sighting.host in missing)
    if state.revision:
        return _continued(state, found, missing)
    return _fresh(state, found, cluster_id)


def _fresh(state: State, found: Inquiry, cluster_id: str) -> Rebuild:
    if not any(owner(sighting) for sighting, _ in found.seen.values()) and (silent := found.unreached()):
        told = "\n".join(f"{host}: {sighting.why}" for host, sighting in silent.items())
        raise MachineError("no machine that answered holds any unit, and not all answered", hint=told)
    chosen = _choose(found.seen, cluster_id)
    gathering = gather(found.seen, chosen)
    after = State(chosen, 0, gathering.wanted, gathering.placements)
    return _rebuild(state, after, gathering.fence, gathering.findings, found, found.sightings.keys())


def _continued(state: State, found: Inquiry, missing: Set[str]) -> Rebuild:
    gathering = gather(found.seen, state.cluster)
    after = take_in(state, gathering, holders(found.sightings))
    findings = tuple(
        Finding(item.unit, host, item.bond, item.then)
        for host, (sighting, holdings) in sorted(found.seen.items())
        if owner(sighting) == state.cluster
        for item in items(state, after, holdings)
        if item.then not in ("", AS_IT_IS)
    )
    return _rebuild(state, after, gathering.fence, findings, found, missing)


def _rebuild(
    before: State,
    after: State,
    fence: int,
    findings: tuple[Finding, ...],
    found: Inquiry,
    hosts: Set[str],
) -> Rebuild:
    owners = {host: owner(sighting) for host, (sighting, _) in sorted(found.seen.items())}
    read = [host for host, cluster in owners.items() if cluster in ("", after.cluster)]
    return Rebuild(
        before,
        after,
        fence,
        findings,
        {host: found.seen[host][0].facts.machine_id for host in read},
        {host: cluster for host, cluster in owners.items() if host not in read},
        {host: sighting.why for host, sighting in found.unreached().items() if host in hosts},
        found.sightings,
    )


def holders(sightings: Mapping[str, Sighting]) -> dict[str, set[str]]:
    """Unit -> ids of the machines that hold it."""
    held: dict[str, set[str]] = {}
    for sighting in sightings.values():
        if isinstance(sighting, Reached):
            for entry in filter(is_ours, sighting.manifest.entries):
                held.setdefault(entry.name, set()).add(sighting.facts.machine_id)
    return held


def _choose(seen: Seen, cluster_id: str) -> str:
    """The cluster whose machines these are. Raises CommandError when that is not clear."""
    owners: dict[str, list[str]] = {}
    for host, (sighting, _) in sorted(seen.items()):
        if name := owner(sighting):
            owners.setdefault(name, []).append(host)
    fitting = [name for name in sorted(owners) if name.startswith(cluster_id)]
    if len(fitting) == 1:
        return fitting[0]
    listed = "\n".join(f"cluster {name}: {', '.join(hosts)}" for name, hosts in sorted(owners.items()))
    if fitting:
        raise CommandError(
            f"the machines hold units of {len(fitting)} clusters; choose one with --cluster-id",
            hint=listed,
        )
    if owners:
        raise CommandError(f"no machine holds units of cluster {cluster_id}", hint=listed)
    raise CommandError(
        "no machine that answered holds any unit: there is nothing to make a state from",
        hint="a machine forgets its units when it is booted; hand them over again: fleetssh start UNIT...",
    )


# ---------------------------------------------------------------- doing it


def rebuild(cluster: Cluster, shown: Rebuild) -> State:
    """Writes the state that was ``shown``; the caller holds the store. Returns it.

    Killed at any moment, it leaves a state in which machines that were not taken in are marked as unread: no
    pass touches those, and rebuilding goes on with them. Raises CommandError when the machines do not say the
    same any more.
    """
    store = cluster.store
    now = survey_rebuild(cluster, shown.after.cluster if shown.is_fresh else "")
    if now != shown:
        raise CommandError(
            "what the machines hold has changed since it was shown; nothing was changed", hint="run it again"
        )
    base = now.before
    if now.is_fresh:
        hosts = {host: _id_of(s) for host, s in now.sightings.items() if host not in now.others}
        store.remember(unread(hosts), store.machines())
        base = store.found(now.after.cluster, now.fence + REIGN)
    events = command_events(
        Author(cluster.who, AUTHOR_VERB), (), base.wanted, now.after.wanted, cluster.clock.now()
    )
    state = store.commit(replace(base, wanted=now.after.wanted, placements=now.after.placements), events)
    store.remember(records_of(cluster, now.sightings, now.machines), now.others)
    return state


def _id_of(sighting: Sighting) -> str:
    return sighting.facts.machine_id if isinstance(sighting, Reached) else ""


def records_of(
    cluster: Cluster, sightings: Mapping[str, Sighting], hosts: Iterable[str]
) -> tuple[MachineRecord, ...]:
    """What is to be remembered of machines that answered just now."""
    ways = {host.name: way_of(host) for host in cluster.inventory.hosts}
    reached = {host: sighting for host in hosts if isinstance(sighting := sightings[host], Reached)}
    stored = {host: r for host, r in cluster.store.machines().items() if not is_unread(r)}
    judged = judge(stored, reached, cluster.patience, cluster.time()).records
    return tuple(replace(record, way=ways[host]) for host, record in judged.items())
