"""The loop: pass after pass at a fixed rate, over connections that stay open, until it is told to end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Protocol

from fleetssh.control.cluster import Cluster
from fleetssh.control.reconcile import run_pass
from fleetssh.control.result import Pass
from fleetssh.core.errors import FleetError, StoreError, StoreHeld
from fleetssh.inventory import Inventory
from fleetssh.store import Store

INTERVAL_SECONDS = 2.0
"""From the beginning of one pass to that of the next: a look costs a machine 15 ms."""

CONNECT_SECONDS = 1.5
"""A new connection takes 0.1 s in the same building; a dead machine holds up every pass this long."""

SILENCE_SECONDS = 1.2
"""A kernel that acknowledges nothing for so long, over several tries, has gone; then the machine is looked at
at once over a new connection."""

LOOK_SECONDS = 5.0
"""A machine that hangs must not keep the loop from the others for long; it is looked at again anyway."""

ACT_SECONDS = 60.0
"""A machine that freezes in the middle of a visit must not keep the loop from the others for long; a visit
goes on by itself, and the next pass looks what became of it."""

POLL_SECONDS = 0.1
"""How late a signal or a fallen connection may be noticed between passes."""

GLANCE_SECONDS = 1.0
"""How often the inventory's files are glanced at. A change counts when it has lasted from one glance to the
next: nobody is to be taken at half a word."""

GAP_SECONDS = 0.2
"""The store is free for at least this long between two passes, however late they are: several tries of a
command that waits for it."""

HOLD_SECONDS = 1.0
"""How long one turn waits for a command that holds the store: a signal is not to wait for longer."""

RETRY_SECONDS = 1.0
"""At least this long after a pass that failed."""

MAX_DEFECTS = 5
"""Internal errors in a row after which the loop ends: a new process may do better, and somebody looks."""


@dataclass(slots=True)
class Orders:
    """What the loop was told from outside, by a signal: to end after the pass under way, to read the
    inventory again now."""

    end: bool = False
    reread: bool = False


class Listener(Protocol):
    """Who hears what the loop sees and does."""

    def passed(self, done: Pass) -> None:
        """A pass is over."""

    def failed(self, error: FleetError) -> None:
        """There was no pass; the next one tries again."""

    def broke(self, error: Exception) -> None:
        """A pass ended in a defect of ours; it is tried again, up to ``MAX_DEFECTS`` times in a row."""

    def rereading(self) -> None:
        """The inventory is about to be read again; ``reread`` or ``misread`` follows."""

    def reread(self, before: Inventory, now: Inventory) -> None:
        """Another inventory is in force."""

    def misread(self, error: FleetError) -> None:
        """The inventory cannot be read, and the one before stays in force."""

    def alive(self) -> None:
        """The loop goes round, or waits: told every ``GLANCE_SECONDS``, and after each pass."""


@dataclass(slots=True)
class Source:
    """Where the inventory comes from: ``read`` gives it or raises InventoryError, ``trace`` a value that is
    another one when a new reading may give something else."""

    read: Callable[[], Inventory]
    trace: Callable[[], object]
    _known: object = field(init=False)
    _glanced: object = field(init=False)

    def __post_init__(self) -> None:
        self._known = self._glanced = self.trace()

    def has_changed(self) -> bool:
        """Whether it has been another one since the last glance."""
        before, self._glanced = self._glanced, self.trace()
        return self._glanced == before != self._known

    def reread(self) -> Inventory:
        """The inventory as it is now. Raises InventoryError."""
        self._known = self._glanced = self.trace()
        return self.read()


class Loop:
    """Passes over one cluster, never two at a time. The store is held for each pass only, so that commands
    get their turn between passes. ``doing`` tells them what holds it. A state that cannot be used is opened
    anew with ``reopen``, which raises FleetError where there is none: its file may have been replaced."""

    def __init__(
        self,
        cluster: Cluster,
        source: Source,
        orders: Orders,
        listener: Listener,
        doing: str,
        interval_seconds: float = INTERVAL_SECONDS,
        reopen: Callable[[], Store] | None = None,
    ) -> None:
        self._cluster = cluster
        self._source = source
        self._orders = orders
        self._listener = listener
        self._doing = doing
        self._interval = interval_seconds
        self._reopen = reopen
        self._hosts: frozenset[str] = frozenset()  # visited by the last pass
        self._woke: frozenset[str] = frozenset()  # whose fallen connections began it
        self._defects = 0
        self._glance_at = 0.0

    def run(self) -> None:
        """Goes on until ``Orders.end``. Raises whatever the last of ``MAX_DEFECTS`` defects in a row was."""
        clock = self._cluster.clock
        while not self._orders.end:
            began = clock.monotonic()
            self._reread_if_told()
            went_well = self._turn()
            self._listener.alive()
            pause = GAP_SECONDS if went_well else max(GAP_SECONDS, RETRY_SECONDS)
            self._wait(clock.monotonic() + pause, began + self._interval)

    def _turn(self) -> bool:
        """One pass; False when there was none."""
        cluster = self._cluster
        try:
            with cluster.store.hold(cluster.controller, self._doing, HOLD_SECONDS) as fence:
                done = run_pass(cluster, fence)
            self._hosts = frozenset(done.sightings)
            cluster.carrier.keep_only(self._hosts)
            self._listener.passed(done)
        except FleetError as error:
            self._listener.failed(error)
            if isinstance(error, StoreError) and not isinstance(error, StoreHeld):
                self._reopen_store()
            return False
        except Exception as error:
            self._defects += 1
            if self._defects == MAX_DEFECTS:
                raise
            self._listener.broke(error)
            return False
        self._defects = 0
        return True

    def _reopen_store(self) -> None:
        if self._reopen is not None:
            with suppress(FleetError):  # the next pass tells what is wrong
                self._cluster = replace(self._cluster, store=self._reopen())

    def _wait(self, earliest: float, due: float) -> None:
        """Until it is time for the next pass: not before ``earliest``, and then when it is ``due``, when a
        connection has fallen or when the inventory is to be read."""
        clock = self._cluster.clock
        before = self._woke
        while not self._orders.end:
            now = clock.monotonic()
            self._glance(now)
            if now >= earliest:
                # Whose connections keep falling does not keep us from our rhythm.
                self._woke = (self._cluster.carrier.fallen() & self._hosts) - before
                if now >= due or self._orders.reread or self._woke:
                    return
            ends = earliest if now < earliest else due
            clock.sleep(min(POLL_SECONDS, ends - now))

    def _glance(self, now: float) -> None:
        if now >= self._glance_at:
            self._glance_at = now + GLANCE_SECONDS
            self._listener.alive()
            self._orders.reread |= self._source.has_changed()

    def _reread_if_told(self) -> None:
        if not self._orders.reread:
            return
        self._orders.reread = False
        self._listener.rereading()
        before = self._cluster.inventory
        try:
            inventory = self._source.reread()
        except FleetError as error:
            self._listener.misread(error)
            return
        self._cluster = replace(self._cluster, inventory=inventory)
        self._listener.reread(before, inventory)
