from __future__ import annotations

from dataclasses import replace

import pytest

from fleetssh.control.rebuilding import rebuild, survey_rebuild
from fleetssh.core.errors import CommandError, InventoryError
from fleetssh.core.model import Claim, State
from fleetssh.core.ownership import is_unread
from fleetssh.store import REIGN
from fleetssh.store.memory import MemoryStore
from tests.control.held import Held, breaks_off, cluster_of
from tests.core.holding import copy, machine, seen, text

A, B, C = "a.service", "b.service", "c.service"
ONE, TWO = "1" * 32, "2" * 32


def test_a_state_is_made_with_the_machines_own_cluster_and_a_fence_above_theirs() -> None:
    held = Held(
        seen(
            machine(1, copy(A, generation=4), cluster=ONE, fence=7, holder=Claim(ONE, 9, "old@desk")),
            machine(2, copy(B), cluster=ONE),
            machine(3),
        )
    )
    cluster = cluster_of(held, ["h1", "h2", "h3"])
    shown = survey_rebuild(cluster)
    assert cluster.store.load().revision == 0
    assert (shown.machines, shown.others, shown.unreached) == ({"h1": "m1", "h2": "m2", "h3": "m3"}, {}, {})
    rebuild(cluster, shown)
    state = cluster.store.load()
    assert state.cluster == ONE
    assert state.fence == 9 + REIGN
    assert (state.wanted, state.placements) == (shown.after.wanted, shown.after.placements)
    assert {n: w.generation for n, w in state.wanted.items()} == {A: 4, B: 0}
    records = cluster.store.machines()
    assert {host: (r.machine_id, r.boot_id, r.failure) for host, r in records.items()} == {
        host: (f"m{host[1]}", f"b{host[1]}", "") for host in ("h1", "h2", "h3")
    }
    assert records["h1"].way["address"] == "h1"
    assert [(e.subject, e.text) for e in cluster.store.history(9)] == [
        (A, "state rebuild: new, launched"),
        (B, "state rebuild: new, launched"),
    ]
    assert held.claims == []


def test_machines_of_several_clusters_are_only_taken_for_the_one_that_was_chosen() -> None:
    held = Held(seen(machine(1, copy(A), cluster=ONE), machine(2, copy(B), cluster=TWO)))
    cluster = cluster_of(held, ["h1", "h2"])
    with pytest.raises(CommandError, match="units of 2 clusters; choose one with --cluster-id") as refused:
        survey_rebuild(cluster)
    assert refused.value.hint == f"cluster {ONE}: h1\ncluster {TWO}: h2"
    with pytest.raises(CommandError, match="no machine holds units of cluster 3"):
        survey_rebuild(cluster, "3")
    shown = survey_rebuild(cluster, "22")
    assert (set(shown.after.wanted), shown.machines, shown.others) == ({B}, {"h2": "m2"}, {"h1": ONE})
    rebuild(cluster, shown)
    assert set(cluster.store.machines()) == {"h2"}


def test_where_no_machine_holds_anything_no_state_is_made() -> None:
    cluster = cluster_of(Held(seen(machine(1), machine(2))), ["h1", "h2"])
    with pytest.raises(CommandError, match="nothing to make a state from"):
        survey_rebuild(cluster)


def test_a_state_that_has_something_in_it_is_left_alone() -> None:
    store = MemoryStore()
    store.commit(store.load())
    cluster = cluster_of(Held(seen(machine(1, copy(A), cluster=ONE))), ["h1"], store)
    with pytest.raises(CommandError, match="there is a state already") as refused:
        survey_rebuild(cluster)
    assert "move the state file away first" in refused.value.hint


def test_two_hosts_that_are_one_machine_are_refused() -> None:
    looked, holds = machine(1, copy(A), cluster=ONE)
    both = {"h1": (looked, holds), "h2": (replace(looked, host="h2"), replace(holds, host="h2"))}
    with pytest.raises(InventoryError, match="have the same machine id"):
        survey_rebuild(cluster_of(Held(both), ["h1", "h2"]))


def test_a_machine_that_breaks_off_or_changes_while_it_is_read_was_not_read() -> None:
    held = Held(seen(machine(1, copy(A), cluster=ONE), machine(2, copy(B), cluster=ONE)))
    cluster = cluster_of(held, ["h1", "h2"])
    held.before_reading = lambda host: breaks_off(host) if host == "h2" else None
    assert survey_rebuild(cluster).unreached == {"h2": "answered half: the connection broke off"}

    def visit_meanwhile(host: str) -> None:
        looked, _ = held.machines[host]
        if host == "h2":
            held.machines[host] = (looked, machine(2, copy(B), copy(C), cluster=ONE)[1])

    held.before_reading = visit_meanwhile
    [(host, why)] = survey_rebuild(cluster).unreached.items()
    assert host == "h2"
    assert "somebody else visited it" in why


def test_nothing_is_written_when_the_machines_say_something_else_than_was_shown() -> None:
    held = Held(seen(machine(1, copy(A), cluster=ONE)))
    cluster = cluster_of(held, ["h1"])
    shown = survey_rebuild(cluster)
    held.machines |= seen(machine(1, copy(A, text("second")), cluster=ONE))
    with pytest.raises(CommandError, match="has changed since it was shown; nothing was changed"):
        rebuild(cluster, shown)
    assert cluster.store.load().revision == 0
    assert cluster.store.machines() == {}


def test_what_a_silent_machine_holds_is_taken_in_when_it_answers() -> None:
    held = Held(seen(machine(1, copy(A, text("first", "Global=true")), cluster=ONE)))
    cluster = cluster_of(held, ["h1", "h2", "h3"])
    rebuild(cluster, survey_rebuild(cluster))
    assert {host for host, r in cluster.store.machines().items() if is_unread(r)} == {"h2", "h3"}
    before = cluster.store.load()

    newer = copy(A, text("second", "Global=true"))
    held.machines |= seen(machine(2, copy(B), newer, cluster=ONE), machine(3, copy(C), cluster=TWO))
    shown = survey_rebuild(cluster)
    assert (shown.machines, shown.others) == ({"h2": "m2"}, {"h3": TWO})
    [finding] = shown.findings
    assert (finding.host, finding.unit, finding.then) == (
        "h2",
        A,
        "the next pass replaces it and restarts it",
    )
    rebuild(cluster, shown)
    after: State = cluster.store.load()
    assert set(after.wanted) == {A, B}
    assert after.wanted[A] == before.wanted[A]
    assert after.placements[B].machine == "m2"
    assert not any(map(is_unread, cluster.store.machines().values()))
    with pytest.raises(CommandError, match="there is a state already"):
        survey_rebuild(cluster)
