"""Faults: what goes wrong, before, during and after any effect, as the seed says."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fleetssh.core.leases import VALID_SECONDS
from fleetssh.core.sighting import Failure

if TYPE_CHECKING:
    from tests.sim.controller import Process
    from tests.sim.focus import Focus
    from tests.sim.machine import Machine
    from tests.sim.network import Sent
    from tests.sim.world import World

SPANS = (0.3, 2.0, 6.0, 15.0, 45.0, 150.0)
"""How long a fault lasts, in seconds, before chance stretches it: from a hiccup to beyond every patience and
every lease."""

ACTING_TIMES = 4
"""As often as looks are visits struck that change something: there are few of them."""

LONG_SECONDS = 270.0
"""Many faults that strike a change last as long: longer than a controller waits for it, and every lease."""


class Faults:
    """Strikes with the probability that the storm has; ends when the storm does."""

    def __init__(self, world: World, focus: Focus) -> None:
        self.world, self.rate = world, world.chance.choice(focus.rates)
        self.struck_at = 0.0
        self.least = 0.0
        self.raging = False
        usual: tuple[tuple[int, Callable[[Machine], None]], ...] = (
            (4, self._crash),
            (2, self._reboot),
            (4, self._freeze),
            (5, self._cut),
            (3, self._cut_one_way),
            (5, self._unplug),
            (4, self._swallow),
            (4, self._hold_up),
            (2, self._disk),
            (3, self._access),
            (1, self._stop_sshd),
            (1, self._slow),
            (3, self._stubborn),
            (1, self._cut_pair),
            (1, self._cut_all),
            (1, self._leave),
        )
        self._menu = tuple((focus.weights.get(_title(fault), often), fault) for often, fault in usual)
        self._controllers: tuple[tuple[int, Callable[[Process], None]], ...] = (
            (5, self._kill),
            (3, self._pause),
            (1, self._reboot_computer),
            (2, self._set_clock),
        )

    def strike(self, machine: Machine, sent: Sent | None = None) -> None:
        """At an effect of a machine: perhaps something happens to it now."""
        is_acting = sent is not None and sent.visit.order is not None
        rate = self.rate * ACTING_TIMES if is_acting else self.rate
        self.least = LONG_SECONDS if is_acting and self.world.chance.random() < 0.3 else 0.0
        if self.raging and self.world.chance.random() < rate:
            weights, faults = zip(*self._menu, strict=True)
            self._note()
            self.world.chance.choices(faults, weights)[0](machine)

    def strike_controller(self, process: Process) -> None:
        """At an effect of a controller: perhaps something happens to it, or to any machine, now."""
        if not self.raging or self.world.chance.random() >= self.rate:
            return
        if self.world.chance.random() < 0.5:
            weights, faults = zip(*self._controllers, strict=True)
            self._note()
            self.world.chance.choices(faults, weights)[0](process)
        else:
            self.strike_any()

    def strike_any(self) -> None:
        """Something happens to some machine."""
        weights, faults = zip(*self._menu, strict=True)
        self._note()
        self.world.chance.choices(faults, weights)[0](self.world.chance.choice(self.world.all_machines))

    def _note(self) -> None:
        self.struck_at = self.world.kernel.now

    def _for_a_while(self, undo: Callable[[], None], least: float = 0.0) -> float:
        span = max(least, self.least, self.world.chance.choice(SPANS) * self.world.chance.uniform(0.5, 1.5))

        def end() -> None:
            self._note()
            undo()

        self.world.kernel.after(span, end)
        return span

    # ------------------------------------------------------------ machines

    def _crash(self, machine: Machine) -> None:
        if not machine.on:
            return
        machine.power_off()
        span = self._for_a_while(machine.heal_power)
        machine.say(f"CRASH for {span:.1f} s")

    def _reboot(self, machine: Machine) -> None:
        if machine.on:
            machine.power_off()
            machine.say("REBOOT")
            self.world.kernel.after(self.world.chance.uniform(0.5, 2.0), machine.heal_power)

    def _freeze(self, machine: Machine) -> None:
        if machine.on and not machine.frozen:
            machine.freeze()
            machine.say(f"FREEZE for {self._for_a_while(machine.heal_freeze):.1f} s")

    def _cut(self, machine: Machine) -> None:
        self._cut_link(machine, there=True, back=True)

    def _cut_one_way(self, machine: Machine) -> None:
        there = self.world.chance.random() < 0.5
        self._cut_link(machine, there=there, back=not there)

    def _cut_link(self, machine: Machine, *, there: bool, back: bool) -> None:
        for computer in self.world.chance.sample(
            self.world.computers, self.world.chance.randint(1, len(self.world.computers))
        ):
            link = self.world.network.link(computer.name, machine.host)
            if not link.is_whole:
                continue
            link.there, link.back = not there, not back

            def heal(link=link, computer=computer) -> None:
                if not link.is_whole:
                    link.there = link.back = True
                    machine.say(f"cable to {computer.name} healed")

            span = self._for_a_while(heal)
            way = "" if there and back else " (there)" if there else " (back)"
            machine.say(f"CUT{way} from {computer.name} for {span:.1f} s")

    def _unplug(self, machine: Machine, least: float = 0.0) -> None:
        """Its own cable: nobody reaches it, and it reaches nobody."""
        network = self.world.network
        if machine.host in network.unplugged or not self.raging:
            return
        network.unplugged.add(machine.host)
        network.pairs_well_since = float("inf")

        def heal() -> None:
            network.unplugged.discard(machine.host)
            self._note_pairs()
            machine.say("plugged in again")

        machine.say(f"UNPLUGGED for {self._for_a_while(heal, least):.1f} s")

    def _note_pairs(self) -> None:
        network = self.world.network
        if not network.cut_pairs and not network.unplugged:
            network.pairs_well_since = self.world.kernel.now

    def _cut_all(self, machine: Machine) -> None:
        computer = self.world.chance.choice(self.world.computers)
        links = [self.world.network.link(computer.name, m.host) for m in self.world.all_machines]
        for link in links:
            link.there = link.back = False

        def heal() -> None:
            for link in links:
                link.there = link.back = True
            self.world.transcript.say(computer.name, "network healed")

        self.world.transcript.say(computer.name, f"NETWORK GONE for {self._for_a_while(heal):.1f} s")

    def _cut_pair(self, machine: Machine) -> None:
        others = self.world.others(machine)
        if not others:
            return
        other = self.world.chance.choice(others)
        pair = (min(machine.host, other.host), max(machine.host, other.host))
        network = self.world.network
        network.cut_pairs.add(pair)
        network.pairs_well_since = float("inf")

        def heal() -> None:
            network.cut_pairs.discard(pair)
            self._note_pairs()

        machine.say(f"CUT from {other.host} for {self._for_a_while(heal):.1f} s")

    def _swallow(self, machine: Machine) -> None:
        for computer in self.world.computers:
            self.world.network.link(computer.name, machine.host).swallows = 1
        machine.say("LOSES its next reply")

    def _hold_up(self, machine: Machine) -> None:
        """A visit lies somewhere for long; often the cable is cut meanwhile."""
        computer = self.world.chance.choice(self.world.computers)
        link = self.world.network.link(computer.name, machine.host)
        link.holds_orders = self.world.chance.random() < 0.3
        span = self.world.chance.uniform(2.0, VALID_SECONDS if link.holds_orders else 60.0)
        link.held_up = span
        machine.say(f"HOLDS UP the next visit from {computer.name} for {span:.1f} s")
        if self.world.chance.random() < 0.5:
            self.world.kernel.after(self.world.chance.uniform(1.0, 6.0), lambda: self._unplug(machine, 80.0))

    def _disk(self, machine: Machine) -> None:
        machine.disk = self.world.chance.choice((Failure.DISK_FULL, Failure.READ_ONLY))
        machine.say(f"{machine.disk.upper()} for {self._for_a_while(machine.heal_disk):.1f} s")

    def _access(self, machine: Machine) -> None:
        machine.access = self.world.chance.choice((Failure.LOGIN, Failure.HOST_KEY, Failure.SUDO))
        machine.say(f"{machine.access.upper()} for {self._for_a_while(machine.heal_access):.1f} s")

    def _stop_sshd(self, machine: Machine) -> None:
        machine.stop_sshd()
        machine.say(f"SSHD STOPPED for {self._for_a_while(machine.heal_sshd):.1f} s")

    def _slow(self, machine: Machine) -> None:
        machine.slowness = self.world.chance.choice((20.0, 200.0))
        machine.say(f"SLOW for {self._for_a_while(machine.heal_slow):.1f} s")

    def _stubborn(self, machine: Machine) -> None:
        for name in sorted(machine.systemd.copies):
            if self.world.chance.random() < 0.5:
                machine.stubborn[name] = self.world.chance.choice((5.0, 40.0, 60.0))
                machine.say(f"{name} will take {machine.stubborn[name]:.0f} s TO STOP")

    def _leave(self, machine: Machine) -> None:
        if machine.host in self.world.members and len(self.world.members) > 1:
            self.world.members.discard(machine.host)
            span = self._for_a_while(lambda: self.world.members.add(machine.host))
            machine.say(f"LEAVES THE INVENTORY for {span:.1f} s")

    # ------------------------------------------------------------ controllers

    def _kill(self, process: Process) -> None:
        process.say("KILLED")
        self.world.kernel.kill(process.actor)

    def _pause(self, process: Process) -> None:
        span = self.world.chance.choice(SPANS) * self.world.chance.uniform(0.5, 1.5)
        process.actor.paused_until = self.world.kernel.now + span
        process.say(f"PAUSED for {span:.1f} s")

    def _reboot_computer(self, process: Process) -> None:
        computer = process.computer
        self.world.transcript.say(computer.name, "REBOOT")
        computer.boots += 1
        computer.booted_at = self.world.kernel.now
        for other in self.world.processes:
            if other.computer is computer and not other.actor.done:
                self.world.kernel.kill(other.actor)

    def _set_clock(self, process: Process) -> None:
        process.computer.wall_error = self.world.chance.choice((-86400.0, -3600.0, 0.0, 3600.0, 86400.0))
        self.world.transcript.say(
            process.computer.name, f"CLOCK is wrong by {process.computer.wall_error:.0f} s"
        )


def _title(fault: Callable[[Machine], None]) -> str:
    return fault.__name__.strip("_").replace("_", " ")
