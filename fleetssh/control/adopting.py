"""Taking machines over on purpose: from another controller of this cluster, or from another cluster."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace

from fleetssh.control.chronicle import STEP, Author, command_events
from fleetssh.control.cluster import Cluster
from fleetssh.control.inquiry import inquire
from fleetssh.control.rebuilding import holders, records_of
from fleetssh.core.errors import CommandError
from fleetssh.core.gathering import gather
from fleetssh.core.leases import VALID_SECONDS
from fleetssh.core.model import Claim, MachinePlan, MachineRecord, State
from fleetssh.core.ownership import fence_of, keep_unread, obeys_another, owner, unread
from fleetssh.core.sighting import Reached, Sighting, Unreached
from fleetssh.core.takeover import Item, items, take_in
from fleetssh.core.visit import Order, Visit
from fleetssh.hosts.crew import ACT_SECONDS
from fleetssh.store import REIGN, Event


@dataclass(frozen=True, slots=True)
class Takeover:
    """One machine that is to be taken over: whom it obeys (``None`` for nobody), whose units it holds (a
    cluster's id, empty for none), and what becomes of each of them."""

    host: str
    machine: str
    holder: Claim | None
    owner: str
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Adoption:
    """What adopting would do, as a value that two inquiries can be compared by.

    ``ours`` names the hosts that obey this controller already, ``unreached`` maps hosts to why they cannot be
    asked. ``after`` is the state with what is taken in; ``fence`` the greatest that any machine has seen, and
    ``known`` that of the state: a machine that has seen a greater one obeys another controller.
    """

    cluster: str
    known: int
    after: State
    fence: int
    takeovers: tuple[Takeover, ...]
    ours: tuple[str, ...]
    unreached: Mapping[str, str] = field(compare=False)
    before: State = field(compare=False)
    sightings: Mapping[str, Sighting] = field(compare=False)


def survey_adoption(cluster: Cluster, hosts: Set[str] = frozenset(), known: int | None = None) -> Adoption:
    """What adopting those of ``hosts`` (all without any) would do that do not obey this controller.

    ``known`` is the greatest fence that this state has given; without it that of the state once every machine
    was looked at, since a loop of our own may pass meanwhile. Changes nothing. Raises InventoryError when two
    hosts turn out to be one machine.
    """
    state = cluster.store.load()
    stored = cluster.store.machines()
    chosen = hosts or {host.name for host in cluster.inventory.hosts}

    def given() -> int:
        return cluster.store.load().fence if known is None else known

    def is_taken(sighting: Reached) -> bool:
        host = sighting.host
        is_strange = keep_unread(stored, {host: sighting}, state.wanted)[host] is not sighting
        return host in chosen and (is_strange or _is_held(sighting, state.cluster, given()))

    found = inquire(cluster, is_taken)
    reached = [s for s in found.sightings.values() if isinstance(s, Reached)]
    answering = {sighting.facts.machine_id for sighting in reached}
    silent = {record.machine_id for record in stored.values()} - answering
    after, takeovers = state, []
    # Those of this cluster first: what they hold goes before what others call by the same name.
    for name in sorted(
        {owner(s) for s, _ in found.seen.values()}, key=lambda name: (name != state.cluster, name)
    ):
        before = after
        after = take_in(before, gather(found.seen, name), holders(found.sightings), silent)
        takeovers += [
            Takeover(host, holdings.machine_id, sighting.holder, name, items(before, after, holdings))
            for host, (sighting, holdings) in found.seen.items()
            if owner(sighting) == name
        ]
    return Adoption(
        cluster=state.cluster,
        known=given(),
        after=after,
        fence=max((fence_of(sighting, state.cluster) for sighting in reached), default=0),
        takeovers=tuple(sorted(takeovers, key=lambda takeover: takeover.host)),
        ours=tuple(sorted(s.host for s in reached if s.host in chosen and s.host not in found.seen)),
        unreached={host: s.why for host, s in found.unreached().items() if host in chosen},
        before=state,
        sightings=found.sightings,
    )


def _is_held(sighting: Reached, cluster: str, known: int) -> bool:
    """Whether a machine would refuse the controller whose fence was ``known`` last."""
    return obeys_another(sighting, cluster, known) or owner(sighting) not in ("", cluster)


# ---------------------------------------------------------------- doing it


def adopt(cluster: Cluster, fence: int, shown: Adoption, hosts: Set[str] = frozenset()) -> dict[str, str]:
    """Carries out what was ``shown``, by the right of the store's hold, which gave the ``fence``. Returns, by
    host, why a machine was not taken over; empty for one that was.

    The state knows the units and a fence above all others before the first machine is claimed: killed at any
    moment, it leaves machines that refuse this controller and keep what runs there, and adopting goes on with
    them. No unit is stopped or started. Raises CommandError when machines do not say the same any more.
    """
    now = survey_adoption(cluster, hosts, _given_before(fence, shown.known))
    if (now.takeovers, now.after.wanted) != (shown.takeovers, shown.after.wanted):
        raise CommandError(
            "what the machines say has changed since it was shown; nothing was changed", hint="run it again"
        )
    store = cluster.store
    # First of all: a machine that is known and refuses us is in doubt, and what is placed there stays there.
    known = records_of(cluster, now.sightings, [takeover.host for takeover in now.takeovers])
    # Until a moment ago somebody else may have renewed their leases.
    at = cluster.time()
    store.remember(replace(record, armed_at=at) for record in [*known, *_unread(cluster, now)])
    store.commit(now.after, _events(cluster, now))
    reign = store.raise_fence(max(fence, now.fence + REIGN))
    return _claim(cluster, reign, now)


def _given_before(fence: int, shown: int) -> int:
    """The greatest fence that this state had given when a hold made it grow to ``fence``: others of the same
    reign are our own, given since ``shown``; a new reign has only begun."""
    return max(shown, fence - 1) if fence // REIGN == shown // REIGN else shown


def _unread(cluster: Cluster, adoption: Adoption) -> list[MachineRecord]:
    """Records that keep passes away from what was not shown: after this, machines obey us that somebody else
    has steered, and what they hold may be unknown here."""
    taken = {takeover.host for takeover in adoption.takeovers}
    sightings = adoption.sightings
    fenced = {host for host, s in sightings.items() if obeys_another(s, adoption.cluster, adoption.known)}
    if not fenced:
        return []
    left = {
        host: sighting.facts.machine_id if isinstance(sighting, Reached) else ""
        for host, sighting in sightings.items()
        if host not in taken and (host in fenced or isinstance(sighting, Unreached))
    }
    stored = cluster.store.machines()
    kept = [replace(stored[host], boot_id="") for host in left if host in stored]
    return [*kept, *unread({host: machine for host, machine in left.items() if host not in stored})]


def _claim(cluster: Cluster, fence: int, adoption: Adoption) -> dict[str, str]:
    hosts = {host.name: host for host in cluster.inventory.hosts}
    visits = [
        (hosts[takeover.host], _visit(cluster, fence, adoption, takeover, sighting))
        for takeover in adoption.takeovers
        if isinstance(sighting := adoption.sightings[takeover.host], Reached)
    ]
    answers = cluster.watched(cluster.crew.visit_all(cluster.carrier, visits, deadline_seconds=ACT_SECONDS))
    return {s.host: _refusal(s, adoption.cluster, fence) for s in sorted(answers, key=lambda s: s.host)}


def _visit(cluster: Cluster, fence: int, adoption: Adoption, takeover: Takeover, sighting: Reached) -> Visit:
    """A visit without any step: under the machine's lock it writes down whose the machine and its units are,
    if they still are what they were."""
    over = takeover.owner if takeover.owner != adoption.cluster else ""
    claim = Claim(adoption.cluster, fence, cluster.controller, over)
    order = Order(MachinePlan(takeover.host, takeover.machine, ()), sighting.manifest)
    facts = sighting.facts
    return Visit(facts.boot_id, claim, facts.uptime + VALID_SECONDS, order=order)


def _refusal(sighting: Sighting, cluster: str, fence: int) -> str:
    """Why a machine does not obey us now, or nothing."""
    if isinstance(sighting, Unreached):
        return sighting.why
    failed = [outcome.message for outcome in sighting.outcomes if not outcome.ok]
    if failed:
        return "; ".join(failed)
    holder = sighting.holder
    if holder is None or (holder.cluster, holder.fence) != (cluster, fence):
        return f"{holder.who} holds it" if holder else "it does not remember who holds it"
    if owner(sighting) not in ("", cluster):
        return "its manifest could not be rewritten"
    return ""


def _events(cluster: Cluster, adoption: Adoption) -> list[Event]:
    at = cluster.clock.now()
    author = Author(cluster.who, "adopt")
    arguments = tuple(takeover.host for takeover in adoption.takeovers)
    events = command_events(author, arguments, adoption.before.wanted, adoption.after.wanted, at)
    return [*events, *(Event(at, cluster.who, STEP, "", _told(takeover)) for takeover in adoption.takeovers)]


def _told(takeover: Takeover) -> str:
    whom = takeover.holder.who if takeover.holder else f"cluster {takeover.owner[:8]}..."
    return f"{takeover.host}: taken over from {whom}"
