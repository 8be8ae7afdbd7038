"""The loop's rhythm, what interrupts it and what it survives, in virtual time over the real pass."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from fleetssh.clock import Uptime
from fleetssh.control.cluster import Cluster
from fleetssh.control.loop import (
    GAP_SECONDS,
    GLANCE_SECONDS,
    HOLD_SECONDS,
    MAX_DEFECTS,
    POLL_SECONDS,
    RETRY_SECONDS,
    Loop,
    Orders,
    Source,
)
from fleetssh.control.result import Pass
from fleetssh.core.errors import FleetError, InventoryError, StoreError, StoreHeld
from fleetssh.core.health import LOOP_PATIENCE
from fleetssh.core.sighting import Facts, Reached, Sighting
from fleetssh.core.visit import Visit
from fleetssh.hosts import Target
from fleetssh.hosts.crew import Crew
from fleetssh.inventory import Host, Inventory
from fleetssh.store.memory import MemoryStore

SLACK = 1e-6


def inventory(*names: str) -> Inventory:
    hosts = (Host(n, n, 22, None, None, False, None, {}, (), f"hosts.yml:{n}") for n in names)
    return Inventory("hosts.yml", tuple(hosts), ())


@dataclass
class VirtualClock:
    """Implements ``Clock``: time goes on only while somebody sleeps or a machine is slow, and what is planned
    ``at`` a time happens then."""

    seconds: float = 0.0
    plans: list[tuple[float, Callable[[], object]]] = field(default_factory=list)

    def now(self) -> float:
        return 1e9 + self.seconds

    def monotonic(self) -> float:
        return self.seconds

    def uptime(self) -> Uptime:
        return Uptime("boot", self.seconds)

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        until = self.seconds + seconds
        while due := [plan for plan in self.plans if plan[0] <= until]:
            moment, action = min(due, key=lambda plan: plan[0])
            self.plans.remove((moment, action))
            self.seconds = max(self.seconds, moment)
            action()
        self.seconds = until

    def at(self, seconds: float, action: Callable[[], object]) -> None:
        self.plans.append((seconds, action))


@dataclass
class Machines:
    """Implements ``Carrier`` over machines that are well, and take ``slow`` seconds for an answer."""

    clock: VirtualClock
    slow: float = 0.0
    down: set[str] = field(default_factory=set)  # whose connections have fallen
    visits: list[tuple[float, str, Visit]] = field(default_factory=list)
    broken: bool = False
    kept: list[list[str]] = field(default_factory=list)  # whose connections may stay open

    def visit(self, target: Target, visit: Visit, deadline_seconds: float) -> Sighting:
        if self.broken:
            raise ZeroDivisionError("a defect")
        self.visits.append((self.clock.seconds, target.name, visit))
        self.down.discard(target.name)
        self.clock.sleep(self.slow)
        facts = Facts(target.name * 16, "boot", uptime=self.clock.seconds)
        return Reached(target.name, target.address, facts, seen_at=self.clock.now())

    def fallen(self) -> frozenset[str]:
        return frozenset(self.down)

    def keep_only(self, names: frozenset[str]) -> None:
        self.kept.append(sorted(names))

    def stream(self, *_: object, **__: object) -> int:
        raise NotImplementedError

    def close(self) -> None:
        pass

    def times(self, host: str = "m1") -> list[float]:
        """When the passes were that visited a machine."""
        return [round(at, 3) for at, name, _ in self.visits if name == host]


@dataclass
class Diary:
    """Implements ``Listener``."""

    clock: VirtualClock
    lines: list[tuple[float, str]] = field(default_factory=list)
    passes: int = 0
    alive_at: list[float] = field(default_factory=lambda: [0.0])

    def write(self, line: str) -> None:
        self.lines.append((round(self.clock.seconds, 3), line))

    def said(self) -> list[str]:
        return [line for _, line in self.lines]

    def passed(self, done: Pass) -> None:
        self.passes += 1

    def failed(self, error: FleetError) -> None:
        self.write(f"failed {error.message}")

    def broke(self, error: Exception) -> None:
        self.write(f"broke {error}")

    def rereading(self) -> None:
        self.write("rereading")

    def reread(self, before: Inventory, now: Inventory) -> None:
        self.write(f"reread {len(before.hosts)} -> {len(now.hosts)}")

    def misread(self, error: FleetError) -> None:
        self.write(f"misread {error.message}")

    def alive(self) -> None:
        self.alive_at.append(self.clock.seconds)


class Stage:
    """A loop with everything around it."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.machines = Machines(self.clock)
        self.store = MemoryStore(now=self.clock.now)
        self.orders = Orders()
        self.diary = Diary(self.clock)
        self.files: object = inventory("m1", "m2")
        self.version = 0
        self.reopen: Callable[[], MemoryStore] | None = None

    def read(self) -> Inventory:
        if isinstance(self.files, Inventory):
            return self.files
        raise InventoryError("no such key", "hosts.yml:3")

    def write(self, files: object) -> None:
        """Somebody saves the inventory."""
        self.files = files
        self.version += 1

    def run(self, seconds: float, interval: float = 2.0) -> None:
        """Runs until it is told to end at ``seconds``."""
        self.clock.at(seconds, self.end)
        carrier, store = self.machines, self.store
        first = self.read()
        cluster = Cluster(
            first, store, carrier, "ops@here (fleetssh run)", LOOP_PATIENCE, crew=Crew(1), clock=self.clock
        )
        source = Source(self.read, lambda: self.version)
        Loop(cluster, source, self.orders, self.diary, "fleetssh run", interval, self.reopen).run()

    def end(self) -> None:
        self.orders.end = True


@pytest.fixture
def stage() -> Stage:
    return Stage()


# ---------------------------------------------------------------- rhythm


def test_passes_begin_at_a_fixed_rate_however_long_they_take(stage: Stage) -> None:
    """F-211: one at the start, and one an interval."""
    stage.machines.slow = 0.4
    stage.run(9)
    assert stage.machines.times() == [0, 2, 4, 6, 8]


def test_a_slow_pass_is_followed_at_once_and_nothing_is_made_up_for(stage: Stage) -> None:
    stage.machines.slow = 1.5  # for each of two machines
    stage.clock.at(8, lambda: setattr(stage.machines, "slow", 0.0))
    stage.run(14)
    late = 3 + GAP_SECONDS
    assert stage.machines.times()[:3] == pytest.approx([0, late, 2 * late])
    rest = stage.machines.times()[3:]
    assert all(b - a == pytest.approx(2.0) for a, b in itertools.pairwise(rest)), rest


def test_between_two_passes_the_store_is_free_however_late_they_are(stage: Stage) -> None:
    """A command that is typed beside the loop gets its turn; the loop waits for it, and goes on."""
    stage.machines.slow = 2.0
    command = stage.store.reopened()
    got: list[float] = []

    def try_it() -> None:
        """What a waiting command does, several times a second."""
        try:
            with command.hold("ops@here", "fleetssh start", 0):
                got.append(stage.clock.seconds)
        except StoreHeld:
            stage.clock.at(stage.clock.seconds + 0.05, try_it)

    stage.clock.at(5, try_it)
    stage.run(20)
    assert got
    assert got[0] - 5 < 2 * stage.machines.slow + GAP_SECONDS
    assert not stage.diary.lines


def test_its_fence_stays_the_same_until_somebody_else_held_the_store(stage: Stage) -> None:
    command = stage.store.reopened()

    def other() -> None:
        with command.hold("ops@elsewhere", "fleetssh start", 0):
            pass

    stage.clock.at(5, other)
    stage.run(9)
    fences = {at: visit.claim.fence for at, _, visit in stage.machines.visits if visit.claim}
    assert fences[0] == fences[2] == fences[4] < fences[6] == fences[8]


# ---------------------------------------------------------------- what wakes it


def test_a_fallen_connection_begins_the_next_pass_at_once(stage: Stage) -> None:
    """F-211: one an event."""
    stage.clock.at(2.9, lambda: stage.machines.down.add("m2"))
    stage.run(5.5)
    first, second, third, fourth = stage.machines.times()
    assert (first, second) == (0, 2)
    assert third - 2.9 <= POLL_SECONDS + SLACK
    assert fourth == pytest.approx(third + 2.0)


def test_whose_connection_keeps_falling_changes_the_rhythm_little(stage: Stage) -> None:
    seconds = 20
    for tenth in range(10 * seconds):
        stage.clock.at(tenth / 10, lambda: stage.machines.down.add("m2"))
    stage.run(seconds)
    assert len(stage.machines.times()) <= 2 * seconds / 2 + 1


def test_a_connection_to_who_is_not_visited_any_more_wakes_nobody(stage: Stage) -> None:
    stage.clock.at(0.5, lambda: stage.machines.down.add("m9"))
    stage.run(5)
    assert stage.machines.times() == [0, 2, 4]


# ---------------------------------------------------------------- told to end


def test_it_ends_between_passes_within_a_moment(stage: Stage) -> None:
    """F-028 and F-211, without the process: tests/live/test_run.py has that."""
    stage.run(3.03, interval=60.0)
    assert stage.clock.seconds - 3.03 <= POLL_SECONDS + SLACK
    assert stage.diary.passes == 1


def test_it_ends_after_the_pass_under_way(stage: Stage) -> None:
    stage.machines.slow = 3.0
    stage.run(1)
    assert stage.machines.times("m2") == [3]
    assert stage.diary.passes == 1
    assert stage.clock.seconds == pytest.approx(6)


def test_it_ends_while_the_store_cannot_be_used(stage: Stage) -> None:
    """F-029, without the process."""

    stage.store = broken_store(stage)
    stage.run(7)
    assert set(stage.diary.said()) == {"failed the disk is gone"}
    assert stage.clock.seconds - 7 <= POLL_SECONDS + SLACK
    assert not stage.machines.visits


def broken_store(stage: Stage) -> MemoryStore:
    """A state that cannot be used."""

    class Outage(MemoryStore):
        @contextmanager
        def hold(self, who: str, doing: str, wait_seconds: float) -> Iterator[int]:
            raise StoreError("the disk is gone")
            yield 0

    return Outage(now=stage.clock.now)


# ---------------------------------------------------------------- inventories


def test_told_to_it_reads_the_inventory_and_goes_on_with_it_at_once(stage: Stage) -> None:
    """F-027: nothing is lost by it."""
    stage.clock.at(2.5, lambda: setattr(stage, "files", inventory("m1", "m2", "m3")))
    stage.clock.at(2.7, lambda: setattr(stage.orders, "reread", True))
    stage.run(6)
    assert stage.diary.said() == ["rereading", "reread 2 -> 3"]
    assert stage.machines.times("m3")[0] - 2.7 <= POLL_SECONDS + SLACK
    assert len(stage.machines.times("m1")) == len(stage.machines.times("m3")) + 2


def test_connections_of_those_that_are_not_visited_any_more_are_not_kept(stage: Stage) -> None:
    stage.clock.at(2.5, lambda: stage.write(inventory("m1")))
    stage.run(9)
    assert stage.diary.said() == ["rereading", "reread 2 -> 1"]
    assert stage.machines.kept[0] == ["m1", "m2"]
    assert stage.machines.kept[-1] == ["m1"]


def test_a_mistake_in_the_inventory_is_told_and_the_one_before_stays(stage: Stage) -> None:
    stage.clock.at(2.5, lambda: stage.write("no inventory"))
    stage.run(9)
    assert stage.diary.said() == ["rereading", "misread hosts.yml:3: no such key"]
    assert stage.machines.times("m2")[-1] > 8
    assert stage.diary.passes == len(stage.machines.times("m2"))


def test_a_changed_file_is_noticed_when_it_has_settled(stage: Stage) -> None:
    for tenth in range(20):  # somebody who writes slowly
        stage.clock.at(3 + tenth / 10, lambda: stage.write(inventory("m1")))
    stage.clock.at(5, lambda: stage.write(inventory("m1", "m2", "m3")))
    stage.run(9)
    assert stage.diary.said() == ["rereading", "reread 2 -> 3"]
    assert 5 <= stage.diary.lines[0][0] <= 5 + 2 * GLANCE_SECONDS + POLL_SECONDS


@pytest.mark.parametrize("interval", [0.3, 2.0, 30.0])
def test_a_changed_file_is_noticed_at_any_rate(stage: Stage, interval: float) -> None:
    stage.clock.at(4, lambda: stage.write(inventory("m1", "m2", "m3")))
    stage.run(8, interval)
    assert stage.machines.times("m3")[0] <= 4 + 2 * GLANCE_SECONDS + 2 * POLL_SECONDS + GAP_SECONDS


# ---------------------------------------------------------------- what it survives


def test_a_pass_that_fails_is_told_and_tried_again_after_a_pause(stage: Stage) -> None:
    other = stage.store.reopened()
    holding = other.hold("ops@elsewhere", "fleetssh start", 0)
    holding.__enter__()
    stage.clock.at(2, lambda: holding.__exit__(None, None, None))
    stage.run(5, interval=0.2)
    failures = [at for at, line in stage.diary.lines if "another controller" in line]
    assert failures
    assert all(b - a >= RETRY_SECONDS - SLACK for a, b in itertools.pairwise(failures))
    assert 2 <= stage.machines.times()[0] <= 2 + RETRY_SECONDS + HOLD_SECONDS + POLL_SECONDS


def test_a_state_that_cannot_be_used_is_opened_anew(stage: Stage) -> None:
    """Its file may have been replaced: by a backup, or by one that was made anew from the machines."""
    stage.store, new = broken_store(stage), stage.store
    asked: list[float] = []

    def reopen() -> MemoryStore:
        asked.append(stage.clock.seconds)
        if len(asked) == 1:
            raise StoreError("there is no state file yet")
        return new

    stage.reopen = reopen
    stage.run(9)
    assert stage.diary.said() == ["failed the disk is gone"] * 2
    assert len(asked) == 2
    assert stage.machines.times() == [4, 6, 8]


def test_a_defect_is_told_and_survived(stage: Stage) -> None:
    stage.clock.at(1, lambda: setattr(stage.machines, "broken", True))
    stage.clock.at(2 * (MAX_DEFECTS - 1) + 1, lambda: setattr(stage.machines, "broken", False))
    stage.run(20)
    assert stage.diary.said() == ["broke a defect"] * (MAX_DEFECTS - 1)
    assert stage.machines.times()[-1] == 18


def test_defects_in_a_row_end_it(stage: Stage) -> None:
    stage.machines.broken = True
    with pytest.raises(ZeroDivisionError, match="a defect"):
        stage.run(60)
    assert stage.diary.said() == ["broke a defect"] * (MAX_DEFECTS - 1)


@pytest.mark.parametrize("interval", [0.5, 2.0, 60.0])
def test_it_says_that_it_lives_at_least_once_a_glance(stage: Stage, interval: float) -> None:
    stage.run(30, interval)
    signs = stage.diary.alive_at
    assert max(b - a for a, b in itertools.pairwise(signs)) <= GLANCE_SECONDS + POLL_SECONDS + SLACK
