"""The network between controllers and machines, and the carrier that knows only this one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fleetssh.core.sighting import Failure, Opinion, Sighting, Unreached
from fleetssh.core.visit import Visit
from fleetssh.hosts import Target
from tests.sim.program import Program

if TYPE_CHECKING:
    from tests.sim.controller import Process
    from tests.sim.machine import Machine
    from tests.sim.world import World

RETRANSMIT_SECONDS = 300.0
"""How long TCP goes on trying to deliver what a dead connection left behind."""

KEEPALIVE_SECONDS = 4.0
"""A kept connection that has been silent for so long is known to have fallen."""


@dataclass(slots=True)
class Link:
    """One controller's cable to one machine, by direction; ``swallows`` counts replies that get lost, and the
    next visit is ``held_up`` somewhere on its way for so many seconds: then it arrives, cut or not."""

    there: bool = True
    back: bool = True
    swallows: int = 0
    held_up: float = 0.0
    holds_orders: bool = False

    @property
    def is_whole(self) -> bool:
        return self.there and self.back


@dataclass(slots=True)
class Sent:
    """One visit on its way: who sent it, when, and which machines were given up by then. ``stopped`` are the
    units that ran and that it has told to stop."""

    number: int
    process: Process
    visit: Visit
    at: float
    lost: frozenset[str]
    revision: int
    is_abandoned: bool = False
    answer: Sighting | None = None
    hears: bool = True
    stopped: set[str] = field(default_factory=set)

    @property
    def steps(self) -> str:
        """What it is to do, in a few words."""
        order = self.visit.order
        return ", ".join(f"{s.action} {s.unit}".strip() for s in order.plan.steps) if order else "look"


@dataclass(slots=True)
class Network:
    """All links. Two machines reach each other unless they are among the ``cut_pairs``, or one of them is
    ``unplugged``."""

    world: World
    links: dict[tuple[str, str], Link] = field(default_factory=dict)
    cut_pairs: set[tuple[str, str]] = field(default_factory=set)
    unplugged: set[str] = field(default_factory=set)
    count: int = 0
    pairs_well_since: float = 0.0
    under_way: int = 0

    def link(self, computer: str, host: str) -> Link:
        """The cable between a controller's computer and a machine."""
        return self.links.setdefault((computer, host), Link())

    def machine_at(self, address: str) -> Machine:
        """The machine with that address."""
        return next(m for m in self.world.machines.values() if m.address == address)

    def probe(self, machine: Machine, address: str) -> Opinion:
        """What one machine meets at another's SSH port."""
        other = self.machine_at(address)
        pair = (min(machine.host, other.host), max(machine.host, other.host))
        if (
            pair in self.cut_pairs
            or self.unplugged & {machine.host, other.host}
            or not other.on
            or not other.sshd
        ):
            return Opinion.NOTHING
        return Opinion.CONNECTED if other.frozen else Opinion.HELLO

    def deliver(self, sent: Sent, machine: Machine) -> None:
        """The machine begins a visit; its effects follow one by one."""
        run = Program(machine, sent).run()
        self.under_way += 1

        def step() -> None:
            try:
                machine.later(next(run), step, dies)
            except StopIteration as end:
                dies()
                if end.value is not None:
                    self._answer(sent, machine, end.value)

        def dies() -> None:
            self.under_way -= 1

        step()

    def _answer(self, sent: Sent, machine: Machine, sighting: Sighting) -> None:
        link = self.link(sent.process.computer.name, machine.host)
        if link.swallows:
            link.swallows -= 1
            machine.say(f"reply to visit {sent.number} is lost")
            return
        if not link.back or machine.host in self.unplugged or not sent.hears:
            return
        sent.answer = sighting
        self.world.kernel.wake(sent.process.actor, self.world.chance.uniform(0.001, 0.05))

    def heal(self, now: float) -> None:
        """The storm is over."""
        for link in self.links.values():
            link.there, link.back, link.swallows, link.held_up = True, True, 0, 0.0
        self.cut_pairs.clear()
        self.unplugged.clear()
        self.pairs_well_since = now

    def later_delivery(self, sent: Sent, machine: Machine) -> None:
        """TCP keeps trying: what could not be delivered comes when the way is free again, or never."""
        link = self.link(sent.process.computer.name, machine.host)
        boot, began = machine.boots, self.world.kernel.now

        def again() -> None:
            if machine.boots != boot or self.world.kernel.now - began > RETRANSMIT_SECONDS:
                return
            if link.there and machine.host not in self.unplugged and machine.on:
                machine.say(f"visit {sent.number} arrives after {self.world.kernel.now - sent.at:.0f} s")
                machine.later(0.01, lambda: self.deliver(sent, machine))
            else:
                self.world.kernel.after(self.world.chance.uniform(0.5, 8.0), again)

        self.world.kernel.after(1.0, again)


class SimCarrier:
    """Implements ``Carrier`` for one process; ``keeps`` connections open between passes or not."""

    def __init__(self, process: Process, connect_seconds: float, *, keeps: bool) -> None:
        self._process, self._keeps, self._connect_seconds = process, keeps, connect_seconds
        self._kept: dict[str, tuple[int, float]] = {}

    def visit(self, target: Target, visit: Visit, deadline_seconds: float) -> Sighting:
        """See Carrier.visit."""
        process, network = self._process, self._process.world.network
        process.point(f"visits {target.name}")
        machine = network.machine_at(target.address)
        looks, silent = self._use_kept(machine, target.name)
        failure = self._connect(machine)
        if failure is not None:
            process.say(f"{target.name}: {failure}")
            result = Unreached(target.name, failure, "", process.clock.now(), looks, silent)
            process.world.rules.answered(process, target.name, visit, result)
            return result
        if self._keeps:
            self._kept[target.name] = (machine.boots, process.world.kernel.now)
        network.count += 1
        sent = Sent(
            network.count,
            process,
            visit,
            process.world.kernel.now,
            process.ledger.given_up(),
            process.revision,
        )
        process.world.rules.sends(process, machine, sent)
        sighting = self._await(sent, machine, target.name, deadline_seconds)
        process.world.rules.answered(process, target.name, visit, sighting)
        return sighting

    def fallen(self) -> frozenset[str]:
        """See Carrier.fallen."""
        world, fallen = self._process.world, set()
        for name, (boot, heard) in self._kept.items():
            machine = world.machines[name]
            if not self._is_alive(machine, boot) and world.kernel.now - heard >= KEEPALIVE_SECONDS:
                fallen.add(name)
        return frozenset(fallen)

    def keep_only(self, names: frozenset[str]) -> None:
        """See Carrier.keep_only."""
        self._kept = {name: kept for name, kept in self._kept.items() if name in names}

    def stream(
        self,
        target: Target,
        command: str,
        out: Callable[[bytes], None],
        err: Callable[[bytes], None],
        source: int | None = None,
        silence_seconds: float | None = None,
    ) -> int:
        """Nobody streams here."""
        raise NotImplementedError

    def close(self) -> None:
        """See Carrier.close."""
        self._kept.clear()

    # ------------------------------------------------------------ one visit

    def _is_whole(self, machine: Machine) -> bool:
        network = self._process.world.network
        link = network.link(self._process.computer.name, machine.host)
        return link.is_whole and machine.host not in network.unplugged

    def _is_alive(self, machine: Machine, boot: int) -> bool:
        return self._is_whole(machine) and machine.on and machine.boots == boot and not machine.frozen

    def _use_kept(self, machine: Machine, name: str) -> tuple[int, float]:
        """How many looks the state of the kept connection is worth, and for how long it has been silent."""
        kept = self._kept.pop(name, None)
        if kept is None or self._is_alive(machine, kept[0]):
            return 1, 0.0
        now = self._process.world.kernel.now
        is_known = now - kept[1] >= KEEPALIVE_SECONDS
        if not is_known and machine.boots == kept[0]:
            self._process.sleep(self._connect_seconds)
        return 2, self._process.world.kernel.now - kept[1]

    def _connect(self, machine: Machine) -> Failure | None:
        process = self._process
        failure, seconds = self._meets(machine)
        process.sleep(seconds)
        if failure is None and self._meets(machine)[0] is not None:
            return Failure.TIMEOUT
        return failure

    def _meets(self, machine: Machine) -> tuple[Failure | None, float]:
        if not self._is_whole(machine):
            return Failure.TIMEOUT, self._connect_seconds
        if not machine.on:
            return (Failure.NO_ROUTE, 1.0) if machine.boots % 2 else (Failure.TIMEOUT, self._connect_seconds)
        if machine.frozen:
            return Failure.STALLED, self._connect_seconds
        if not machine.sshd:
            return Failure.REFUSED, 0.01
        return machine.access, self._process.world.chance.uniform(0.005, 0.08)

    def _await(self, sent: Sent, machine: Machine, name: str, deadline_seconds: float) -> Sighting:
        process, kernel = self._process, self._process.world.kernel
        network = process.world.network
        link = network.link(process.computer.name, machine.host)

        held_up = 0.0
        if link.held_up and (sent.visit.order is not None or not link.holds_orders):
            held_up, link.held_up = link.held_up, 0.0
        if held_up and link.holds_orders:
            # Whoever sent it is not there any more when it arrives.
            kernel.after(0.2, lambda: kernel.kill(process.actor))

        def arrive() -> None:
            if held_up:
                machine.say(f"visit {sent.number} arrives, {held_up:.0f} s late")
            is_cut = not link.there or machine.host in network.unplugged
            if (held_up or not is_cut) and machine.on:
                machine.later(0.0, lambda: network.deliver(sent, machine))
            else:
                network.later_delivery(sent, machine)

        kernel.after(held_up + process.world.chance.uniform(0.001, 0.05), arrive)
        try:
            process.sleep(deadline_seconds)
        finally:
            sent.is_abandoned = True
            sent.hears = False
        if sent.answer is not None:
            if self._keeps:
                self._kept[name] = (machine.boots, kernel.now)
            return sent.answer
        self._kept.pop(name, None)
        process.say(f"{name}: no complete answer to visit {sent.number}")
        return Unreached(name, Failure.HALF, "no complete answer", process.clock.now(), sent=True)
