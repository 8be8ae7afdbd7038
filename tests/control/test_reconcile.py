"""A pass that dies between two of its effects, and what the next one makes of that."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from fleetssh.control.chronicle import STEP
from fleetssh.control.reconcile import run_pass
from fleetssh.control.result import Pass
from fleetssh.core.doubt import NAMESAKE
from fleetssh.core.model import State, TargetState, Wanted
from fleetssh.core.requirements import read_unit
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
