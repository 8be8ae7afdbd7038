"""Whose a machine is: the cluster whose units it holds, the controller it obeys, and whether it was read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fleetssh.core.health import seen_there
from fleetssh.core.model import MachineRecord, TargetState, Wanted
from fleetssh.core.sighting import Failure, ManifestEntry, Reached, Sighting, Unreached

UNREAD_HINT = "it may hold units that are not known here; 'fleetssh adopt' takes them in"

# ---------------------------------------------------------------- whose machines they are


def is_ours(entry: ManifestEntry) -> bool:
    """Whether a manifest's line is of a unit that we wrote, and not of a name that the machine had taken."""
    return entry.target is not TargetState.INACTIVE


def owner(sighting: Reached) -> str:
    """The cluster whose units a machine holds; empty when it holds none."""
    return sighting.manifest.cluster if any(map(is_ours, sighting.manifest.entries)) else ""


def fence_of(sighting: Reached, cluster: str) -> int:
    """The greatest fence of a cluster that a machine knows of; 0 for none."""
    fences = [sighting.manifest.fence] if sighting.manifest.cluster == cluster else []
    if sighting.holder is not None and sighting.holder.cluster == cluster:
        fences.append(sighting.holder.fence)
    return max(fences, default=0)


def obeys_another(sighting: Sighting, cluster: str, fence: int, who: str = "") -> bool:
    """Whether a machine obeys another controller of this ``cluster`` than the one whose fence is ``fence``:
    it has met a greater one or, where we are ``who``, an equal one of somebody else's."""
    holder = sighting.holder if isinstance(sighting, Reached) else None
    if holder is None or holder.cluster != cluster:
        return False
    return holder.fence > fence or (bool(who) and holder.fence == fence and holder.who != who)


def if_ours(sighting: Sighting, cluster: str, fence: int, who: str = "") -> Sighting:
    """The sighting, unless its machine holds units of another cluster than ``cluster``, or obeys another
    controller than the one whose fence is ``fence``: then it was not reached."""
    if not isinstance(sighting, Reached):
        return sighting
    whose, holder = owner(sighting), sighting.holder
    if whose not in ("", cluster):
        title = f"{holder.who}'s cluster" if holder and holder.cluster == whose else "cluster"
        text = (
            f"it runs units of {title} {whose[:8]}..., this is {cluster[:8]}...; "
            "'fleetssh adopt' takes it over, 'fleetssh state rebuild' makes a lost state anew"
        )
        return Unreached(sighting.host, Failure.FOREIGN, text, sighting.seen_at, sent=True)
    if holder and obeys_another(sighting, cluster, fence, who):
        text = (
            f"{holder.who} holds it (fence {holder.fence}, this is {fence}); 'fleetssh adopt' takes it over"
        )
        return Unreached(sighting.host, Failure.FENCED, text, sighting.seen_at, sent=True)
    return sighting


# ---------------------------------------------------------------- machines that were not read yet


def unread(hosts: Mapping[str, str]) -> tuple[MachineRecord, ...]:
    """Records that say: what these machines hold is not in the state yet, so no pass may touch it.

    ``hosts`` maps them to the ids of their machines, as far as known: what is placed on one that is known
    stays there.
    """
    return tuple(
        MachineRecord(host, machine, failure=str(Failure.UNREAD)) for host, machine in sorted(hosts.items())
    )


def is_unread(record: MachineRecord) -> bool:
    """Whether a machine may hold what is not in the state: it was not looked at in any boot."""
    return not record.boot_id


def keep_unread(
    stored: Mapping[str, MachineRecord], sightings: Mapping[str, Sighting], wanted: Mapping[str, Wanted]
) -> dict[str, Sighting]:
    """``sightings`` in which a machine that holds units that nobody here knows was not looked at: a pass
    would take them for units that were destroyed.

    That is a machine that was not read yet, and one with a unit that is neither wanted nor was ever seen
    there, nor sent: somebody else put it there, who went on from a copy of this state. Machines are known by
    their id, whatever their host is called by now.
    """
    return {
        host: Unreached(host, Failure.UNREAD, UNREAD_HINT, sighting.seen_at, sent=True)
        if isinstance(sighting, Reached) and owner(sighting) and _is_strange(stored, sighting, wanted)
        else sighting
        for host, sighting in sightings.items()
    }


def overheard(record: MachineRecord | None, sighting: Reached, at: float) -> MachineRecord:
    """The record of a machine that is left alone because it was not read yet, with what it was seen to hold
    at the store's time ``at``: nobody else may start what runs there."""
    before = record or MachineRecord(sighting.host, sighting.facts.machine_id, address=sighting.address)
    seen = {one.name: one for one in (*before.seen, *seen_there(sighting))}
    leased = any(one.lease for one in seen.values())
    return replace(
        before,
        machine_id=sighting.facts.machine_id,
        boot_id="",
        seen=tuple(seen[name] for name in sorted(seen)),
        armed_at=at if leased else before.armed_at,
    )


def _is_strange(stored: Mapping[str, MachineRecord], sighting: Reached, wanted: Mapping[str, Wanted]) -> bool:
    records = _records_of(sighting, stored)
    if records and all(map(is_unread, records)):
        return True
    # What an unread one was seen to hold is just what is not known here.
    known = {seen.name for record in records if not is_unread(record) for seen in record.seen}
    return any(
        entry.name not in wanted and entry.name not in known
        for entry in sighting.manifest.entries
        if is_ours(entry)
    )


def _records_of(sighting: Reached, stored: Mapping[str, MachineRecord]) -> list[MachineRecord]:
    """What is known of a machine: under its host's name, else under the names that led to it before."""
    machine = sighting.facts.machine_id
    own = stored.get(sighting.host)
    if own is not None and own.machine_id in ("", machine):
        return [own]
    return [record for record in stored.values() if record.machine_id == machine]
