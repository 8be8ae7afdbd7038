"""A pass that dies between two of its effects, and what the next one makes of that."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from fleetssh.clock import SystemClock, Uptime
from fleetssh.control.chronicle import STEP
from fleetssh.control.reconcile import run_pass
from fleetssh.control.result import Pass
from fleetssh.core.doubt import NAMESAKE
from fleetssh.core.health import Patience
from fleetssh.core.model import State, TargetState, Wanted
from fleetssh.core.requirements import read_unit
from fleetssh.core.sighting import Failure, Opinion, Reached, Sighting, Unreached
from fleetssh.core.visit import Visit
from fleetssh.hosts import Target
from fleetssh.store import Event
from fleetssh.store.memory import MemoryStore
from tests.control.held import Held, cluster_of
from tests.core.holding import copy, machine, seen

UNIT = read_unit("a.service", b"[Service]\nExecStart=/bin/true\n", "a.service")


class Killed(MemoryStore):
    """Whoever writes a state here dies of it."""

    def commit(self, state: State, events: Iterable[Event] = ()) -> State:
        """Commits, and nothing follows."""
        super().commit(state, events)
        raise KeyboardInterrupt


def reconcile(held: Held, store: MemoryStore, *hosts: str) -> Pass:
    cluster = cluster_of(held, hosts or ["h1"], store)
    with store.hold(cluster.controller, "reconcile", 0) as fence:
        return run_pass(cluster, fence)


def test_a_unit_stays_on_a_machine_that_falls_silent_after_the_pass_that_met_it_was_killed() -> None:
    """The place was written down, and nobody remembered the machine: it was taken for one that had left the
    inventory, and lost the unit at the first look that it did not answer."""
    held, store = Held(seen(machine(1))), MemoryStore()
    store.commit(replace(store.load(), wanted={"a.service": Wanted(UNIT, TargetState.LAUNCHED)}))
    dying = Killed()
    dying._content = store._content
    with pytest.raises(KeyboardInterrupt):
        reconcile(held, dying)
    placements = store.load().placements
    assert set(placements) == {"a.service"}
    held.machines.clear()
    reconcile(held, store)
    assert store.load().placements == placements


def test_a_new_state_starts_nothing_by_the_name_of_what_another_clusters_machine_holds() -> None:
    """But what a pass once worked on is another unit, whatever others call theirs."""
    store = MemoryStore()
    store.commit(replace(store.load(), wanted={"a.service": Wanted(UNIT, TargetState.LAUNCHED)}))
    held = Held(seen(machine(1), machine(2, copy("a.service"), cluster="2" * 32)))
    for _ in range(2):
        planned = reconcile(held, store, "h1", "h2")
        assert [doubt.sentence for doubt in planned.survey.in_doubt.values()] == [
            f"Unit a.service waits: h2, which had it last, {NAMESAKE}"
        ]
        assert planned.plan.waves == ()
    assert set(store.machines()) == {"h1"}
    store.record([Event(1.0, "me", STEP, "a.service", "h1: start a.service")])
    planned = reconcile(held, store, "h1", "h2")
    assert [visit.host for wave in planned.plan.waves for visit in wave] == ["h1"]


class Stopped(SystemClock):
    """A clock that a test moves."""

    seconds = 1000.0

    def monotonic(self) -> float:
        """See Clock.monotonic."""
        return self.seconds

    def uptime(self) -> Uptime:
        """See Clock.uptime."""
        return Uptime("b", self.seconds)


class Dozing(Held):
    """Silent are ``silent``; when ``h4`` was looked at, ten minutes pass and everybody is back."""

    silent = frozenset[str]()
    clock: Stopped | None = None

    def visit(self, target: Target, visit: Visit, deadline_seconds: float) -> Sighting:
        """See Held.visit."""
        if target.name in self.silent:
            return Unreached(target.name, Failure.TIMEOUT)
        seen = super().visit(target, visit, deadline_seconds)
        if isinstance(seen, Reached):
            met = {p.host: Opinion.NOTHING if p.host in self.silent else Opinion.HELLO for p in visit.probes}
            seen = replace(seen, opinions=met)
        if target.name == "h4" and self.clock is not None:
            self.clock.seconds += 600.0
            self.clock, self.silent = None, frozenset()
        return seen


def test_nobody_is_given_up_by_a_pass_that_was_held_up_here() -> None:
    """Two looks three seconds apart, and then a closed lid: what was seen is of ten minutes ago."""
    clock, store = Stopped(), MemoryStore()
    held = Dozing(seen(*(machine(number) for number in (1, 2, 3, 4))))
    for host, (looked, holdings) in held.machines.items():
        held.machines[host] = (replace(looked, address=host), holdings)
    store.commit(replace(store.load(), wanted={"a.service": Wanted(UNIT, TargetState.LAUNCHED)}))
    cluster = replace(cluster_of(held, held.machines, store), clock=clock, patience=Patience(2, 60.0))

    def turn() -> Pass:
        with store.hold(cluster.controller, "run", 0) as fence:
            return run_pass(cluster, fence)

    turn()
    placements = store.load().placements
    assert placements["a.service"].machine == "m1"
    held.silent = frozenset({"h1"})
    turn()
    clock.seconds += 3.0
    held.clock = clock
    turn()
    assert store.load().placements == placements
