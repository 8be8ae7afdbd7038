from __future__ import annotations

from dataclasses import replace

import pytest

from fleetssh.control.adopting import Adoption, adopt, survey_adoption
from fleetssh.control.cluster import Cluster
from fleetssh.core.errors import CommandError
from fleetssh.core.gathering import gather
from fleetssh.core.model import Claim, MachineRecord
from fleetssh.core.ownership import is_unread, owner
from fleetssh.core.sighting import Sighting
from fleetssh.core.takeover import Bond
from fleetssh.core.visit import Visit
from fleetssh.hosts import Target
from fleetssh.store import REIGN
from fleetssh.store.memory import MemoryStore
from tests.control.held import Held, breaks_off, cluster_of
from tests.core.holding import copy, machine, seen, text

A, B, C = "a.service", "b.service", "c.service"
ONE, TWO = "1" * 32, "2" * 32
RIVAL = Claim(ONE, 40, "rival@desk")


def carry_out(cluster: Cluster, hosts: frozenset[str] = frozenset()) -> tuple[Adoption, dict[str, str]]:
    """What was shown, and what came of it."""
    shown = survey_adoption(cluster, hosts)
    with cluster.store.hold("me@here", "a test", 0) as fence:
        return shown, adopt(cluster, fence, shown, hosts)


def knowing(*names: str) -> MemoryStore:
    """A store of cluster ONE that wants units on machine m1."""
    store = MemoryStore(ONE)
    found = gather(seen(machine(1, *map(copy, names), cluster=ONE)), ONE)
    store.commit(replace(store.load(), wanted=found.wanted, placements=found.placements))
    return store


def test_machines_of_a_rival_and_of_another_cluster_are_claimed_above_every_fence() -> None:
    held = Held(
        seen(
            machine(1, copy(A), cluster=ONE, fence=40, holder=RIVAL),
            machine(2, copy(B), cluster=TWO, fence=900, holder=Claim(TWO, 900, "other@desk")),
            machine(3),
        )
    )
    cluster = cluster_of(held, ["h1", "h2", "h3"], knowing(A))
    shown, results = carry_out(cluster)
    assert results == {"h1": "", "h2": ""}
    assert [(t.host, t.owner, t.holder and t.holder.who) for t in shown.takeovers] == [
        ("h1", ONE, "rival@desk"),
        ("h2", TWO, "other@desk"),
    ]
    assert shown.ours == ("h3",)
    fence = 40 + REIGN
    assert held.claims == [
        ("h1", Claim(ONE, fence, "me@here")),
        ("h2", Claim(ONE, fence, "me@here", over=TWO)),
    ]
    assert [owner(looked) for looked, _ in held.machines.values()] == [ONE, ONE, ""]
    state = cluster.store.load()
    assert state.fence == fence
    assert {name: placed.machine for name, placed in state.placements.items()} == {A: "m1", B: "m2"}
    assert [(event.kind, event.subject, event.text) for event in cluster.store.history(9)] == [
        ("command", B, "adopt h1 h2: new, launched"),
        ("step", "", "h1: taken over from rival@desk"),
        ("step", "", "h2: taken over from other@desk"),
    ]
    assert survey_adoption(cluster).takeovers == ()
    assert survey_adoption(cluster).ours == ("h1", "h2", "h3")


def test_what_this_cluster_calls_by_a_name_goes_before_what_others_do() -> None:
    held = Held(
        seen(
            machine(1, copy(A, text("theirs")), cluster=TWO),
            machine(2, copy(A, text("ours")), cluster=ONE, fence=40, holder=RIVAL),
        )
    )
    cluster = cluster_of(held, ["h1", "h2"], knowing())
    shown, _ = carry_out(cluster)
    theirs, ours = (takeover.items[0] for takeover in shown.takeovers)
    assert (ours.bond, ours.then) == (Bond.NEW, "taken in as it is")
    assert theirs.bond is Bond.OTHER
    assert theirs.then == "it belongs on m2...: the next pass takes it off there"
    assert cluster.store.load().wanted[A].unit.text == text("ours")


class Overtaken(Held):
    """The rival comes between the last look and the claim, with a greater fence."""

    def visit(self, target: Target, visit: Visit, deadline_seconds: float) -> Sighting:
        """See Held.visit."""
        if visit.claim is not None:
            looked, held = self.machines[target.name]
            faster = replace(RIVAL, fence=9 * REIGN)
            self.machines[target.name] = (replace(looked, holder=faster), held)
        return super().visit(target, visit, deadline_seconds)


def test_a_machine_that_refuses_at_the_last_moment_is_not_said_to_be_taken() -> None:
    held = Overtaken(seen(machine(1, copy(A), cluster=ONE, holder=RIVAL)))
    assert carry_out(cluster_of(held, ["h1"], knowing(A)))[1] == {"h1": "rival@desk holds it"}


def test_a_hold_that_makes_the_own_fence_grow_hides_no_rival() -> None:
    """Another person opens the copy: the store's fence is above the machines' at once."""
    store = knowing(A)
    with store.hold("rival@desk", "a test", 0):
        pass
    held = Held(seen(machine(1, copy(A), copy(B), cluster=ONE, fence=40, holder=RIVAL)))
    cluster = cluster_of(held, ["h1"], store)
    shown, results = carry_out(cluster)
    assert store.load().fence > REIGN
    assert [item.unit for item in shown.takeovers[0].items] == [A, B]
    assert results == {"h1": ""}


class Passing(Held):
    """A loop of the same state passes just before each machine is looked at, and h1 obeys it."""

    store = MemoryStore()

    def visit(self, target: Target, visit: Visit, deadline_seconds: float) -> Sighting:
        if visit.claim is None:
            with self.store.reopened().hold("me@here", "run", 0) as fence:
                looked, held = self.machines["h1"]
                self.machines["h1"] = (replace(looked, holder=Claim(ONE, fence, "me@here")), held)
        return super().visit(target, visit, deadline_seconds)


def test_a_loop_of_our_own_that_passes_meanwhile_is_no_rival() -> None:
    rival = machine(2, copy(B), cluster=ONE, fence=REIGN, holder=replace(RIVAL, fence=REIGN))
    held = Passing(seen(machine(1, copy(A), cluster=ONE), rival))
    held.store = knowing(A)
    cluster = cluster_of(held, ["h1", "h2"], held.store)
    shown = survey_adoption(cluster)
    assert ([takeover.host for takeover in shown.takeovers], shown.ours) == (["h2"], ("h1",))
    fence = held.store.load().fence + 3  # the loop passed twice more before we got the hold
    assert adopt(cluster, fence, shown) == {"h2": ""}
    assert {host: record.boot_id for host, record in held.store.machines().items()} == {"h2": "b2"}


def test_a_machine_with_a_unit_that_was_never_wanted_there_is_to_be_taken_over() -> None:
    held = Held(seen(machine(1, copy(A), copy(B), cluster=ONE), machine(2, copy(A), cluster=ONE)))
    cluster = cluster_of(held, ["h1", "h2"], knowing(A))
    shown = survey_adoption(cluster)
    assert [takeover.host for takeover in shown.takeovers] == ["h1"]
    assert shown.ours == ("h2",)


def test_machines_that_were_not_named_or_did_not_answer_are_kept_from_later_passes() -> None:
    held = Held(
        seen(
            machine(1, copy(A), cluster=ONE, holder=RIVAL),
            machine(2, copy(B), cluster=ONE, holder=RIVAL),
            machine(3, copy(C), cluster=ONE, holder=Claim(ONE, 1, "me@here")),
        )
    )
    store = knowing(A, C)
    with store.hold("me@here", "a test", 0):
        pass
    known = [MachineRecord(f"h{n}", f"m{n}", f"b{n}") for n in (2, 3, 5)]
    store.remember(known)
    cluster = cluster_of(held, ["h1", "h2", "h3", "h4", "h5"], store)
    _, results = carry_out(cluster, frozenset({"h1"}))
    assert results == {"h1": ""}
    records = store.machines()
    assert {host for host, record in records.items() if is_unread(record)} == {"h2", "h4", "h5"}
    assert (records["h2"].machine_id, records["h4"].machine_id) == ("m2", "")
    assert B not in store.load().wanted


def test_another_clusters_machine_alone_makes_nobody_wait() -> None:
    held = Held(seen(machine(1, copy(A), cluster=TWO)))
    cluster = cluster_of(held, ["h1", "h2"], knowing())
    assert carry_out(cluster)[1] == {"h1": ""}
    assert set(cluster.store.machines()) == {"h1"}


def test_nothing_is_changed_when_the_machines_say_something_else_than_was_shown() -> None:
    held = Held(seen(machine(1, copy(A), cluster=ONE, holder=RIVAL)))
    cluster = cluster_of(held, ["h1"], knowing())
    shown = survey_adoption(cluster)
    held.machines |= seen(machine(1, copy(A), copy(B), cluster=ONE, holder=RIVAL))
    with pytest.raises(CommandError, match="has changed since it was shown; nothing was changed"):
        adopt(cluster, 1, shown)
    assert cluster.store.load().wanted == {}
    assert held.claims == []


def test_a_machine_that_cannot_be_read_is_not_taken() -> None:
    held = Held(seen(machine(1, copy(A), cluster=TWO)), breaks_off)
    shown = survey_adoption(cluster_of(held, ["h1", "h2"], knowing()))
    assert shown.takeovers == ()
    assert set(shown.unreached) == {"h1", "h2"}
