"""Controllers: a computer with clocks of its own, and on it processes that can be killed at any instant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from fleetssh.clock import Uptime
from fleetssh.control.cluster import Cluster
from fleetssh.control.loop import CONNECT_SECONDS, LOOK_SECONDS, Loop, Orders, Source
from fleetssh.control.reconcile import run_pass
from fleetssh.control.result import Pass
from fleetssh.core.errors import FleetError, StoreHeld
from fleetssh.core.health import LOOP_PATIENCE, Patience
from fleetssh.core.model import MachineRecord, State
from fleetssh.hosts.crew import LOOK_SECONDS as ONCE_LOOK_SECONDS
from fleetssh.hosts.crew import Crew
from fleetssh.hosts.over_fabric import CONNECT_SECONDS as ONCE_CONNECT_SECONDS
from fleetssh.inventory import Inventory
from fleetssh.store import Event, Store
from tests.sim.kernel import Actor, Killed
from tests.sim.network import SimCarrier

if TYPE_CHECKING:
    from tests.sim.ledger import Ledger
    from tests.sim.world import World

EPOCH = 1_700_000_000.0
"""The wall clock at virtual time 0."""

POINT_SECONDS = 0.02
"""At most this long a process takes from one of its effects to the next."""


@dataclass(slots=True)
class Computer:
    """Where controllers run: ``boot`` changes with each reboot, ``wall_error`` with a wrong clock."""

    name: str
    boots: int = 1
    booted_at: float = 0.0
    rate: float = 1.0
    wall_error: float = 0.0


class SimClock:
    """Implements ``Clock`` for one process."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def now(self) -> float:
        """See Clock.now."""
        return EPOCH + self._process.world.kernel.now + self._process.computer.wall_error

    def monotonic(self) -> float:
        """See Clock.monotonic."""
        return self.uptime().seconds

    def uptime(self) -> Uptime:
        """See Clock.uptime."""
        computer = self._process.computer
        seconds = (self._process.world.kernel.now - computer.booted_at) * computer.rate
        return Uptime(f"{computer.name}-{computer.boots}", seconds)

    def sleep(self, seconds: float) -> None:
        """See Clock.sleep."""
        # Time always goes on, by however little somebody means to wait.
        self._process.sleep(max(seconds, 1e-6) / self._process.computer.rate)


class SimStore:
    """One process's opened store: the real one, and between its effects anything may happen."""

    def __init__(self, process: Process, real: Store) -> None:
        self._process, self._real = process, real
        self._late: State | None = None

    def load(self) -> State:
        """See Store.load."""
        self._process.point()
        state = self._real.load()
        self._process.revision = state.revision
        if self._process.is_holding:
            self._process.ledger.begins_pass(self._process.pass_began)
        return state

    def commit(self, state: State, events: Iterable[Event] = ()) -> State:
        """See Store.commit."""
        process = self._process
        process.point("commits")
        before = self._real.load()
        if process.is_holding and "schedules are written after acting" in process.world.levers:
            self._late = replace(state, revision=state.revision)
            return replace(state, revision=state.revision + 1)
        after = self._real.commit(state, events)
        process.world.rules.commits(process, before, after)
        process.point()
        return after

    def machines(self) -> Mapping[str, MachineRecord]:
        """See Store.machines."""
        self._process.point()
        return self._real.machines()

    def remember(
        self,
        machines: Iterable[MachineRecord],
        forgotten: Iterable[str] = (),
        events: Iterable[Event] = (),
    ) -> None:
        """See Store.remember."""
        process = self._process
        process.point("remembers")
        machines = list(machines)
        self._real.remember(machines, forgotten, events)
        process.ledger.remembers(machines)
        if self._late is not None and forgotten != ():
            late, self._late = self._late, None
            self._real.commit(late)
        process.point()

    def record(self, events: Iterable[Event]) -> None:
        """See Store.record."""
        self._process.point()
        self._real.record(events)

    def history(self, limit: int) -> tuple[Event, ...]:
        """See Store.history."""
        self._process.alive()
        return self._real.history(limit)

    @contextmanager
    def hold(self, who: str, doing: str, wait_seconds: float) -> Iterator[int]:
        """See Store.hold; what is waited is virtual time."""
        process = self._process
        process.point()
        began = process.world.kernel.now
        while True:
            try:
                with self._real.hold(who, doing, 0) as fence:
                    process.say(f"holds the store, fence {fence}")
                    process.begins_pass(fence)
                    try:
                        yield fence
                    finally:
                        process.is_holding = False
                return
            except StoreHeld:
                if process.world.kernel.now - began >= wait_seconds:
                    raise
                process.sleep(0.1)

    def time(self, uptime: Uptime) -> float:
        """See Store.time."""
        self._process.alive()
        return self._real.time(uptime)

    def close(self) -> None:
        """See Store.close."""
        self._real.close()


@dataclass(slots=True)
class Process:
    """One run of fleetssh on one computer, over one state (``ledger`` keeps what is true about that)."""

    world: World
    computer: Computer
    who: str
    ledger: Ledger
    keeps_connections: bool = False
    actor: Actor = field(init=False)
    store: SimStore = field(init=False)
    carrier: SimCarrier = field(init=False)
    clock: SimClock = field(init=False)
    fence: int = 0
    pass_began: float = 0.0
    revision: int = 0
    has_passed: bool = False
    is_holding: bool = False
    effects: int = 0
    members: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self.actor = Actor(self.who)
        self.clock = SimClock(self)
        seconds = CONNECT_SECONDS if self.keeps_connections else ONCE_CONNECT_SECONDS
        self.carrier = SimCarrier(self, seconds, keeps=self.keeps_connections)

    # ------------------------------------------------------------ living and dying

    def alive(self) -> None:
        """A dead process has no effect, whatever still unwinds in it."""
        if self.actor.killed:
            raise Killed

    def sleep(self, seconds: float) -> None:
        """Waits in virtual time."""
        self.alive()
        self.world.kernel.sleep(self.actor, seconds)

    def point(self, what: str = "") -> None:
        """Before or after an effect of this process: time passes, and anything may happen."""
        self.alive()
        self.effects += 1
        self.sleep(self.world.chance.uniform(0.0, POINT_SECONDS))
        self.world.faults.strike_controller(self)
        if self.actor.paused_until > self.world.kernel.now:
            self.sleep(0.0)
        self.alive()

    def say(self, what: str) -> None:
        """Adds a line to the transcript."""
        self.world.transcript.say(self.who.partition("@")[0], what)

    # ------------------------------------------------------------ working

    def open(self) -> None:
        """Opens the store; in the process's own thread."""
        self.store = SimStore(self, self.ledger.open())

    def begins_pass(self, fence: int) -> None:
        """The store is held: what follows is one pass or more."""
        self.fence, self.pass_began, self.has_passed = fence, self.world.kernel.now, False
        self.is_holding = True

    def cluster(self, patience: Patience) -> Cluster:
        """What the real control code works with."""
        inventory = self.world.inventory()
        self.reads(inventory)
        return Cluster(
            inventory,
            self.store,
            self.carrier,
            self.who,
            patience,
            crew=Crew(1),
            clock=self.clock,
            look_seconds=LOOK_SECONDS if self.keeps_connections else ONCE_LOOK_SECONDS,
        )

    def reads(self, inventory: Inventory) -> None:
        """From now on it works with this inventory."""
        self.members = frozenset(host.name for host in inventory.hosts)

    def one_pass(
        self, patience: Patience, retry: frozenset[str] = frozenset(), wait: float = 0.0
    ) -> Pass | None:
        """``fleetssh reconcile``: one pass, unless somebody else is at work."""
        cluster = self.cluster(patience)
        try:
            with self.store.hold(cluster.controller, "reconcile", wait) as fence:
                done = run_pass(cluster, fence, retry)
        except FleetError as error:
            self.failed(error)
            return None
        self.passed(done)
        return done

    def passed(self, done: Pass) -> None:
        """A pass is over."""
        self.has_passed = True
        self.say(
            f"pass is over, revision {done.state.revision}"
            + (f": {done.survey.alarm}" if done.survey.alarm else "")
        )
        self.world.rules.passed(self, done)

    def failed(self, error: FleetError) -> None:
        """There was no pass."""
        text = error.message.splitlines()[0].partition(" (process")[0]
        self.say(f"{type(error).__name__}: {text[:100]}")
        self.world.rules.complains(self, error)

    def run_loop(self, interval: float) -> None:
        """``fleetssh run``, the real loop."""
        self.open()
        source = Source(self.world.inventory, self.world.inventory)
        cluster = self.cluster(LOOP_PATIENCE)
        Loop(cluster, source, Orders(), _Hearing(self), "run", interval).run()

    def run_once(self, patience: Patience) -> None:
        """``fleetssh reconcile``, as cron starts it."""
        self.open()
        self.one_pass(patience)
        self.store.close()


@dataclass(slots=True)
class _Hearing:
    """Implements the loop's ``Listener``."""

    process: Process

    def passed(self, done: Pass) -> None:
        self.process.passed(done)

    def failed(self, error: FleetError) -> None:
        self.process.failed(error)

    def broke(self, error: Exception) -> None:
        raise error

    def rereading(self) -> None:
        pass

    def reread(self, before: Inventory, now: Inventory) -> None:
        self.process.say("reads the inventory again")
        self.process.reads(now)

    def misread(self, error: FleetError) -> None:
        pass

    def alive(self) -> None:
        pass
