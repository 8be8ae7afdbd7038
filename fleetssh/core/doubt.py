"""Doubt: which units may still run where nobody can look, so that no second copy is started elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil

from fleetssh.core.leases import runs_out
from fleetssh.core.mending import RUNNING
from fleetssh.core.model import Action, Health, Machine, MachinePlan, MachineRecord, Seen, TargetState
from fleetssh.core.sighting import Reached

UNANSWERED = "does not answer, and it may still run there"
NAMESAKE = "belongs to another cluster, and holds a unit of that name"


@dataclass(frozen=True, slots=True)
class Doubt:
    """A unit that may run on ``host``. ``reason`` says why nobody knows, in words that follow its name."""

    unit: str
    host: str
    reason: str

    @property
    def sentence(self) -> str:
        """What is told of the unit while it belongs elsewhere."""
        return f"Unit {self.unit} waits: {self.host}, which had it last, {self.reason}"


def doubts(records: Mapping[str, MachineRecord], machines: Sequence[Machine], at: float) -> dict[str, Doubt]:
    """Unit -> where it may still run though nobody can look; ``at`` is the store's time now.

    That is every unit that was last seen to run, or to be about to, on a machine in doubt; and on a lost one
    those with a lease there, until it must have run out on the machine's own clock. Of several machines the
    first by name is told, those in doubt before those that are lost.
    """
    found: dict[str, Doubt] = {}
    for health in (Health.DOUBTFUL, Health.LOST):
        for machine in sorted(machines, key=lambda machine: machine.host):
            record = records.get(machine.host)
            if machine.health is not health or record is None:
                continue
            for seen in record.seen:
                if _may_run(seen) and (reason := _reason(health, record, seen, at)):
                    found.setdefault(seen.name, Doubt(seen.name, machine.host, reason))
    return dict(sorted(found.items()))


def namesakes(foreign: Sequence[Reached], records: Mapping[str, MachineRecord]) -> dict[str, Doubt]:
    """Doubts about units that were never seen on a machine of ours, while another cluster's holds units by
    their names: a state that was begun anew by mistake starts nothing a second time. What was seen here once
    (``records``) is another unit of the same name."""
    known = {seen.name for record in records.values() for seen in record.seen}
    return {
        name: Doubt(name, sighting.host, NAMESAKE)
        for sighting in sorted(foreign, key=lambda sighting: sighting.host, reverse=True)
        for entry in sighting.manifest.entries
        if (name := entry.name) not in known and entry.target is TargetState.LAUNCHED
    }


def is_done_with(record: MachineRecord, at: float) -> bool:
    """Whether a machine that left the inventory can be forgotten: nothing of ours is there, or it is lost and
    every lease there must have run out."""
    if not record.lost:
        return not record.seen
    return not any(_may_run(seen) and _seconds_left(record, seen, at) > 0 for seen in record.seen)


def expecting(record: MachineRecord, plan: MachinePlan, at: float) -> MachineRecord:
    """The record of a machine to which a visit sets out at ``at``: what the visit may write or start is there
    already, and the leases may be renewed.

    It is written down before the visit leaves, so that a start whose answer was lost is not forgotten: were
    the machine given up then, nobody would wait for the lease of that unit; and a file whose answer was lost
    is known to be ours.
    """
    seen = {one.name: one for one in record.seen}
    for step in plan.steps:
        lease = plan.leases.get(step.unit, 0)
        if step.action in (Action.START, Action.RESTART):
            seen[step.unit] = _starting(step.unit, seen.get(step.unit), lease)
        elif step.action is Action.WRITE:
            seen.setdefault(
                step.unit, Seen(step.unit, TargetState.LOADED, "loaded", "inactive", "dead", lease)
            )
        elif step.action is Action.LEASE and step.unit in seen:
            old = seen[step.unit]
            seen[step.unit] = replace(old, lease=max(old.lease, lease))
    leased = plan.leases or record.armed_at is not None or any(one.lease for one in record.seen)
    return replace(
        record,
        seen=tuple(seen[name] for name in sorted(seen)),
        armed_at=at if leased else record.armed_at,
    )


def _starting(name: str, old: Seen | None, lease: int) -> Seen:
    """The longer of two leases is waited for: the visit may have died before it changed the old one."""
    if old is None:
        return Seen(name, TargetState.LAUNCHED, "loaded", "activating", "start", lease)
    return replace(old, target=TargetState.LAUNCHED, lease=max(old.lease, lease))


def _may_run(seen: Seen) -> bool:
    return seen.target is TargetState.LAUNCHED or seen.active in RUNNING


def _reason(health: Health, record: MachineRecord, seen: Seen, at: float) -> str:
    if health is Health.DOUBTFUL:
        return UNANSWERED
    seconds = ceil(_seconds_left(record, seen, at))
    return f"is lost, and its lease there runs for at most {seconds} s more" if seconds > 0 else ""


def _seconds_left(record: MachineRecord, seen: Seen, at: float) -> float:
    """For how long a unit may run on by its lease; never without one: then nobody waits for it."""
    return runs_out(record, seen.lease) - at if seen.lease else 0.0
