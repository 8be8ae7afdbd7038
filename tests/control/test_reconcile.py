"""A pass that dies between two of its effects, and what the next one makes of that."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from fleetssh.control.reconcile import run_pass
from fleetssh.core.model import State, TargetState, Wanted
from fleetssh.core.requirements import read_unit
from fleetssh.store import Event
from fleetssh.store.memory import MemoryStore
from tests.control.held import Held, cluster_of
from tests.core.holding import machine, seen

UNIT = read_unit("a.service", b"[Service]\nExecStart=/bin/true\n", "a.service")


class Killed(MemoryStore):
    """Whoever writes a state here dies of it."""

    def commit(self, state: State, events: Iterable[Event] = ()) -> State:
        """Commits, and nothing follows."""
        super().commit(state, events)
        raise KeyboardInterrupt


def reconcile(held: Held, store: MemoryStore) -> None:
    cluster = cluster_of(held, ["h1"], store)
    with store.hold(cluster.controller, "reconcile", 0) as fence:
        run_pass(cluster, fence)


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
