"""PID 1 of a simulated machine: what it has read, what runs, and the timers of its leases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fleetssh.core.leases import ACCURACY_SECONDS, LEASE_STOP_SECONDS
from fleetssh.core.model import Unit
from fleetssh.core.sighting import Ending
from fleetssh.wire.leases import LATE_SECONDS
from fleetssh.wire.script import STOP_WAIT_SECONDS

if TYPE_CHECKING:
    from tests.sim.ledger import Ledger
    from tests.sim.machine import Machine
    from tests.sim.network import Sent

STOP_SECONDS = 0.05
"""A service stops in that time, unless it is stubborn."""


@dataclass(slots=True)
class Copy:
    """One unit as it runs on one machine: the text it was started with, its lease, whose visit did it, and
    when."""

    unit: Unit
    lease: int
    ledger: Ledger
    since: float
    active: str = "active"


@dataclass(slots=True)
class Lease:
    """One lease: whether its target is active, and the deadline, as an uptime."""

    is_active: bool = False
    is_watched: bool = False
    due: float = 0.0


class Systemd:
    """Starts and stops units. Everything is told to the rules of the world as it happens."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.copies: dict[str, Copy] = {}
        self.read: dict[str, tuple[Unit, int]] = {}
        self.endings: dict[str, Ending] = {}
        self.leases: dict[int, Lease] = {}

    def reload(self) -> None:
        """daemon-reload: what lies on disk is what counts from now on."""
        machine = self.machine
        self.read = {
            name: (machine.files[name], machine.dropins.get(name, 0))
            for name in sorted(machine.links & machine.files.keys())
        }
        for name, copy in self.copies.items():
            copy.lease = machine.dropins.get(name, 0)

    def start(self, name: str, sent: Sent) -> bool:
        """A start job. A leased unit is refused while its target is inactive (``Requisite=``)."""
        if name in self.copies:
            return self.copies[name].active == "active"
        if name not in self.read:
            if name not in self.machine.links or name not in self.machine.files:
                return False
            self.read[name] = (self.machine.files[name], self.machine.dropins.get(name, 0))
        unit, lease = self.read[name]
        if (
            lease
            and lease not in self.running_leases()
            and "leases keep nothing from starting" not in self.machine.world.levers
        ):
            self.endings[name] = Ending.START_FAILED
            self.machine.say(f"refuses to start {name}: its lease of {lease} s does not run")
            return False
        self.copies[name] = Copy(unit, lease, sent.process.ledger, self.machine.world.kernel.now)
        self.endings.pop(name, None)
        self.machine.say(f"starts {name}" + (f", lease {lease} s" if lease else ""))
        self.machine.rules.started(self.machine, name, sent)
        return True

    def stop(self, name: str, limit: float | None = None) -> None:
        """A stop job; the unit is gone some time later."""
        copy = self.copies.get(name)
        if copy is None:
            return
        copy.active = "deactivating"
        self.endings[name] = Ending.BY_REQUEST
        seconds = self.machine.stubborn.pop(name, STOP_SECONDS)
        if self.machine.world.chance.random() < self.machine.world.stubborn:
            seconds = STOP_WAIT_SECONDS + 10.0

        def gone() -> None:
            if self.copies.get(name) is copy:
                del self.copies[name]
                self.machine.say(f"has stopped {name}")

        self.machine.later(seconds if limit is None else min(seconds, limit), gone)

    def restart(self, name: str, sent: Sent) -> bool:
        """A restart job, taken as one effect."""
        self.copies.pop(name, None)
        return self.start(name, sent)

    def active(self, name: str) -> str:
        """ActiveState."""
        return self.copies[name].active if name in self.copies else "inactive"

    # ------------------------------------------------------------ leases

    def begin(self, seconds: int, now: float) -> None:
        """Sets a lease's deadline, counted from an uptime that was read before, and starts its target."""
        lease = self.leases.setdefault(seconds, Lease())
        lease.due = now + seconds
        lease.is_active = True
        self._watch(seconds, lease)

    def renew(self, now: float) -> None:
        """Sets the deadlines of the leases that have not run out."""
        for seconds, lease in sorted(self.leases.items()):
            if lease.is_active and now < lease.due:
                lease.due = now + seconds

    def end(self, seconds: int) -> None:
        """Stops a lease by which nothing lives any more."""
        lease = self.leases.pop(seconds, None)
        if lease is not None:
            lease.is_active = False
            self._stop_with(seconds, LEASE_STOP_SECONDS)

    def running_leases(self) -> frozenset[int]:
        """The seconds of the leases whose target is active."""
        return frozenset(seconds for seconds, lease in self.leases.items() if lease.is_active)

    def _watch(self, seconds: int, lease: Lease) -> None:
        """Looks at the deadline when it should have passed, and again if it was put off meanwhile."""
        if lease.is_watched or "leases never run out" in self.machine.world.levers:
            return
        lease.is_watched = True

        def look() -> None:
            lease.is_watched = False
            if not lease.is_active:
                return
            if self.machine.uptime() < lease.due:
                self._watch(seconds, lease)
                return
            lease.is_active = False
            self.machine.say(f"lease of {seconds} s has run out")
            late = self.machine.uptime() > lease.due + LATE_SECONDS
            self._stop_with(seconds, 0.0 if late else LEASE_STOP_SECONDS)

        late = self.machine.world.chance.uniform(0.0, ACCURACY_SECONDS)
        self.machine.later(max(0.0, lease.due - self.machine.uptime()) + late, look, urgent=True)

    def _stop_with(self, seconds: int, limit: float) -> None:
        for name in sorted(name for name, copy in self.copies.items() if copy.lease == seconds):
            self.machine.say(f"stops {name} with its lease")
            self.stop(name, limit)
