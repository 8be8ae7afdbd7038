from __future__ import annotations

from dataclasses import replace

import pytest

from fleetssh.core.editing import ask_restart, destroy_units, disturbed_neighbour, put_units, set_target
from fleetssh.core.errors import CommandError
from fleetssh.core.model import Placement, State, TargetState
from tests.core.world import INACTIVE, LAUNCHED, LOADED, want

A, B = "a.service", "b.service"
STATE = State("c1", 7, {A: want(A), B: want(B, LOADED)}, {A: Placement(A, "m1", "why")})


def test_a_new_unit_is_inactive() -> None:
    unit = want("c.service").unit
    after = put_units(STATE, [unit])
    assert after.wanted["c.service"] == want("c.service", INACTIVE)
    assert {name: after.wanted[name] for name in STATE.wanted} == STATE.wanted


def test_a_replaced_text_keeps_target_generation_and_place() -> None:
    state = replace(STATE, wanted={A: want(A, generation=4)})
    after = put_units(state, [want(A, text="second").unit])
    assert after.wanted == {A: want(A, text="second", generation=4)}
    assert after.placements == STATE.placements


def test_targets_are_set_for_the_named_alone() -> None:
    after = set_target(STATE, [A], INACTIVE)
    assert after.wanted == {A: want(A, INACTIVE), B: want(B, LOADED)}


def test_a_changed_unit_that_conflicts_with_a_neighbour_is_the_one_that_leaves() -> None:
    places = {A: Placement(A, "m1", "why"), B: Placement(B, "m1", "why")}
    state = replace(STATE, placements=places)
    assert put_units(state, [want(A, conflicts=("b*",)).unit]).placements == {B: places[B]}
    assert disturbed_neighbour(state, want(A, conflicts=("b*",)).unit) == B
    # Not a neighbour, or not a conflict of its own making.
    apart = replace(STATE, placements={**places, B: Placement(B, "m2", "why")})
    assert put_units(apart, [want(A, conflicts=("b*",)).unit]).placements == apart.placements
    assert put_units(state, [want(A, conflicts=("a*",)).unit]).placements == places


@pytest.mark.parametrize("target", [LOADED, LAUNCHED])
def test_a_template_cannot_be_activated(target: TargetState) -> None:
    state = put_units(STATE, [want("t@.service").unit])
    with pytest.raises(CommandError, match="cannot activate template") as caught:
        set_target(state, [A, "t@.service"], target)
    assert caught.value.hint == "start an instance of it: t@1.service"
    assert set_target(state, ["t@.service"], INACTIVE) == state


def test_asking_for_a_restart_raises_the_generation() -> None:
    after = ask_restart(ask_restart(STATE, [A]), [A, B])
    assert (after.wanted[A].generation, after.wanted[B].generation) == (2, 1)
    assert (after.wanted[A].target, after.wanted[B].target) == (LAUNCHED, LOADED)


def test_destroyed_units_are_forgotten() -> None:
    after = destroy_units(STATE, [A, "never.service"])
    assert after.wanted.keys() == {B}


def test_nothing_given_is_changed() -> None:
    wanted = dict(STATE.wanted)
    for edited in (
        put_units(STATE, [want(A, text="second").unit]),
        set_target(STATE, [A], LOADED),
        ask_restart(STATE, [A]),
        destroy_units(STATE, [A]),
    ):
        assert edited != STATE
        assert (edited.cluster, edited.revision) == ("c1", 7)
    assert STATE.wanted == wanted
