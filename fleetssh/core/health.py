"""Judging machines: sightings over time, what others say, and a few settings give up, doubtful, lost."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from fleetssh.core.metadata import describe
from fleetssh.core.model import Health, MachineRecord, Seen
from fleetssh.core.sighting import Failure, Opinion, Reached, Sighting, Unreached
from fleetssh.core.visit import Probe

MAX_PROBES = 4
"""Silent machines that one look tries, its control not counted: all have two witnesses while up to two thirds
are silent, which is far beyond the share that is an alarm, and a look stays short."""

WITNESSES = 2
"""Machines that try each silent one: one of them may itself be cut off from it."""


ALIVE = (Failure.STALLED, Failure.REFUSED)
"""Failures that take a kernel that runs: it takes connections, or turns them down. sshd may be busy, or just
be restarted; a machine without power does neither."""


@dataclass(frozen=True, slots=True)
class Patience:
    """When silence becomes loss (rule 1) and when it is taken to be our own fault (rule 2).

    A machine is lost after ``looks`` looks in a row without an answer **and** ``seconds`` since the first of
    them: the count forgives one dropped packet, the time forgives looks that come quickly (several commands
    typed while a machine reboots, after a night without any). One whose kernel still takes connections is
    given ``stalled_times`` as long. The defaults fit a pass a minute. When more than ``share`` of the known
    machines, and at least ``at_least``, are silent when one would be lost, none is.
    """

    looks: int = 3
    seconds: float = 60.0
    share: float = 1 / 3
    at_least: int = 2
    stalled_times: int = 5


LOOP_PATIENCE = Patience(looks=2, seconds=2.0)
"""For a controller that looks every two seconds: two looks, with a second opinion in one of them."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """New records by host, the health of every known machine by host, and what has to be said loudly."""

    records: Mapping[str, MachineRecord]
    health: Mapping[str, Health]
    alarm: str = ""


def judge(
    records: Mapping[str, MachineRecord],
    sightings: Mapping[str, Sighting],
    patience: Patience,
    at: float,
    *,
    believe: bool = False,
    leaving: frozenset[str] = frozenset(),
) -> Judgement:
    """Health of every host that was ever seen, from this pass's sightings; ``at`` is the store's time now.

    Only silence (refused, no route, timed out, stalled) may lead to ``lost``, when patience with it is over.
    Everything else keeps a machine doubtful for as long as it lasts: who refuses a login, or obeys another
    controller, is there. And however long it was silent, a machine is not lost

    - when its kernel lives (it stalls or refuses: sshd is busy, frozen or restarted), or did a look ago,
      before ``stalled_times`` the seconds: silence is one silence whatever its kinds, but it lived just now;
    - unless another machine that answers in this pass has tried it: a cluster of one never loses its machine,
      one of two only while the other answers. Where none of those asked has the means to try, or gets through
      to its control (``second_opinions``), it is given as long as one that stalls;
    - when one of those reached it: sshd said hello, or took the connection while for us it does not even
      stall. Then the way to it is cut, not the machine, and the count begins anew;
    - in a pass that finds a machine held by another controller, which may know better;
    - when too many are silent together (``alarm``), unless silence is to be ``believe``d. Who is the last to
      come back from that has been silent since then, not before.

    To ``believe`` also gives up those of ``leaving`` (no longer in the inventory) that do not answer, for
    whatever reason: one that was taken away, and whose address somebody else has now, is never silent.
    A lost machine stays lost until it answers. A host never seen has no health.
    """
    judged: dict[str, MachineRecord] = {}
    over: list[str] = []
    opinions = _sound(_opinions(sightings), records)
    for host, sighting in sorted(sightings.items()):
        record = records.get(host)
        if isinstance(sighting, Reached):
            judged[host] = _seen(sighting, record, at)
        elif record is not None:
            judged[host] = _missed(record, sighting, opinions.get(host, {}), patience, at)
            if _is_over(record, judged[host], sighting, opinions.get(host, {}), patience, at):
                over.append(host)
    silent = [host for host in judged if _is_silent(sightings[host]) and not judged[host].lost]
    if not believe and _is_healing(records, judged, silent, patience):
        # The silence of many was ours, and those who are back last have not been silent by themselves yet.
        judged |= {host: replace(judged[host], missed=1, silent_since=at) for host in silent}
        over = []
    local = [host for host in judged if _is_local(sightings[host]) and not judged[host].lost]
    alarm = _alarm(silent, local, judged, patience) if over and not believe else ""
    if not alarm and not any(_is_fenced(sighting) for sighting in sightings.values()):
        for host in over:
            if opinions.get(host):
                judged[host] = replace(judged[host], lost=True)
    if believe:
        for host in leaving & judged.keys():
            if isinstance(sightings[host], Unreached):
                judged[host] = replace(judged[host], lost=True)
    return Judgement(judged, {host: health_of(record) for host, record in judged.items()}, alarm)


def health_of(record: MachineRecord) -> Health:
    """The health that a record says."""
    if record.lost:
        return Health.LOST
    return Health.DOUBTFUL if record.failure else Health.UP


def reboot_of(old: MachineRecord, new: MachineRecord) -> bool:
    """Whether the machine was booted anew between two records of its host; one that was only cut off, frozen
    or slow is still in the same boot."""
    known = old.boot_id and new.boot_id and old.machine_id == new.machine_id
    return bool(known) and old.boot_id != new.boot_id


def second_opinions(
    records: Mapping[str, MachineRecord], fallen: frozenset[str], targets: Mapping[str, tuple[str, int]]
) -> dict[str, tuple[Probe, ...]]:
    """Which machine tries which silent ones in this pass's look, by host; those with nothing to try left out.

    Tried are the ``targets`` (host -> address and port of its sshd) that were silent at the last look and are
    not lost yet, and the ``fallen``, whose connection broke since: each by two machines without any failure,
    spread evenly, at most ``MAX_PROBES`` a look. The address is the one that a machine had when it answered.
    Each that tries also tries the next one without any failure, where there is one, as a control: where a
    firewall lets only the controller in, or addresses are good only for it, to reach nobody tells nothing.
    """
    known = {host: record for host, record in sorted(records.items()) if host in targets and not record.lost}
    silent = [host for host, record in known.items() if record.silent_since is not None or host in fallen]
    witnesses = [host for host, record in known.items() if host not in silent and not record.failure]
    probe = {
        host: Probe(host, one.address or targets[host][0], targets[host][1]) for host, one in known.items()
    }
    asked: dict[str, list[Probe]] = {witness: [] for witness in witnesses}
    for turn in range(min(WITNESSES, len(witnesses))):
        for place, host in enumerate(silent):
            probes = asked[witnesses[(place + turn) % len(witnesses)]]
            if probe[host].address and len(probes) < MAX_PROBES:
                probes.append(probe[host])
    return {
        witness: (*probes, *(probe[host] for host in _control(witness, witnesses) if probe[host].address))
        for witness, probes in asked.items()
        if probes
    }


def _control(witness: str, well: Sequence[str]) -> Sequence[str]:
    """The one that follows among those that are well, if there is another one: each is tried once."""
    following = well[(well.index(witness) + 1) % len(well)]
    return () if following == witness else (following,)


# ---------------------------------------------------------------- one machine


def _seen(sighting: Reached, known: MachineRecord | None, at: float) -> MachineRecord:
    return MachineRecord(
        host=sighting.host,
        machine_id=sighting.facts.machine_id,
        boot_id=sighting.facts.boot_id,
        address=sighting.address,
        metadata=describe(sighting.facts, known.metadata if known else {}),
        last_good=sighting.seen_at,
        seen=seen_there(sighting),
        uptime=sighting.facts.uptime,
        read_at=at,
        armed_at=_armed_at(sighting, known, at),
        way=known.way if known else {},
    )


def seen_there(sighting: Reached) -> tuple[Seen, ...]:
    """What a look found of ours, as it is remembered."""
    return tuple(
        Seen(found.entry.name, found.entry.target, found.load, found.active, found.sub, found.entry.lease)
        for found in sighting.found
    )


def _armed_at(sighting: Reached, known: MachineRecord | None, at: float) -> float | None:
    """When its leases were renewed last, at the latest: by now, where only somebody else can know."""
    if not sighting.leases and not any(found.entry.lease for found in sighting.found):
        return None
    return at if known is None or known.armed_at is None else known.armed_at


def _missed(
    record: MachineRecord,
    sighting: Unreached,
    opinions: Mapping[str, Opinion],
    patience: Patience,
    at: float,
) -> MachineRecord:
    if not sighting.failure.is_silence:
        return replace(record, missed=0, silent_since=None, failure=sighting.why)
    if reached_by := _contradicting(sighting, opinions):
        # Tried again by others in the next look, as it has been silent since now.
        failure = f"{sighting.why}; {_list(reached_by)} its SSH port"
        return replace(record, missed=0, silent_since=at, failure=failure)
    since = at - sighting.silent_seconds if record.silent_since is None else record.silent_since
    missed = record.missed + sighting.looks
    failure = sighting.why
    if opinions and not _tried(opinions):
        failure += (
            "; no other machine can reach SSH ports here (a firewall, or no bash), "
            f"so its silence is given {patience.stalled_times} times as long"
        )
    return replace(record, missed=missed, silent_since=since, failure=failure)


def _list(hosts: Sequence[str]) -> str:
    return f"{', '.join(hosts)} {'reaches' if len(hosts) == 1 else 'reach'}"


def _is_silent(sighting: Sighting) -> bool:
    return isinstance(sighting, Unreached) and sighting.failure.is_silence


def _is_local(sighting: Sighting) -> bool:
    return isinstance(sighting, Unreached) and sighting.failure is Failure.LOCAL


def _is_fenced(sighting: Sighting) -> bool:
    return isinstance(sighting, Unreached) and sighting.failure is Failure.FENCED


def _is_over(
    before: MachineRecord,
    record: MachineRecord,
    sighting: Unreached,
    opinions: Mapping[str, Opinion],
    patience: Patience,
    at: float,
) -> bool:
    """Whether patience with a silent machine is over; what others say of it is asked afterwards."""
    if record.lost or record.silent_since is None or not sighting.failure.is_silence:
        return False
    alive = sighting.failure in ALIVE or before.failure.startswith(ALIVE)
    unheard = bool(opinions) and not _tried(opinions)
    times = max(1, patience.stalled_times) if alive or unheard else 1
    return record.missed >= max(1, patience.looks) and at - record.silent_since >= patience.seconds * times


# ---------------------------------------------------------------- what others say


def _opinions(sightings: Mapping[str, Sighting]) -> dict[str, dict[str, Opinion]]:
    """Host -> what each other machine met at its SSH port in this pass."""
    told: dict[str, dict[str, Opinion]] = {}
    for witness, sighting in sorted(sightings.items()):
        if isinstance(sighting, Reached):
            for host, opinion in sighting.opinions.items():
                if host != witness:
                    told.setdefault(host, {})[witness] = opinion
    return told


def _sound(
    opinions: Mapping[str, Mapping[str, Opinion]], records: Mapping[str, MachineRecord]
) -> dict[str, dict[str, Opinion]]:
    """``opinions`` in which to have met nothing is unknown where a machine that was asked to try others, too,
    that were well at the last look, got through to none of them."""
    met: dict[str, dict[str, Opinion]] = {}
    for host, told in opinions.items():
        for witness, opinion in told.items():
            met.setdefault(witness, {})[host] = opinion
    blind = {witness for witness, ports in met.items() if _is_blind(ports, records)}
    return {
        host: {
            witness: Opinion.UNKNOWN if opinion is Opinion.NOTHING and witness in blind else opinion
            for witness, opinion in told.items()
        }
        for host, told in opinions.items()
    }


def _is_blind(ports: Mapping[str, Opinion], records: Mapping[str, MachineRecord]) -> bool:
    controls = [host for host in ports if host not in records or records[host].silent_since is None]
    # Who tried a single one had no control: of two machines the other, whose connection broke since.
    return len(ports) > 1 and bool(controls) and all(ports[host] is not Opinion.HELLO for host in controls)


def _contradicting(sighting: Unreached, opinions: Mapping[str, Opinion]) -> list[str]:
    """The machines that reached the one that is silent for us. Where it stalls for them as it does for us,
    they agree."""
    alive = {Opinion.HELLO}
    if sighting.failure is not Failure.STALLED:
        alive.add(Opinion.CONNECTED)
    return [witness for witness, opinion in opinions.items() if opinion in alive]


def _tried(opinions: Mapping[str, Opinion]) -> bool:
    return any(opinion is not Opinion.UNKNOWN for opinion in opinions.values())


# ---------------------------------------------------------------- many at once


def _are_many(failed: int, records: Collection[MachineRecord], patience: Patience) -> bool:
    known = sum(not record.lost for record in records)
    return failed >= patience.at_least and failed > known * patience.share


def _is_healing(
    records: Mapping[str, MachineRecord],
    judged: Mapping[str, MachineRecord],
    silent: Sequence[str],
    patience: Patience,
) -> bool:
    """Whether many were silent together at the last look, and are not now."""
    before = [records[host] for host in judged if host in records]
    were = sum(bool(record.missed) and not record.lost for record in before)
    return _are_many(were, before, patience) and not _are_many(len(silent), judged.values(), patience)


def _alarm(
    silent: Sequence[str], local: Sequence[str], judged: Mapping[str, MachineRecord], patience: Patience
) -> str:
    """What this computer cannot do by itself is no silence; but where it fails at so much, it may be wrong
    about the rest."""
    if not _are_many(len(silent) + len(local), judged.values(), patience):
        return ""
    besides = f", and {len(local)} cannot be reached from here" if local else ""
    return (
        f"{len(silent)} of {len(judged)} machines went silent together ({', '.join(silent)}){besides}: "
        "the fault is taken to be on this side, nothing moves; "
        "where they are really gone, 'fleetssh reconcile --believe-silence' gives them up"
    )
