"""A simulated machine: its power, its clock, its disk, what a fleet keeps under /run, and its PID 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fleetssh.core.leases import ACCURACY_SECONDS
from fleetssh.core.model import Claim, Unit
from fleetssh.core.sighting import Failure, Manifest
from tests.sim.systemd import Systemd

if TYPE_CHECKING:
    from tests.sim.ledger import Ledger
    from tests.sim.rules import Rules
    from tests.sim.world import World

URGENT_SECONDS, THAW_SECONDS = 0.02, 0.1
"""After a thaw PID 1 handles what has elapsed meanwhile before any process gets through to it."""

NEVER = float("inf")

FOREIGN = ("dbus.service", "ssh.service")


class Machine:
    """One machine. What lies under /run and what runs ends with each boot."""

    def __init__(self, world: World, host: str, machine_id: str, zone: str, rate: float) -> None:
        self.world, self.host, self.id, self.zone, self.rate = world, host, machine_id, zone, rate
        self.address = f"10.0.0.{int(host[1:]) + 1}"
        self.boots = 0
        self.on = self.frozen = False
        self.sshd = True
        self.access: Failure | None = None
        self.disk: Failure | None = None
        self.slowness = 1.0
        self.own: set[str] = set(FOREIGN)
        self.well_since = 0.0
        self.thawed_at = -NEVER
        self.renewed_by: Ledger | None = None
        self.power_on()

    # ------------------------------------------------------------ life

    def power_on(self) -> None:
        """Boots: /run is empty, and what the machine has of its own runs."""
        self.boots += 1
        self.on, self.frozen, self.slowness = True, False, 1.0
        self.booted_at = self.world.kernel.now
        self.parked: list[tuple[bool, Callable[[], None]]] = []
        self.files: dict[str, Unit] = {}
        self.dropins: dict[str, int] = {}
        self.links: set[str] = set()
        self.manifest = Manifest()
        self.holder: Claim | None = None
        self.is_locked = False
        self.stubborn: dict[str, float] = {}
        self.strangers = {"left-by-somebody.service"} if self.boots % 2 else set()
        self.systemd = Systemd(self)

    def power_off(self) -> None:
        """Crashes."""
        self.on = False
        self.well_since = NEVER
        self.systemd = Systemd(self)

    def freeze(self) -> None:
        """Nothing runs, PID 1 and sshd included; the kernel and its clocks do."""
        self.frozen = True
        self.well_since = NEVER

    def thaw(self) -> None:
        """Everything goes on where it was."""
        self.frozen, self.thawed_at = False, self.world.kernel.now
        parked, self.parked = self.parked, []
        for urgent, event in sorted(parked, key=lambda item: not item[0]):
            self.later(URGENT_SECONDS if urgent else THAW_SECONDS, event, urgent=urgent)
        self.later(THAW_SECONDS, lambda: self.rules.thawed(self))

    def stop_sshd(self) -> None:
        """Nobody gets in any more; everything runs on."""
        self.sshd = False
        self.well_since = NEVER

    # ------------------------------------------------------------ getting well

    def heal_power(self) -> None:
        """Boots if it is off."""
        if not self.on:
            self.power_on()
            self.say(f"boots ({self.boots})")
            self._note_well()

    def heal_freeze(self) -> None:
        """Thaws if it is frozen."""
        if self.frozen and self.on:
            self.say("thaws")
            self.thaw()
            self._note_well()

    def heal_disk(self) -> None:
        """Has room again."""
        if self.disk is not None:
            self.disk = None
            self.say("disk is well")

    def heal_access(self) -> None:
        """Lets us in again."""
        if self.access is not None:
            self.access = None
            self.say("lets us in again")

    def heal_sshd(self) -> None:
        """sshd runs again."""
        if not self.sshd:
            self.sshd = True
            self.say("sshd runs again")
            self._note_well()

    def heal_slow(self) -> None:
        """Is as quick as ever."""
        self.slowness = 1.0

    def heal(self) -> None:
        """The storm is over."""
        self.stubborn.clear()
        for heal in (
            self.heal_power,
            self.heal_freeze,
            self.heal_disk,
            self.heal_access,
            self.heal_sshd,
            self.heal_slow,
        ):
            heal()

    def _note_well(self) -> None:
        self.well_since = self.world.kernel.now if self.answers() else NEVER

    # ------------------------------------------------------------ time

    @property
    def boot(self) -> str:
        """The boot id."""
        return f"{self.host}-boot-{self.boots}"

    @property
    def rules(self) -> Rules:
        """Who watches over everything that happens here."""
        return self.world.rules

    def uptime(self) -> float:
        """Seconds since the boot, by this machine's own clock."""
        return (self.world.kernel.now - self.booted_at) * self.rate

    def later(
        self,
        seconds: float,
        event: Callable[[], None],
        never: Callable[[], None] | None = None,
        *,
        urgent: bool = False,
    ) -> None:
        """Has something happen here in ``seconds`` of this machine's clock: ``never`` in another boot, and
        while the machine is frozen only after it has thawed."""
        boot = self.boots

        def happen() -> None:
            if not self.on or self.boots != boot:
                if never is not None:
                    never()
            elif self.frozen:
                self.parked.append((urgent, happen))
            else:
                event()

        self.world.kernel.after(seconds / self.rate, happen)

    # ------------------------------------------------------------ what it says

    def say(self, what: str) -> None:
        """Adds a line to the transcript."""
        self.world.transcript.say(self.host, what)

    def runs(self, name: str) -> bool:
        """Whether a unit really runs now: nothing runs on a machine that is off, nor on a frozen one."""
        return self.on and not self.frozen and name in self.systemd.copies

    def may_run(self, name: str) -> bool:
        """Whether a unit runs, or would if the machine thawed this instant and PID 1 has had its turn."""
        copy = self.systemd.copies.get(name) if self.on else None
        if copy is None:
            return False
        lease = self.systemd.leases.get(copy.lease)
        still = self.frozen or self.world.kernel.now < self.thawed_at + THAW_SECONDS
        return not (still and lease and self.uptime() > lease.due + ACCURACY_SECONDS)

    def answers(self) -> bool:
        """Whether sshd would answer somebody who gets there."""
        return self.on and not self.frozen and self.sshd
