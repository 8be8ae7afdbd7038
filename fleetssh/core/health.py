"""Judging machines: sightings over time, and two settings, give up, doubtful or lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from fleetssh.core.metadata import describe
from fleetssh.core.model import Health, MachineRecord, Seen
from fleetssh.core.sighting import Reached, Sighting, Unreached


@dataclass(frozen=True, slots=True)
class Patience:
    """When silence becomes loss (rule 1) and when it is taken to be our own fault (rule 2).

    A machine is lost after ``looks`` looks in a row without an answer **and** ``seconds`` since the first of
    them: the count forgives one dropped packet, the time forgives looks that come quickly (several commands
    typed while a machine reboots, after a night without any). The defaults fit a pass a minute. When more
    than ``share`` of the known machines, and at least ``at_least``, would be lost together, none is.
    """

    looks: int = 3
    seconds: float = 60.0
    share: float = 1 / 3
    at_least: int = 2


@dataclass(frozen=True, slots=True)
class Judgement:
    """New records by host, the health of every known machine by host, and what has to be said loudly."""

    records: Mapping[str, MachineRecord]
    health: Mapping[str, Health]
    alarm: str = ""


def judge(
    records: Mapping[str, MachineRecord], sightings: Mapping[str, Sighting], patience: Patience
) -> Judgement:
    """Health of every inventory host that was ever seen, from this pass's sightings.

    Only silence (refused, no route, timed out) may lead to ``lost``; a refused login, a changed host key
    or a failed sudo keep a machine doubtful for as long as they last. A host never seen has no health.
    """
    judged: dict[str, MachineRecord] = {}
    for host, sighting in sorted(sightings.items()):
        record = records.get(host)
        if isinstance(sighting, Reached):
            judged[host] = _seen(sighting, record)
        elif record is not None:
            judged[host] = _missed(record, sighting)
    dying = [
        host
        for host, record in judged.items()
        if not record.lost and _is_silent(sightings[host]) and _is_over(record, sightings[host], patience)
    ]
    silent = [host for host in judged if _is_silent(sightings[host]) and not judged[host].lost]
    alarm = ""
    if dying and _are_too_many(silent, judged, patience):
        alarm = (
            f"{len(silent)} of {len(judged)} machines went silent together ({', '.join(silent)}): "
            "the fault is taken to be on this side, nothing moves"
        )
        dying = []
    for host in dying:
        judged[host] = replace(judged[host], lost=True)
    return Judgement(judged, {host: health_of(record) for host, record in judged.items()}, alarm)


def _seen(sighting: Reached, known: MachineRecord | None) -> MachineRecord:
    return MachineRecord(
        host=sighting.host,
        machine_id=sighting.facts.machine_id,
        boot_id=sighting.facts.boot_id,
        address=sighting.address,
        metadata=describe(sighting.facts, known.metadata if known else {}),
        last_good=sighting.seen_at,
        seen=tuple(
            Seen(found.entry.name, found.entry.target, found.load, found.active, found.sub)
            for found in sighting.found
        ),
    )


def _missed(record: MachineRecord, sighting: Unreached) -> MachineRecord:
    if not sighting.failure.is_silence:
        return replace(record, missed=0, silent_since=None, failure=sighting.why)
    since = sighting.seen_at if record.silent_since is None else record.silent_since
    return replace(record, missed=record.missed + 1, silent_since=since, failure=sighting.why)


def _is_silent(sighting: Sighting) -> bool:
    return isinstance(sighting, Unreached) and sighting.failure.is_silence


def _is_over(record: MachineRecord, sighting: Sighting, patience: Patience) -> bool:
    if record.silent_since is None:
        return False
    waited = sighting.seen_at - record.silent_since
    return record.missed >= patience.looks and waited >= patience.seconds


def _are_too_many(silent: list[str], judged: Mapping[str, MachineRecord], patience: Patience) -> bool:
    known = sum(not record.lost for record in judged.values())
    return len(silent) >= patience.at_least and len(silent) > known * patience.share


def health_of(record: MachineRecord) -> Health:
    """The health that a record says."""
    if record.lost:
        return Health.LOST
    return Health.DOUBTFUL if record.failure else Health.UP
