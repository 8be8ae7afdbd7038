from __future__ import annotations

from typing import Any

import pytest

from fleetssh.core.mending import follow, mend, release, resting
from fleetssh.core.model import Action, Step
from fleetssh.core.sighting import Ending
from tests.core.world import INACTIVE, LAUNCHED, LOADED, find, want

NAME = "a.service"
Row = tuple[str, dict[str, Any], dict[str, Any] | None, list[str]]

STOPPED = {"active": "inactive", "ending": Ending.BY_REQUEST}
ENDED = {"active": "inactive", "ending": Ending.BY_ITSELF}
LIES = {"active": "inactive", "target": LOADED}

# The first rows, and those of a replaced text, are fleet's (F-083); the rest is what it did not look at.
TABLE: list[Row] = [
    # what it is,                      what is wanted,     what was found,    the steps
    ("new, loaded", {"target": LOADED}, None, ["write"]),
    ("new, launched", {}, None, ["write", "start"]),
    ("runs as wanted", {}, {}, []),
    ("lies as wanted", {"target": LOADED}, {**LIES}, []),
    # its file was deleted by hand: it comes back, and nothing else changes
    ("deleted, runs", {}, {"text": None}, ["write"]),
    ("deleted, lies", {"target": LOADED}, {"text": None, **LIES}, ["write"]),
    ("deleted, stopped", {}, {"text": None, **STOPPED}, ["write", "start"]),
    ("deleted, ended", {}, {"text": None, **ENDED}, ["write"]),
    ("deleted, failed", {}, {"text": None, "active": "failed"}, ["write"]),
    ("deleted, restart asked", {"generation": 1}, {"text": None}, ["write", "restart"]),
    ("deleted, to be held", {"target": LOADED}, {"text": None}, ["write", "stop"]),
    ("deleted, never started", {}, {"text": None, **LIES}, ["write", "start"]),
    # changed by hand, replaced by the operator: stop under the old text, start under the new
    ("changed, runs", {}, {"text": "by hand"}, ["stop", "write", "start"]),
    ("changed, failed", {}, {"text": "by hand", "active": "failed"}, ["write", "start"]),
    ("changed, ended", {}, {"text": "by hand", "active": "inactive"}, ["write", "start"]),
    ("changed, lies", {"target": LOADED}, {"text": "by hand", **LIES}, ["write"]),
    ("changed, runs by a timer", {"target": LOADED}, {"text": "by hand", "target": LOADED}, ["write"]),
    ("replaced, runs", {"text": "second"}, {}, ["stop", "write", "start"]),
    ("replaced, in a loop", {"text": "second"}, {"active": "activating"}, ["stop", "write", "start"]),
    ("replaced, to be held", {"text": "second", "target": LOADED}, {}, ["stop", "write"]),
    ("cut before its stop", {"text": "new"}, {"target": LOADED, "noted": "new"}, ["stop", "write", "start"]),
    # the link
    ("unlinked, runs", {}, {"linked": False}, ["link"]),
    ("unlinked, stopped", {}, {"linked": False, **STOPPED}, ["link", "start"]),
    # launched
    ("load to launched", {}, {**LIES}, ["start"]),
    ("load to launched, failed", {}, {"target": LOADED, "active": "failed"}, ["start"]),
    ("load to launched, runs already", {}, {"target": LOADED}, ["note"]),
    ("stopped by hand", {}, {**STOPPED}, ["start"]),
    ("ended by itself", {}, {**ENDED}, []),
    ("never started", {}, {"active": "inactive", "ending": Ending.NEVER_STARTED}, []),
    ("could not be started", {}, {"active": "inactive", "ending": Ending.START_FAILED}, []),
    ("nothing known of its end", {}, {"active": "inactive"}, []),
    ("failed", {}, {"active": "failed"}, []),
    ("restarts in a loop", {}, {"active": "activating", "sub": "auto-restart"}, []),
    ("starts", {}, {"active": "activating", "sub": "start"}, []),
    ("stops", {}, {"active": "deactivating", "sub": "stop-sigterm"}, []),
    ("reloads", {}, {"active": "reloading", "sub": "reload"}, []),
    ("restart asked, runs", {"generation": 2}, {"generation": 1}, ["restart"]),
    ("restart asked, failed", {"generation": 2}, {"active": "failed"}, ["restart"]),
    ("restart asked, ended", {"generation": 2}, {**ENDED}, ["restart"]),
    ("restart asked, never launched", {"generation": 2}, {**LIES}, ["start"]),
    ("older generation", {"generation": 1}, {"generation": 2}, ["note"]),
    # loaded
    ("launched to loaded", {"target": LOADED}, {}, ["stop"]),
    ("launched to loaded, failed", {"target": LOADED}, {"active": "failed"}, ["note"]),
    ("launched to loaded, ended", {"target": LOADED}, {"active": "inactive"}, ["note"]),
    ("launched to loaded, in a loop", {"target": LOADED}, {"active": "activating"}, ["stop"]),
    ("loaded, started by a timer", {"target": LOADED}, {"target": LOADED}, []),
    ("loaded, failed", {"target": LOADED}, {"target": LOADED, "active": "failed"}, []),
    # a visit that was cut short: whether systemd has read the file is not known
    ("written, not noted", {}, {"noted": "second"}, ["write"]),
    ("written, not noted nor started", {}, {"noted": "second", **LIES}, ["write", "start"]),
    ("noted, not written", {}, {"noted": "nothing", "text": None, **LIES}, ["write", "start"]),
    # the manifest alone
    ("generation of what lies", {"target": LOADED, "generation": 3}, {**LIES}, ["note"]),
]  # fmt: skip


def steps(wanted: dict[str, Any], found: dict[str, Any] | None, *, retry: bool = False) -> list[Step]:
    item = None if found is None else find(NAME, **found)
    return mend(want(NAME, **wanted), item, "chosen", retry, frozenset())


def actions(made: list[Step]) -> list[str]:
    return [str(step.action) for step in made]


@pytest.mark.parametrize(("what", "wanted", "found", "expected"), TABLE, ids=[row[0] for row in TABLE])
def test_every_row_of_the_mending_table(
    what: str, wanted: dict[str, Any], found: dict[str, Any] | None, expected: list[str]
) -> None:
    made = steps(wanted, found)
    assert actions(made) == expected, what
    assert all(step.unit == NAME and step.reason for step in made)


@pytest.mark.parametrize(
    "found",
    [
        {"active": "failed"},
        {"active": "inactive", "ending": Ending.BY_ITSELF},
        {"active": "inactive", "ending": Ending.NEVER_STARTED},
        {"active": "inactive", "ending": Ending.START_FAILED},
        {"active": "inactive"},
    ],
)
def test_what_rests_is_started_again_when_an_operator_asks(found: dict[str, Any]) -> None:
    assert actions(steps({}, found, retry=True)) == ["start"]


def test_asking_for_a_start_leaves_what_runs_alone() -> None:
    assert steps({}, {}, retry=True) == []
    assert steps({"target": LOADED}, {"target": LOADED, "active": "failed"}, retry=True) == []


def test_reasons_tell_a_change_by_hand_from_a_replaced_file() -> None:
    assert {step.reason for step in steps({}, {"text": "by hand"})} == {"its file was changed by hand"}
    assert {step.reason for step in steps({"text": "second"}, {})} == {"its file was replaced"}
    assert {step.reason for step in steps({}, None)} == {"chosen"}


@pytest.mark.parametrize(
    ("active", "expected"),
    [
        ("active", ["stop", "remove"]),
        ("activating", ["stop", "remove"]),
        ("deactivating", ["stop", "remove"]),
        ("reloading", ["stop", "remove"]),
        ("refreshing", ["stop", "remove"]),
        ("maintenance", ["stop", "remove"]),
        ("inactive", ["remove"]),
        ("failed", ["remove"]),
    ],
)
def test_what_leaves_is_stopped_when_it_runs(active: str, expected: list[str]) -> None:
    assert actions(release(find(NAME, active=active), "gone")) == expected


# ---------------------------------------------------------------- units that systemd ties together


def test_what_is_bound_to_a_unit_that_lies_still_stays_down() -> None:
    bound = want("side.service", bound_to=("main.service",))
    stopped = find("side.service", active="inactive", ending=Ending.BY_REQUEST)
    assert actions(mend(bound, stopped, "", False, frozenset({"main.service"}))) == []
    assert actions(mend(bound, stopped, "", False, frozenset({"other.service"}))) == ["start"]


def test_failed_units_units_not_to_run_and_what_they_took_down_lie_still() -> None:
    here = {
        "failed.service": want("failed.service"),
        "held.service": want("held.service", LOADED),
        "side.service": want("side.service", bound_to=("failed.service",)),
        "far.service": want("far.service", bound_to=("side.service",)),
        "free.service": want("free.service"),
    }
    stopped = {"active": "inactive", "ending": Ending.BY_REQUEST}
    found = {
        "failed.service": find("failed.service", active="failed"),
        "held.service": find("held.service", INACTIVE, "inactive"),
        **{name: find(name, **stopped) for name in ("side.service", "far.service", "free.service")},
    }
    assert resting(here, found) == {"failed.service", "held.service", "side.service", "far.service"}


def test_a_sidekick_comes_back_with_the_unit_that_is_stopped_and_started() -> None:
    here = {
        "main.service": want("main.service", text="second"),
        "side.service": want("side.service", bound_to=("main.service",)),
        "far.service": want("far.service", bound_to=("side.service",)),
        "held.service": want("held.service", LOADED, bound_to=("main.service",)),
        "idle.service": want("idle.service", bound_to=("main.service",)),
    }
    found = {name: find(name) for name in here} | {"idle.service": find("idle.service", active="inactive")}
    replaced = mend(here["main.service"], found["main.service"], "", False, frozenset())
    assert [(step.action, step.unit) for step in follow(replaced, here, found)] == [
        (Action.START, "side.service"),
        (Action.START, "far.service"),
    ]


def test_a_sidekick_goes_down_with_the_unit_that_is_only_stopped() -> None:
    here = {
        "main.service": want("main.service", LOADED),
        "side.service": want("side.service", bound_to=("main.service",)),
    }
    found = {name: find(name) for name in here}
    held = mend(here["main.service"], found["main.service"], "", False, frozenset())
    assert actions(held) == ["stop"]
    assert follow(held, here, found) == []
    assert LAUNCHED is here["side.service"].target


@pytest.mark.parametrize("active", ["active", "activating", "reloading"])
def test_an_operators_stop_is_for_what_somebody_else_started_too(active: str) -> None:
    """A timer or a socket started it, or a visit that was cut short before it had noted that."""
    assert actions(steps({"target": LOADED}, {"target": LOADED, "active": active})) == []
    assert actions(steps({"target": LOADED}, {"target": LOADED, "active": active}, retry=True)) == ["stop"]


def test_an_operators_restart_is_for_what_somebody_else_started_too() -> None:
    assert actions(steps({"generation": 1}, {"target": LOADED})) == ["note"]
    assert actions(steps({"generation": 1}, {"target": LOADED}, retry=True)) == ["restart"]
    assert actions(steps({"generation": 1}, {"target": LOADED, "active": "inactive"}, retry=True)) == [
        "start"
    ]


# ---------------------------------------------------------------- leases

DOWN = {"active": "inactive", "lease": 30}


@pytest.mark.parametrize(
    ("lease", "alive", "found", "expected"),
    [
        # as it should be
        (30, {30}, {"lease": 30}, []),
        (0, {30}, {}, []),
        # added, changed, taken away in place
        (30, {30}, {}, ["its lease is 30 s now"]),
        (60, {30}, {"lease": 30}, ["its lease is 60 s now"]),
        (0, {30}, {"lease": 30}, ["it has no lease any more (30 s until now)"]),
        # it runs, and its lease does not: never left so, but for what is just being stopped
        (30, set(), {"lease": 30}, ["its lease does not run there"]),
        (30, {60}, {"lease": 30, "active": "activating"}, ["its lease does not run there"]),
        (30, set(), {"lease": 30, "active": "deactivating"}, []),
        # its lease ran out: stopped, killed, or kept from starting
        (30, set(), {**DOWN, "ending": Ending.BY_REQUEST}, ["its lease ran out"]),
        (30, set(), {**DOWN, "ending": Ending.START_FAILED}, ["its lease ran out"]),
        (30, set(), {**DOWN, "ending": Ending.NEVER_STARTED}, ["its lease ran out"]),
        (30, set(), {**DOWN, "active": "failed"}, ["its lease ran out"]),
        # it was through before, or fell while its lease ran
        (30, set(), {**DOWN, "ending": Ending.BY_ITSELF}, []),
        (30, {30}, {**DOWN, "ending": Ending.BY_REQUEST}, ["it was stopped by hand"]),
        (30, {30}, {**DOWN, "ending": Ending.START_FAILED}, []),
        (30, {30}, {**DOWN, "active": "failed"}, []),
    ],
)
def test_leases_change_in_place_and_one_that_ran_out_is_no_failure(
    lease: int, alive: set[int], found: dict[str, Any], expected: list[str]
) -> None:
    made = mend(want(NAME), find(NAME, **found), "chosen", False, frozenset(), lease, frozenset(alive))
    assert [step.reason for step in made] == expected
    lasting = [
        Action.LEASE if "lease" in reason and "ran" not in reason else Action.START for reason in expected
    ]
    assert [step.action for step in made] == lasting
