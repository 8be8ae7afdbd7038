"""What a machine does with a visit: the steps of wire's program, one small effect after the other."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

from fleetssh.core.model import Action, Claim, Step, TargetState
from fleetssh.core.sighting import (
    Ending,
    Facts,
    Failure,
    Found,
    Manifest,
    ManifestEntry,
    Opinion,
    Outcome,
    Reached,
)
from fleetssh.wire.program import LOCK_WAIT_SECONDS
from fleetssh.wire.script import (
    MAKES_ROOM,
    SETTLE_SECONDS,
    STOP_WAIT_SECONDS,
    _after,
    _before,
    _leased,
    arriving_units,
)
from tests.sim.reasons import conflict

if TYPE_CHECKING:
    from tests.sim.machine import Machine
    from tests.sim.network import Sent

POLL_SECONDS = 0.5
"""Between two looks at whether a lock is free or a unit has stopped."""

Effects = Generator[float, None, bool]
"""Small effects: before each, the seconds that it takes. False when the visit cannot go on."""


class Program:
    """One visit as its machine carries it out. Whatever happens to that happens between two effects."""

    def __init__(self, machine: Machine, sent: Sent) -> None:
        self.machine, self.sent, self.visit = machine, sent, sent.visit
        self.outcomes: list[Outcome] = []
        self.shadowed: set[str] = set()
        self.stuck: set[str] = set()
        self.is_late = False
        self.now = 0

    def run(self) -> Generator[float, None, Reached | None]:
        """Acts, then looks; nothing is answered when there is nobody to answer to any more."""
        if self.visit.order is not None:
            try:
                yield from self._act()
            except _NobodyLeft:
                return None
            finally:
                self._unlock()
        return (yield from self._look())

    def _effect(self, low: float = 0.002, high: float = 0.02) -> Generator[float, None, None]:
        yield self.machine.world.chance.uniform(low, high) * self.machine.slowness
        self.machine.world.faults.strike(self.machine, self.sent)

    # ------------------------------------------------------------ whose visits this machine obeys

    def _obeys(self, claim: Claim) -> str:
        """Why not; nothing when it does. A better claim is remembered."""
        machine, held = self.machine, self.machine.holder
        levers = machine.world.levers
        entries = machine.manifest.entries
        owned = any(entry.target is not TargetState.INACTIVE for entry in entries)
        if owned and machine.manifest.cluster not in (claim.cluster, claim.over):
            return "foreign"
        if held is not None and held.cluster == claim.cluster:
            if (held.fence, held.who) == (claim.fence, claim.who):
                return ""
            if claim.fence <= held.fence and "machines ignore fences" not in levers:
                return "fenced"
        if machine.disk is not None:
            return "nothing can be written"
        machine.holder = Claim(claim.cluster, claim.fence, claim.who)
        machine.rules.remembered(machine, machine.holder)
        return ""

    def _in_time(self) -> bool:
        """Remembers the uptime that it was judged by: deadlines of leases are counted from that."""
        self.now = int(self.machine.uptime())
        return (
            self.now <= int(self.visit.valid_until)
            or "machines ignore valid_until" in self.machine.world.levers
        )

    # ------------------------------------------------------------ looking

    def _look(self) -> Generator[float, None, Reached]:
        machine, systemd = self.machine, self.machine.systemd
        yield from self._effect()
        uptime = machine.uptime()
        if self.visit.claim is not None:
            obeys = not self._obeys(self.visit.claim)
            self.is_late = not self._in_time()
            if (obeys or "machines renew leases for anybody" in machine.world.levers) and not self.is_late:
                yield from self._renew()
        found = tuple(
            self._found(e) for e in machine.manifest.entries if e.target is not TargetState.INACTIVE
        )
        names = {entry.name for entry in machine.manifest.entries}
        occupied = {
            entry.name: "/etc/systemd/system"
            for entry in machine.manifest.entries
            if entry.target is TargetState.INACTIVE and entry.name in machine.own
        }
        reached = Reached(
            machine.host,
            machine.address,
            Facts(
                machine.id,
                machine.boot,
                {"zone": machine.zone},
                uptime,
                self.visit.known_boot == machine.boot,
            ),
            machine.manifest,
            found,
            tuple(sorted(machine.strangers | (machine.files.keys() - names))),
            occupied,
            tuple(self.outcomes),
            machine.holder,
            leases=systemd.running_leases(),
            is_late=self.is_late,
        )
        opinions: dict[str, Opinion] = {}
        for probe in self.visit.probes:
            yield from self._effect(0.01, 1.0)
            opinions[probe.host] = machine.world.network.probe(machine, probe.address)
        return replace(reached, opinions=opinions)

    def _renew(self) -> Generator[float, None, None]:
        if self.machine.systemd.running_leases():
            yield from self._effect()
            self.machine.systemd.renew(self.now)
            self.machine.rules.renewed(self.machine, self.sent)

    def _begin_leases(self) -> Effects:
        """Has all leases of the plan running, and units told of them, before anything is stopped."""
        order, machine = self.visit.order, self.machine
        assert order is not None
        lengths = sorted(set(order.plan.leases.values()))
        if not lengths:
            return True
        yield from self._effect()
        if not self._writable():
            return False
        if not self._in_time():
            return self._trouble("it took too long to begin a lease; the next pass goes on")
        yield from self._effect()
        for seconds in lengths:
            machine.systemd.begin(seconds, self.now)
        machine.rules.renewed(machine, self.sent)
        if not self._in_time():
            return self._trouble("it took too long to begin a lease; the next pass goes on")
        for name, seconds in sorted(order.plan.leases.items()):
            if name not in self.shadowed:
                machine.dropins[name] = seconds
        yield from self._effect()
        if all(step.action is not Action.RELOAD for step in order.plan.steps):
            machine.systemd.reload()
        return True

    def _reload(self) -> Generator[float, None, None]:
        """Units that live by no lease any more are told so before the leases by which none lives end."""
        order, machine = self.visit.order, self.machine
        assert order is not None
        yield from self._effect()
        for name in sorted(machine.dropins.keys() - order.plan.leases.keys() - self.stuck):
            del machine.dropins[name]
        lengths = frozenset(machine.systemd.leases) if not self.stuck else frozenset()
        yield from self._effect()
        machine.systemd.reload()
        self.outcomes.append(Outcome(Action.RELOAD, "", True))
        for seconds in sorted(lengths - frozenset(order.plan.leases.values())):
            yield from self._effect()
            machine.systemd.end(seconds)

    def _found(self, entry: ManifestEntry) -> Found:
        machine = self.machine
        unit = machine.files.get(entry.name)
        active = machine.systemd.active(entry.name)
        sub = {"active": "running", "inactive": "dead"}.get(active, "stop-sigterm")
        idle = active == "inactive" and entry.target is TargetState.LAUNCHED
        ending = machine.systemd.endings.get(entry.name, Ending.NEVER_STARTED) if idle else None
        digest = unit.digest if unit else None
        return Found(entry, digest, entry.name in machine.links, "loaded", active, sub, ending)

    # ------------------------------------------------------------ acting

    def _act(self) -> Effects:
        order, claim = self.visit.order, self.visit.claim
        assert order is not None and claim is not None
        if not (yield from self._prepare()):
            return False
        machine, plan = self.machine, order.plan
        machine.rules.acts(machine, self.sent)
        names = sorted({step.unit for step in plan.steps if step.unit})
        if "machines do not guard their own" not in machine.world.levers:
            self.shadowed = {name for name in names if name in machine.own}
        self.outcomes += [Outcome(Action.WRITE, name, False, "shadowed") for name in sorted(self.shadowed)]
        yield from self._effect()
        if not self._writable() or not (yield from self._begin_leases()):
            return False
        if not (yield from self._write_manifest(_before(plan, order.found, claim))):
            return False
        for action, steps in groupby(plan.steps, key=lambda step: step.action):
            if action not in MAKES_ROOM:
                self._keep_apart()
            if not (yield from self._do(action, list(steps))):
                return False
        if any(step.action in (Action.START, Action.RESTART) for step in plan.steps):
            yield SETTLE_SECONDS
        return (yield from self._write_manifest(_after(plan, order.found, claim)))

    def _prepare(self) -> Effects:
        """The lock, a claim that is good enough, and nothing that was planned for another manifest."""
        machine, order, claim = self.machine, self.visit.order, self.visit.claim
        assert order is not None and claim is not None
        yield from self._effect()
        if not self._writable():
            return False
        waited = 0.0
        while machine.is_locked and "machines have no lock" not in machine.world.levers:
            if waited >= LOCK_WAIT_SECONDS:
                return self._trouble(f"{Failure.BUSY}: another visit holds the lock")
            waited += POLL_SECONDS
            yield POLL_SECONDS
        if self.sent.is_abandoned and waited:
            raise _NobodyLeft
        machine.is_locked = self.holds_lock = True
        if refused := self._obeys(claim):
            word = {"fenced": Failure.FENCED, "foreign": Failure.FOREIGN}.get(refused, Failure.DISK_FULL)
            return self._trouble(f"{word}: the claim is refused")
        if not self._in_time():
            return self._trouble("it lay on its way for too long; the next pass goes on")
        if _content(machine.manifest) != _content(order.found) and (
            "machines do not compare manifests" not in machine.world.levers
        ):
            return self._trouble("it was visited by another or booted anew since it was looked at")
        return True

    holds_lock = False

    def _unlock(self) -> None:
        if self.holds_lock:
            self.machine.is_locked = self.holds_lock = False

    def _trouble(self, text: str) -> bool:
        self.machine.say(f"refuses visit {self.sent.number}: {text}")
        self.outcomes.append(Outcome(Action.NOTE, "", False, text))
        return False

    def _writable(self) -> bool:
        return self.machine.disk is None or self._trouble(str(self.machine.disk))

    def _write_manifest(self, manifest: Manifest) -> Effects:
        yield from self._effect()
        if not self._writable():
            return False
        kept = {entry.name: entry for entry in manifest.entries if entry.name not in self.stuck}
        order = self.visit.order
        assert order is not None
        found = _leased(order.found, order.plan.leases).entries
        kept |= {entry.name: entry for entry in found if entry.name in self.stuck}
        for name in self.shadowed & kept.keys():
            kept[name] = replace(kept[name], target=TargetState.INACTIVE)
        entries = tuple(kept[name] for name in sorted(kept))
        self.machine.manifest = replace(manifest, entries=entries) if entries else Manifest()
        return True

    def _do(self, action: Action, steps: list[Step]) -> Effects:
        names = [s.unit for s in steps if s.unit not in self.shadowed | self.stuck]
        if not names and action is not Action.RELOAD:
            return True
        match action:
            case Action.STOP:
                return (yield from self._halt(names))
            case Action.REMOVE:
                return (yield from self._remove(names))
            case Action.WRITE:
                return (yield from self._install(names))
            case Action.RELOAD:
                yield from self._reload()
            case Action.LINK:
                yield from self._effect()
                self.machine.links |= set(names)
                self.outcomes.append(Outcome(action, "", True))
            case Action.RESTART | Action.START:
                yield from self._start(action, names)
            case _:
                pass
        return True

    def _halt(self, names: list[str]) -> Effects:
        systemd = self.machine.systemd
        for name in names:
            yield from self._effect()
            self.machine.rules.stops(self.machine, name, self.sent)
            systemd.stop(name)
        waited = 0.0
        while any(name in systemd.copies for name in names) and waited < STOP_WAIT_SECONDS:
            waited += POLL_SECONDS
            yield POLL_SECONDS
        late = [name for name in names if name in systemd.copies]
        self.stuck |= set(late)
        self.outcomes.append(Outcome(Action.STOP, "", not late))
        self.outcomes += [Outcome(Action.STOP, name, False, "still deactivating") for name in late]
        return True

    def _keep_apart(self) -> None:
        """Nothing is done with what the file of a unit that did not stop says it conflicts with."""
        order, files = self.visit.order, self.machine.files
        assert order is not None
        foes = [
            (name, old)
            for name in arriving_units(order.plan)
            for old in sorted(self.stuck & files.keys())
            if name not in self.stuck and conflict(files[old].requirements.conflicts, old, (), name)
        ]
        for name, old in foes:
            self.stuck.add(name)
            self.outcomes.append(Outcome(Action.START, name, False, f"it conflicts with {old}"))

    def _remove(self, names: list[str]) -> Effects:
        for name in names:
            yield from self._effect()
            self.machine.rules.touches(self.machine, name, self.sent)
            # Its job records stay in the journal: whoever writes it anew reads how it ended.
            self.machine.files.pop(name, None)
            self.machine.links.discard(name)
        self.outcomes.append(Outcome(Action.REMOVE, "", True))
        return True

    def _install(self, names: list[str]) -> Effects:
        order = self.visit.order
        assert order is not None
        for name in names:
            yield from self._effect()
            if not self._writable():
                return False
            self.machine.rules.touches(self.machine, name, self.sent)
            self.machine.files[name] = order.plan.units[name].unit
        yield from self._effect()
        self.machine.links |= set(names)
        self.outcomes.append(Outcome(Action.LINK, "", True))
        return True

    def _start(self, action: Action, names: Iterable[str]) -> Generator[float, None, None]:
        done = True
        for name in names:
            yield from self._effect()
            if action is Action.RESTART:
                self.machine.rules.stops(self.machine, name, self.sent)
                done &= self.machine.systemd.restart(name, self.sent)
            else:
                done &= self.machine.systemd.start(name, self.sent)
        self.outcomes.append(Outcome(action, "", done))


class _NobodyLeft(Exception):
    """Who waited for the lock has nobody left to work for."""


def _content(manifest: Manifest) -> object:
    """What a manifest's text says: one without entries is no file at all."""
    return manifest if manifest.entries else Manifest()
