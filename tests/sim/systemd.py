"""PID 1 of a simulated machine: what it has read, what runs, and the timers of its leases."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fleetssh.core.model import Unit
from fleetssh.core.sighting import Ending

if TYPE_CHECKING:
    from tests.sim.machine import Machine
    from tests.sim.network import Sent

ACCURACY_SECONDS = 1.0
"""systemd fires a timer up to AccuracySec= late; ours say one second."""

LEASE_STOP_SECONDS = 10.0
"""After a lease has run out, what has not stopped by itself for so long is killed."""

STOP_SECONDS = 0.05
"""A service stops in that time, unless it is stubborn."""


@dataclass(slots=True)
class Copy:
    """One unit as it runs on one machine: the text it was started with, and its lease."""

    unit: Unit
    lease: int
    active: str = "active"


@dataclass(slots=True)
class Lease:
    """One lease: whether its target is active, and at which uptime the timer elapses."""

    is_active: bool = False
    elapses: float = 0.0
    arming: int = 0


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

    def start(self, name: str, sent: Sent) -> bool:
        """A start job. A leased unit is refused while its target is inactive (``Requisite=``)."""
        if name in self.copies:
            return self.copies[name].active == "active"
        if name not in self.read:
            if name not in self.machine.links or name not in self.machine.files:
                return False
            self.read[name] = (self.machine.files[name], self.machine.dropins.get(name, 0))
        unit, lease = self.read[name]
        if lease and not self._lease(lease).is_active:
            self.endings[name] = Ending.START_FAILED
            self.machine.say(f"refuses to start {name}: its lease of {lease} s does not run")
            return False
        self.copies[name] = Copy(unit, lease)
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

    def arm(self, seconds: Iterable[int]) -> None:
        """Starts targets and timers: the leases run, from now."""
        for lease in seconds:
            self._lease(lease).is_active = True
            self._restart_timer(lease)

    def renew(self) -> None:
        """Restarts the timers of the leases that run."""
        for lease in sorted(self.running_leases()):
            self._restart_timer(lease)

    def running_leases(self) -> frozenset[int]:
        """The seconds of the leases whose target is active."""
        return frozenset(seconds for seconds, lease in self.leases.items() if lease.is_active)

    def _lease(self, seconds: int) -> Lease:
        return self.leases.setdefault(seconds, Lease())

    def _restart_timer(self, seconds: int) -> None:
        lease = self._lease(seconds)
        lease.arming += 1
        arming = lease.arming
        lease.elapses = self.machine.uptime() + seconds

        def elapse() -> None:
            if lease.arming == arming and lease.is_active:
                self._run_out(seconds, lease)

        late = self.machine.world.chance.uniform(0.0, ACCURACY_SECONDS)
        self.machine.later(seconds + late, elapse, urgent=True)

    def _run_out(self, seconds: int, lease: Lease) -> None:
        lease.is_active = False
        names = sorted(name for name, copy in self.copies.items() if copy.lease == seconds)
        self.machine.say(f"lease of {seconds} s has run out" + (f": stops {' '.join(names)}" if names else ""))
        for name in names:
            self.stop(name, LEASE_STOP_SECONDS)
