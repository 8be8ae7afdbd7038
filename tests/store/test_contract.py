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

from fleetssh.clock import Uptime
from fleetssh.core.errors import StoreConflict, StoreError, StoreHeld
from fleetssh.core.model import MachineRecord, Placement, Seen, State, TargetState, Wanted
from fleetssh.store import FRESH_SECONDS, HISTORY_LIMIT, REIGN, Event, Store
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
MOMENTS = st.integers(0, 100).map(lambda number: number * FRESH_SECONDS)  # so far apart that none waits
RECORDS = st.builds(
    MachineRecord,
    host=HOSTS,
    machine_id=st.text(max_size=4),
    boot_id=st.text(max_size=4),
    address=st.text(max_size=4),
    metadata=st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
    last_good=MOMENTS,
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
            st.integers(0, 90),
        ),
        max_size=2,
    ).map(tuple),
    uptime=MOMENTS,
    read_at=MOMENTS,
    armed_at=st.none() | st.floats(0, 4e9),
    way=st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
)


@pytest.mark.parametrize("opener", OPENERS.values(), ids=OPENERS)
@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.lists(RECORDS, max_size=3), st.lists(HOSTS, max_size=2)), max_size=5))
def test_any_sequence_of_remembering_equals_a_plain_dict(opener: Opener, calls):
    """F-091, F-092, F-179: a machine is forgotten alone, with all that was seen there; also one unknown."""
    with opener() as (one, two):
        expected: dict[str, MachineRecord] = {}
        for records, forgotten in calls:
            one.remember(iter(records), iter(forgotten))
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


def test_what_only_says_when_a_machine_answered_may_be_stored_later_and_nothing_else(handles):
    one, two = handles
    first = MachineRecord("h1", "m1", last_good=NOW, uptime=50.0, read_at=NOW, armed_at=NOW)
    one.remember([first])
    later = replace(first, last_good=NOW + 2, uptime=52.0, read_at=NOW + 2)
    one.remember([later])
    assert one.machines() == {"h1": later}
    assert two.machines()["h1"].read_at in (NOW, NOW + 2)
    armed = replace(later, armed_at=NOW + 1)
    one.remember([armed])
    assert one.machines() == two.machines() == {"h1": armed}
    two.remember([replace(armed, address="10.1.1.1")])
    assert one.machines()["h1"].address == "10.1.1.1"
    late = replace(armed, last_good=NOW + 3 + FRESH_SECONDS, read_at=NOW + 3 + FRESH_SECONDS)
    one.remember([late])
    assert one.machines() == two.machines() == {"h1": late}


@pytest.mark.parametrize(
    "change",
    [
        {"missed": 1},
        {"failure": "x"},
        {"lost": True},
        {"boot_id": "b"},
        {"armed_at": 1.0},
        {"way": {"a": "b"}},
        {"silent_since": 0.0},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_decides_is_stored_at_once(handles, change):
    one, two = handles
    one.remember([MachineRecord("h1", "m1")])
    changed = replace(MachineRecord("h1", "m1"), **change)
    one.remember([changed])
    assert two.machines() == {"h1": changed}
    one.remember([changed], ["h1"])
    one.remember([changed, MachineRecord("h1", "m1")])
    assert two.machines() == {"h1": MachineRecord("h1", "m1")}


def test_forgetting_is_stored_at_once(handles):
    one, two = handles
    one.remember([MachineRecord("h1", "m1"), MachineRecord("h2", "m2")])
    one.remember([MachineRecord("h2", "m2")], ["h1"])
    assert two.machines() == {"h2": MachineRecord("h2", "m2")}


# ---------------------------------------------------------------- fences


def hold(store: Store, who: str) -> int:
    with store.hold(who, "looking", 0) as fence:
        return fence


def test_a_fence_is_kept_by_who_holds_again_and_grows_with_every_change(handles):
    one, two = handles
    assert [hold(one, "ann@desk") for _ in range(3)] == [1, 1, 1]
    assert [hold(two, "ann@desk") for _ in range(2)] == [2, 2]
    assert hold(one, "ann@desk") == 3
    assert hold(two, "bob@desk") == 3 + REIGN
    assert hold(two, "ann@desk") == 3 + 2 * REIGN
    with closing(reopened(one)) as third:
        assert hold(third, "ann@desk") == 4 + 2 * REIGN


def test_a_fence_is_stored_before_the_hold_begins(handles):
    one, two = handles
    assert one.load().fence == 0
    with one.hold("ann@desk", "looking", 0) as fence:
        assert two.load().fence == fence == 1
        assert one.commit(fill(one.load(), 1)).fence == 1
        with pytest.raises(StoreHeld), two.hold("bob@desk", "looking", 0):
            pass
        assert two.load().fence == 1
    hold(two, "bob@desk")
    assert one.load().fence == two.load().fence == 1 + REIGN
    stale = replace(one.load(), fence=7)
    assert one.commit(stale).fence == 1 + REIGN


def test_two_copies_of_one_state_never_catch_up_with_each_other(handles):
    """A laptop is replaced, and the old one goes on for a year."""
    one, two = handles
    fence = hold(one, "ann@old")
    assert hold(two, "ann@new") > fence + 365 * 24 * 60


CLUSTER = "0123456789abcdef0123456789abcdef"


def test_an_empty_store_is_founded_with_a_cluster_and_a_fence(handles):
    one, two = handles
    hold(two, "bob@desk")
    with one.hold("ann@desk", "rebuilding", 0) as before:
        state = one.found(CLUSTER, 7 * REIGN)
        assert state == one.load() == two.load() == State(CLUSTER, fence=7 * REIGN)
        assert before < 7 * REIGN
    assert hold(one, "ann@desk") == 7 * REIGN
    assert hold(two, "ann@desk") == 7 * REIGN + 1
    assert one.commit(fill(state, 1)).cluster == CLUSTER
    with pytest.raises(StoreError, match="not empty: it is at revision 1, with 20 units"):
        two.found("f" * 32, 1)
    assert two.load().cluster == CLUSTER


def test_a_fence_never_shrinks(handles):
    one, two = handles
    one.found(CLUSTER, 5)
    assert one.found(CLUSTER, 3).fence == 5
    assert two.raise_fence(4) == 5
    assert two.raise_fence(9) == one.load().fence == 9


@pytest.mark.parametrize("cluster", ["", "x", "0" * 31, "0" * 33, "G" * 32, "A" * 32, "0" * 31 + "\n"])
def test_what_is_no_id_of_a_cluster_founds_nothing(handles, cluster):
    one, two = handles
    before = one.load()
    with pytest.raises(StoreError, match="is no id of a cluster"):
        one.found(cluster, 1)
    assert two.load() == before


def test_a_raised_fence_goes_on_with_the_next_hold(handles):
    one, two = handles
    with one.hold("ann@desk", "adopting", 0) as fence:
        assert one.raise_fence(fence + REIGN) == fence + REIGN
    assert hold(one, "ann@desk") == 1 + REIGN
    assert hold(two, "ann@desk") == 2 + REIGN


# ---------------------------------------------------------------- time


def test_time_begins_near_the_wall_clock_and_grows_with_uptimes_for_everybody(handles):
    one, two = handles
    assert one.time(Uptime("boot", 100.0)) == NOW
    assert two.time(Uptime("boot", 107.5)) == NOW + 7.5
    assert one.time(Uptime("boot", 107.5)) == NOW + 7.5


@pytest.mark.parametrize("field", ["silent_since", "read_at", "armed_at"])
def test_after_a_boot_time_goes_on_from_the_latest_instant_that_was_remembered(handles, field):
    one, two = handles
    one.time(Uptime("one", 1000.0))
    at = one.time(Uptime("one", 1010.0))
    one.remember([MachineRecord("h1", "m1", **{field: at}), MachineRecord("h2", "m2", read_at=at - 5)])
    one.remember([], ["h1"])
    one.time(Uptime("one", 1500.0))
    assert two.time(Uptime("two", 3.0)) == at
    assert one.time(Uptime("two", 4.0)) == at + 1
    assert two.time(Uptime("three", 9000.0)) == at


def test_a_clock_that_was_put_back_makes_time_stand_still_and_never_turn(handles):
    """Where the kernel has no uptime, there is only the wall clock."""
    one, two = handles
    at = one.time(Uptime("", 5000.0))
    assert two.time(Uptime("", 5010.0)) == at + 10
    two.remember([MachineRecord("h1", "m1", silent_since=at + 10)])
    assert one.time(Uptime("", 1400.0)) == at + 10
    assert one.time(Uptime("", 5009.0)) == at + 10
    assert one.time(Uptime("", 5011.0)) == at + 11


EPISODES = st.lists(
    st.tuples(st.sampled_from(["wait", "boot", "remember"]), st.floats(0, 1e5), st.booleans()), max_size=12
)


@pytest.mark.parametrize("opener", OPENERS.values(), ids=OPENERS)
@settings(max_examples=40, deadline=None)
@given(EPISODES)
def test_no_interval_is_ever_taken_for_longer_than_it_was(opener: Opener, episodes):
    with opener() as handles:
        elapsed, boot, booted = 0.0, 0, 0.0
        remembered: list[tuple[float, float]] = []
        for what, seconds, which in episodes:
            elapsed += seconds
            if what == "boot":
                boot, booted = boot + 1, elapsed
            at = handles[which].time(Uptime(f"boot{boot}", elapsed - booted))
            for then, when in remembered:
                assert then <= at <= then + (elapsed - when) + 1e-3
            if what == "remember":
                handles[not which].remember([MachineRecord("h1", "m1", armed_at=at)])
                remembered.append((at, elapsed))
