"""Who is who: what is known of a machine follows it, whatever name the inventory has for it now."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import replace

from fleetssh.core.health import Patience
from fleetssh.core.model import MachineRecord
from fleetssh.core.sighting import Reached, Sighting

GHOST = "~"
"""Between the name and the id of a machine that no name leads to any more; no inventory has such a name."""

REPLACED = "another machine answers at its address"
LEFT_SILENT = "it left the inventory without an answer"

MOST_GHOSTS = 100
"""Machines that left without an answer are remembered up to that many, the latest first: one that comes back
runs what it had, and each is a row in the store for as long as nobody comes back."""


def homes(sightings: Mapping[str, Sighting], inventory: Set[str]) -> dict[str, str]:
    """Machine id -> the name under which it answered: one of the ``inventory`` before one that left it."""
    answered = {host: s.facts.machine_id for host, s in sorted(sightings.items()) if isinstance(s, Reached)}
    left = {machine: host for host, machine in answered.items() if host not in inventory}
    return left | {machine: host for host, machine in answered.items() if host in inventory}


def at_home(sightings: Mapping[str, Sighting], inventory: Set[str]) -> dict[str, Sighting]:
    """``sightings`` without those of machines under a name that they have no more."""
    at = homes(sightings, inventory)
    return {
        host: sighting
        for host, sighting in sightings.items()
        if not isinstance(sighting, Reached) or at[sighting.facts.machine_id] == host
    }


def follow(
    records: Mapping[str, MachineRecord], sightings: Mapping[str, Sighting], inventory: Set[str]
) -> dict[str, MachineRecord]:
    """``records`` under the names that lead to their machines after a look at each.

    A machine that answered has its record under the name by which it did: it was renamed. Where a name leads
    to another machine now, and the record's own did not answer: if that one was known by a name that does not
    answer now, the two were exchanged, and it is as silent as that. Else it was replaced: its record stays
    under a name of its own, as lost, because a lease may run there yet.
    """
    at = homes(sightings, inventory)
    answering = {host for host, sighting in sightings.items() if isinstance(sighting, Reached)}
    following: dict[str, MachineRecord] = {}
    displaced: list[MachineRecord] = []
    for name, record in sorted(records.items(), key=lambda item: (item[1].last_good, item[0])):
        if record.machine_id in at:
            now = at[record.machine_id]
            following[now] = replace(record, host=now)
        elif name in answering:
            displaced.append(record)
        else:
            following[name] = record
    vacant = sorted(records.keys() & inventory - answering - following.keys())
    for record in sorted(displaced, key=lambda record: record.host):
        if vacant:
            name = vacant.pop(0)
            following[name] = replace(record, host=name)
        elif record.seen:
            ghost = _ghost(record, REPLACED)
            following[ghost.host] = ghost
    return following


def ghosts(
    known: Mapping[str, MachineRecord], kept: Mapping[str, MachineRecord], inventory: Set[str]
) -> dict[str, MachineRecord]:
    """Those of the ``known`` records that are not ``kept`` because nobody visits their machines any more,
    though what was seen there was not seen to be gone: under names of their own.

    So what such a machine holds when it comes back is known to be this cluster's, and that it may be stopped
    where it was destroyed meanwhile. Nothing runs there by a lease any more.
    """
    living = {record.machine_id for record in kept.values()}
    left = {
        record.machine_id: record if is_ghost(record) else _ghost(record, LEFT_SILENT)
        for name, record in sorted(known.items())
        if record.seen and name not in inventory and record.machine_id not in living
    }
    latest = sorted(left.values(), key=lambda record: (-record.read_at, record.host))[:MOST_GHOSTS]
    return {record.host: record for record in sorted(latest, key=lambda record: record.host)}


def _ghost(record: MachineRecord, why: str) -> MachineRecord:
    name = f"{record.host}{GHOST}{record.machine_id[:8]}"
    return replace(record, host=name, way={}, lost=True, failure=why)


def is_ghost(record: MachineRecord) -> bool:
    """Whether no name leads to the record's machine any more."""
    return GHOST in record.host


def many_left(records: Mapping[str, MachineRecord], leaving: Set[str], patience: Patience) -> str:
    """An alarm when so many machines with units are no longer in the inventory at once that somebody must
    have made a mistake: a folder with a file missing, another cluster's inventory (rule 2). Else empty."""
    gone = sorted(n for n, record in records.items() if n in leaving and record.seen and not record.lost)
    if len(gone) < patience.at_least or len(gone) <= len(records) * patience.share:
        return ""
    return (
        f"{len(gone)} of {len(records)} machines are no longer in the inventory ({', '.join(gone)}): "
        "that is taken for a mistake, and they keep their units; --believe-silence if it is meant"
    )
