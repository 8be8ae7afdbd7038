from __future__ import annotations

import pytest

from fleetssh.core.gathering import gather
from fleetssh.core.model import Placement, State, TargetState, Wanted
from fleetssh.core.requirements import read_unit
from fleetssh.core.takeover import Bond, Item, items, take_in
from tests.core.holding import CLUSTER, Copy, copy, machine, seen, text
from tests.core.world import INACTIVE, LAUNCHED, LOADED

A, B = "a.service", "b.service"
EVERYWHERE = text("first", "Global=true")


def wanted(name: str, content: bytes = text(), target: TargetState = LAUNCHED, generation: int = 0) -> Wanted:
    return Wanted(read_unit(name, content), target, generation)


def state(*units: Wanted, **places: str) -> State:
    placements = {
        f"{name}.service": Placement(f"{name}.service", at, "a test") for name, at in places.items()
    }
    return State(CLUSTER, 4, {one.unit.name: one for one in units}, placements)


def take(before: State, *copies: Copy) -> tuple[State, tuple[Item, ...]]:
    """The state after taking in machine m1, which holds ``copies``, and what is told of each."""
    looked, held = machine(1, *copies)
    after = take_in(before, gather(seen((looked, held)), CLUSTER), {item.name: {"m1"} for item in copies})
    return after, items(before, after, held)


def test_a_unit_that_is_not_known_is_taken_in_as_it_is() -> None:
    after, told = take(state(), copy(A, target=LOADED, generation=3), copy(B, EVERYWHERE))
    assert after.wanted == {A: wanted(A, target=LOADED, generation=3), B: wanted(B, EVERYWHERE)}
    assert {name: placed.machine for name, placed in after.placements.items()} == {A: "m1"}
    assert (after.cluster, after.revision) == (CLUSTER, 4)
    assert told == (
        Item(A, LOADED, Bond.NEW, "taken in as it is"),
        Item(B, LAUNCHED, Bond.NEW, "taken in as it is"),
    )


def test_a_unit_that_is_known_with_the_same_text_stays_and_nothing_follows() -> None:
    before = state(wanted(A), a="m1")
    after, told = take(before, copy(A))
    assert after == before
    assert told == (Item(A, LAUNCHED, Bond.SAME),)


@pytest.mark.parametrize(
    ("here", "there", "item"),
    [
        (
            wanted(A, text("second")),
            copy(A),
            Item(A, LAUNCHED, Bond.OTHER, "the next pass replaces it and restarts it"),
        ),
        (
            wanted(A, text("second"), LOADED),
            copy(A, target=LOADED),
            Item(A, LOADED, Bond.OTHER, "the next pass replaces it"),
        ),
        (
            wanted(A, target=LOADED),
            copy(A),
            Item(A, LAUNCHED, Bond.SAME, "it is loaded here: the next pass stops it"),
        ),
        (
            wanted(A),
            copy(A, target=LOADED),
            Item(A, LOADED, Bond.SAME, "it is launched here: the next pass starts it"),
        ),
        (
            wanted(A, target=INACTIVE),
            copy(A),
            Item(A, LAUNCHED, Bond.SAME, "it is inactive here: the next pass takes it off"),
        ),
        (
            wanted(A, generation=2),
            copy(A, generation=1),
            Item(A, LAUNCHED, Bond.SAME, "a restart was asked for: the next pass restarts it"),
        ),
        (
            wanted(A),
            copy(A, there=text("by hand")),
            Item(
                A,
                LAUNCHED,
                Bond.SAME,
                "its file was changed by hand: the next pass replaces it and restarts it",
            ),
        ),
        (wanted(A), copy(A, there=None), Item(A, LAUNCHED, Bond.SAME)),
    ],
)
def test_what_a_known_unit_has_to_expect_is_told(here: Wanted, there: Copy, item: Item) -> None:
    after, told = take(state(here, a="m1"), there)
    assert told == (item,)
    assert (after.wanted[A].unit, after.wanted[A].target) == (here.unit, here.target)


def test_a_unit_whose_file_is_of_no_use_and_that_is_not_known_is_told_to_end() -> None:
    after, told = take(state(), copy(A, there=None), copy(B, target=LOADED, there=b"nonsense"))
    assert after == state()
    assert told == (
        Item(A, LAUNCHED, Bond.LOST, "the next pass stops it and takes it off"),
        Item(B, LOADED, Bond.LOST, "the next pass takes it off"),
    )


def test_a_later_restart_restarts_because_the_generation_is_that_of_the_machine() -> None:
    """A state of yesterday (a restored backup) has smaller numbers than the machines."""
    after, told = take(state(wanted(A, generation=1), a="m1"), copy(A, generation=6))
    assert after.wanted[A].generation == 6
    assert told == (Item(A, LAUNCHED, Bond.SAME),)


# ---------------------------------------------------------------- places


@pytest.mark.parametrize(
    ("holders", "silent", "place"),
    [
        ({"m1"}, set(), "m1"),
        ({"m1", "m2"}, set(), "m2"),
        ({"m1"}, {"m2"}, "m2"),
        ({"m1"}, {"m3"}, "m1"),
    ],
)
def test_a_known_unit_gets_the_place_it_was_found_in_unless_its_own_may_have_it(
    holders: set[str], silent: set[str], place: str
) -> None:
    """It moved since the backup: nothing is moved back. But two copies are not both kept."""
    looked, held = machine(1, copy(A))
    before = state(wanted(A), a="m2")
    after = take_in(before, gather(seen((looked, held)), CLUSTER), {A: holders}, silent)
    assert after.placements[A].machine == place
    [item] = items(before, after, held)
    leaves = "it belongs on m2...: the next pass takes it off there"
    assert item.then == ("" if place == "m1" else leaves)


def test_a_unit_that_is_inactive_here_keeps_its_place_for_whoever_starts_it_before_the_next_pass() -> None:
    after, _ = take(state(wanted(A, target=INACTIVE)), copy(A))
    assert after.placements[A].machine == "m1"
    assert after.wanted[A].target is INACTIVE


def test_a_unit_that_is_global_here_gets_no_place() -> None:
    after, _ = take(state(wanted(A, EVERYWHERE)), copy(A))
    assert after.placements == {}


def test_what_other_machines_hold_is_not_forgotten() -> None:
    before = state(wanted(B), b="m9")
    after, _ = take(before, copy(A))
    assert after.wanted[B] == before.wanted[B]
    assert after.placements["b.service"] == before.placements["b.service"]
