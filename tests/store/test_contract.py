"""What every store promises; one suite over all of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetssh.core.errors import StoreConflict, StoreError, StoreHeld
from fleetssh.core.model import MachineRecord, Placement, Seen, State, TargetState, Wanted
from fleetssh.store import HISTORY_LIMIT, Event
from tests.store.samples import (
    FULL_REQUIREMENTS,
    NOW,
    OPENERS,
    Handles,
    fill,
    make_unit,
    make_wanted,
    reopened,
)

Opener = Callable[[], AbstractContextManager[Handles]]


@pytest.fixture(params=OPENERS)
def handles(request: pytest.FixtureRequest) -> Iterator[Handles]:
    with OPENERS[request.param]() as pair:
        yield pair


def test_new_store_is_empty_and_has_a_cluster_id_of_its_own(handles):
    state = handles[0].load()
    assert state == State(cluster=state.cluster)
    assert len(state.cluster) == 32
    assert int(state.cluster, 16) >= 0
    assert handles[1].load().cluster == state.cluster


def test_two_new_stores_have_different_clusters():
    for opener in OPENERS.values():
        with opener() as (one, _), opener() as (other, _):
            assert one.load().cluster != other.load().cluster


def test_what_was_committed_is_loaded_by_everybody(handles):
    """F-124: the hash comes back; F-176: a unit with its target state and its machine."""
    one, two = handles
    unit = make_unit(
        "web@1.service",
        description="A web é server",
        requirements=FULL_REQUIREMENTS,
        installs=True,
        bound_to=("db.service", "net.service"),
    )
    state = replace(
        one.load(),
        wanted={unit.name: Wanted(unit, TargetState.LOADED, 7)},
        placements={unit.name: Placement(unit.name, "14ffe4c3", "least loaded")},
    )
    committed = one.commit(state)
    assert committed == replace(state, revision=1)
    assert one.load() == two.load() == committed


def test_placement_may_outlive_its_unit(handles):
    one, two = handles
    placement = Placement("gone.service", "m1", "was there")
    one.commit(replace(one.load(), placements={"gone.service": placement}))
    assert two.load().placements == {"gone.service": placement}


def test_second_commit_from_the_same_parent_conflicts_and_writes_nothing(handles):
    one, two = handles
    state = one.load()
    first = one.commit(fill(state, 1))
    with pytest.raises(StoreConflict, match=r"revision 1.*from revision 0"):
        two.commit(fill(state, 2))
    assert one.load() == two.load() == first


def test_commit_without_loading_first_writes_only_what_differs(handles):
    one, two = handles
    first = one.commit(fill(one.load(), 1))
    fewer = dict(sorted(first.wanted.items())[:3])
    second = two.commit(replace(first, wanted=fewer))
    assert one.load() == second
    assert one.load().wanted.keys() == fewer.keys()


def test_commit_follows_on_from_what_another_handle_committed(handles):
    one, two = handles
    first = one.commit(fill(one.load(), 1))
    second = two.commit(fill(first, 2, size=5))
    third = one.commit(replace(second, wanted={}, placements=first.placements))
    assert two.load() == third


def test_commits_alternate_between_handles(handles):
    state = handles[0].load()
    for number in range(1, 7):
        state = handles[number % 2].commit(fill(state, number, size=number % 4))
        assert handles[0].load() == handles[1].load() == state
    assert state.revision == 6


def test_commit_of_another_clusters_state_is_refused(handles):
    one, two = handles
    with pytest.raises(StoreError, match="belongs to cluster ffff"):
        one.commit(replace(one.load(), cluster="ffff"))
    assert two.load().revision == 0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"wanted": {"b.service": Wanted(make_unit("a.service"))}}, "a.service is filed under"),
        ({"placements": {"b.service": Placement("a.service", "m", "")}}, "a.service is filed under"),
        (
            {"wanted": make_wanted(replace(make_unit("a.service"), digest="0" * 40))},
            "a.service: its text does not match its digest",
        ),
    ],
)
def test_value_that_would_not_come_back_is_refused(handles, fields, message):
    one, two = handles
    with pytest.raises(StoreError, match=message):
        one.commit(replace(one.load(), **fields))
    assert two.load().revision == 0


@pytest.mark.parametrize("given_by", ["commit", "load"])
def test_changing_a_dict_that_was_given_out_changes_nothing_until_it_is_committed(handles, given_by):
    one, two = handles
    state = one.commit(fill(one.load(), 1))
    if given_by == "load":
        state = one.load()
    state.wanted.pop("u1.service")
    state.placements.clear()
    assert len(two.load().wanted) == len(two.load().placements) == 20
    committed = one.commit(state)
    assert two.load() == committed
    assert len(committed.wanted) == 19
    assert committed.placements == {}


def test_changing_a_dict_after_committing_it_changes_nothing(handles):
    one, two = handles
    state = fill(one.load(), 1)
    committed = one.commit(state)
    other = state.wanted["u1.service"] = replace(state.wanted["u1.service"], generation=7)
    assert two.load() == committed
    one.commit(replace(committed, wanted={"u1.service": other}))
    assert two.load().wanted == {"u1.service": other}


def test_any_bytes_are_a_unit_text(handles):
    one, two = handles
    every_byte = bytes(range(256))
    texts = [b"", b"\0", every_byte, every_byte * 2000, "é".encode("latin-1")]
    units = [make_unit(f"u{index}.service", text) for index, text in enumerate(texts)]
    one.commit(replace(one.load(), wanted=make_wanted(*units)))
    assert [want.unit.text for want in two.load().wanted.values()] == texts


def test_units_may_share_a_text_and_part_with_it_one_by_one(handles):
    one, two = handles
    units = [make_unit(f"web@{index}.service", b"shared") for index in range(3)]
    state = one.commit(replace(one.load(), wanted=make_wanted(*units)))
    changed = replace(state, wanted=make_wanted(make_unit("web@0.service", b"own"), *units[1:]))
    state = one.commit(changed)
    state = one.commit(replace(state, wanted=make_wanted(units[2])))
    assert two.load() == state


NAMES = st.sampled_from(["a.service", "b.service", "c@1.service", "d.socket"])
STATES = st.tuples(
    st.dictionaries(
        NAMES,
        st.tuples(st.binary(max_size=3), st.sampled_from(TargetState), st.integers(0, 3)),
    ),
    st.dictionaries(NAMES, st.tuples(st.sampled_from(["m1", "m2"]), st.text(max_size=5))),
)


@pytest.mark.parametrize("opener", OPENERS.values(), ids=OPENERS)
@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(STATES, st.booleans(), st.booleans(), st.booleans()), max_size=8))
def test_any_sequence_of_commits_equals_a_plain_dict(opener: Opener, edits):
    with opener() as handles:
        expected = handles[0].load()
        for (wanted, placements), which, stale, looks in edits:
            edited = replace(
                expected,
                revision=expected.revision - stale,
                wanted={
                    name: Wanted(make_unit(name, text), target, generation)
                    for name, (text, target, generation) in wanted.items()
                },
                placements={name: Placement(name, *rest) for name, rest in placements.items()},
            )
            if stale:
                with pytest.raises(StoreConflict):
                    handles[which].commit(edited)
            else:
                expected = handles[which].commit(edited)
                assert expected == replace(edited, revision=edited.revision + 1)
            if looks:
                assert handles[not which].load() == expected
        assert handles[0].load() == handles[1].load() == expected


HOSTS = st.sampled_from(["h1", "h2", "h3", "h4"])
RECORDS = st.builds(
    MachineRecord,
    host=HOSTS,
    machine_id=st.text(max_size=4),
    boot_id=st.text(max_size=4),
    address=st.text(max_size=4),
    metadata=st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
    last_good=st.floats(0, 4e9),
    silent_since=st.none() | st.floats(0, 4e9),
    missed=st.integers(0, 100),
    failure=st.text(max_size=4),
    lost=st.booleans(),
    seen=st.lists(
        st.builds(
            Seen,
            st.text(max_size=4),
            st.sampled_from(TargetState),
            st.just("loaded"),
            st.text(max_size=4),
            st.just("running"),
        ),
        max_size=2,
    ).map(tuple),
)


@pytest.mark.parametrize("opener", OPENERS.values(), ids=OPENERS)
@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.lists(RECORDS, max_size=3), st.lists(HOSTS, max_size=2)), max_size=5))
def test_any_sequence_of_remembering_equals_a_plain_dict(opener: Opener, calls):
    """F-091, F-092, F-179: a machine is forgotten alone, with all that was seen there; also one unknown."""
    with opener() as (one, two):
        expected: dict[str, MachineRecord] = {}
        for records, forgotten in calls:
            one.remember(records, forgotten)
            for host in forgotten:
                expected.pop(host, None)
            expected.update({record.host: record for record in records})
            assert two.machines() == expected
            assert list(two.machines()) == sorted(expected)


def test_remembering_a_machine_makes_no_revision(handles):
    """F-089"""
    one, two = handles
    one.remember([MachineRecord("h1", "m1")])
    assert one.load().revision == 0
    assert two.commit(fill(two.load(), 1)).revision == 1
    assert one.machines() == {"h1": MachineRecord("h1", "m1")}


def make_events(first: int, last: int) -> list[Event]:
    return [Event(NOW + n, "core@here", "start", f"u{n}.service", "launched") for n in range(first, last)]


def test_history_is_told_newest_last_and_as_much_as_was_asked_for(handles):
    one, two = handles
    assert two.history(10) == ()
    one.record(make_events(0, 3))
    one.record([])
    two.record(make_events(3, 5))
    assert one.history(100) == tuple(make_events(0, 5))
    assert one.history(2) == tuple(make_events(3, 5))
    assert one.history(0) == one.history(-1) == ()


def test_a_change_and_its_events_are_one_transaction(handles):
    one, two = handles
    state = one.load()
    first = one.commit(fill(state, 1), make_events(0, 2))
    assert two.history(9) == tuple(make_events(0, 2))
    with pytest.raises(StoreConflict):
        two.commit(fill(state, 2), make_events(2, 3))
    with pytest.raises(StoreError):
        two.commit(replace(first, cluster="ffff"), make_events(2, 3))
    assert one.history(9) == tuple(make_events(0, 2))
    one.remember([MachineRecord("h1", "m1")], (), make_events(2, 3))
    two.remember([], (), make_events(3, 4))
    assert (two.history(9), list(two.machines())) == (tuple(make_events(0, 4)), ["h1"])
    one.commit(fill(first, 2), iter(make_events(4, HISTORY_LIMIT + 1)))
    assert two.history(HISTORY_LIMIT * 2) == tuple(make_events(1, HISTORY_LIMIT + 1))


def test_history_drops_the_oldest_beyond_its_limit(handles):
    one, two = handles
    one.record(make_events(0, HISTORY_LIMIT - 1))
    one.record(make_events(HISTORY_LIMIT - 1, HISTORY_LIMIT + 2))
    assert two.history(HISTORY_LIMIT * 2) == tuple(make_events(2, HISTORY_LIMIT + 2))
    one.record(make_events(0, HISTORY_LIMIT + 5))
    assert two.history(HISTORY_LIMIT * 2) == tuple(make_events(5, HISTORY_LIMIT + 5))


def test_hold_keeps_everybody_else_out_and_names_the_holder(handles):
    """F-073, F-074: free, held by somebody else, held by oneself; it cannot be stolen."""
    one, two = handles
    with one.hold("ann@desk", "one pass", 0):
        with (
            pytest.raises(StoreHeld, match=r"ann@desk \(one pass\) \(process \d+\)") as caught,
            two.hold("bob", "looking", 0),
        ):
            pass
        assert caught.value.message.endswith(", for 0 s")
        assert "end process" in caught.value.hint


def test_hold_gives_up_after_the_time_it_was_given(handles):
    one, two = handles
    with one.hold("ann", "looking", 0):
        began = time.monotonic()
        with pytest.raises(StoreHeld, match="ann"), two.hold("bob", "looking", 0.2):
            pass
        assert 0.2 <= time.monotonic() - began < 5


def test_hold_waits_until_the_holder_has_finished(handles):
    one, two = handles
    told: list[str] = []
    waiting = threading.Event()

    def wait_for_it() -> None:
        with closing(reopened(two)) as mine:
            waiting.set()
            with mine.hold("bob", "looking", 60):
                told.append("bob")

    thread = threading.Thread(target=wait_for_it)
    with one.hold("ann", "looking", 0):
        thread.start()
        waiting.wait(60)
        with pytest.raises(StoreHeld, match="ann"), one.hold("carol", "looking", 0.1):
            pass
        told.append("ann")
    thread.join(60)
    assert told == ["ann", "bob"]


def test_hold_ends_with_its_block_even_after_an_error(handles):
    one, two = handles
    with pytest.raises(ZeroDivisionError), one.hold("ann", "looking", 0):
        raise ZeroDivisionError
    with two.hold("bob", "looking", 0), pytest.raises(StoreHeld, match="bob"), one.hold("ann", "looking", 0):
        pass


def test_commit_needs_no_hold(handles):
    one, two = handles
    with one.hold("ann", "looking", 0):
        assert two.commit(fill(two.load(), 1)).revision == 1
