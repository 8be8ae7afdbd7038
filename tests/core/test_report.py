from __future__ import annotations

from dataclasses import replace

import pytest

from fleetssh.core.model import Health, Layout, Machine, Refusal, State, Wanted
from fleetssh.core.report import DONE, UnitReport, Verdict, judge_launched, report_unit
from fleetssh.core.sighting import Detail, Ending, Failure, Found, Sighting, Unreached
from tests.core.world import INACTIVE, LOADED, find, lay, reach, up, want

A = "a.service"
M1, M2 = up(1), up(2)


def report(
    wanted: Wanted | None,
    layout: Layout,
    *sightings: Sighting,
    machines: tuple[Machine, ...] = (M1, M2),
) -> tuple[UnitReport, ...]:
    state = State("c1", 1, {A: wanted} if wanted else {})
    return report_unit(A, state, layout, machines, {one.host: one for one in sightings})


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (find(A), Verdict.LAUNCHED),
        (find(A, active="active", sub="exited"), Verdict.LAUNCHED),
        (find(A, active="reloading"), Verdict.LAUNCHED),
        (find(A, active="refreshing"), Verdict.LAUNCHED),
        (find(A, active="activating", sub="start-pre"), Verdict.STARTING),
        (find(A, active="deactivating"), Verdict.STARTING),
        (find(A, active="activating", sub="auto-restart"), Verdict.FAILED),
        (find(A, active="activating", sub="auto-restart-queued"), Verdict.FAILED),
        (find(A, active="failed"), Verdict.FAILED),
        (find(A, active="inactive", ending=Ending.BY_ITSELF), Verdict.LAUNCHED),
        (find(A, active="inactive", ending=Ending.BY_REQUEST), Verdict.MISSING),
        (find(A, active="inactive", ending=Ending.NEVER_STARTED), Verdict.FAILED),
        (find(A, active="inactive", ending=Ending.START_FAILED), Verdict.FAILED),
        (find(A, LOADED, "inactive"), Verdict.MISSING),
    ],
)
def test_launched_is_said_only_of_what_runs_or_ended_well(found: Found, verdict: Verdict) -> None:
    assert judge_launched(found) is verdict


@pytest.mark.parametrize(
    ("detail", "verdict"),
    [
        (Detail("success"), Verdict.LAUNCHED),
        (Detail(""), Verdict.LAUNCHED),
        (Detail("exit-code", "1", 1), Verdict.FAILED),
        (Detail("success", load_error="bad unit file setting"), Verdict.FAILED),
    ],
)
def test_details_of_what_ended_tell_whether_it_ended_well(detail: Detail, verdict: Verdict) -> None:
    ended = find(A, active="inactive", ending=Ending.BY_ITSELF)
    assert judge_launched(replace(ended, detail=detail)) is verdict


def test_what_nobody_wants_to_run_is_inactive() -> None:
    assert report(None, lay({})) == (UnitReport(A, Verdict.INACTIVE),)
    assert report(want(A, INACTIVE), lay({A: "m1"}), reach(M1, find(A))) == (UnitReport(A, Verdict.INACTIVE),)


def test_a_unit_without_a_place_says_why() -> None:
    layout = replace(lay({}), unplaced={A: (Refusal("m1", "no room"),)})
    assert report(want(A), layout) == (UnitReport(A, Verdict.UNPLACED, refusals=(Refusal("m1", "no room"),)),)


def test_a_unit_stands_on_the_machine_where_it_belongs() -> None:
    found = find(A)
    reports = report(want(A), lay({A: "m2"}), reach(M1, find(A)), reach(M2, found))
    assert reports == (UnitReport(A, Verdict.LAUNCHED, M2, found),)


def test_a_loaded_unit_is_loaded_when_its_file_is_there() -> None:
    wanted, layout = want(A, LOADED), lay({A: "m1"})
    for active in ("inactive", "active", "failed"):
        (one,) = report(wanted, layout, reach(M1, find(A, LOADED, active)))
        assert one.verdict is Verdict.LOADED
    (gone,) = report(wanted, layout, reach(M1, find(A, LOADED, "inactive", text=None)))
    assert gone.verdict is Verdict.MISSING


@pytest.mark.parametrize(
    ("wanted", "found", "verdict"),
    [
        (want(A, LOADED), find(A), Verdict.STOPPING),
        (want(A, LOADED), find(A, active="deactivating"), Verdict.STOPPING),
        # Seen to have stopped, by a look and not by the visit that gave up waiting for it.
        (want(A, LOADED), find(A, active="inactive"), Verdict.LOADED),
        (want(A, LOADED), find(A, active="failed"), Verdict.LOADED),
        # A timer or a person started it since: that is nobody's business.
        (want(A, LOADED), find(A, LOADED), Verdict.LOADED),
        (want(A, LOADED, text="second"), find(A, LOADED, "inactive"), Verdict.MISSING),
        # A new file waits until the unit has stopped under the old one.
        (want(A, text="second"), find(A, active="deactivating"), Verdict.STOPPING),
        (want(A, text="second"), find(A), Verdict.MISSING),
        (want(A), find(A, text="by hand"), Verdict.MISSING),
        # A restart that was asked for and not carried out.
        (want(A, generation=1), find(A), Verdict.MISSING),
        (want(A, generation=1), find(A, generation=1, active="deactivating"), Verdict.STARTING),
        (want(A), find(A, LOADED), Verdict.MISSING),
    ],
)
def test_what_a_visit_did_not_carry_out_is_not_said_to_be_done(
    wanted: Wanted, found: Found, verdict: Verdict
) -> None:
    (one,) = report(wanted, lay({A: "m1"}), reach(M1, found))
    assert one.verdict is verdict


def test_a_unit_that_is_not_on_its_machine_is_missing() -> None:
    assert report(want(A), lay({A: "m1"}), reach(M1)) == (UnitReport(A, Verdict.MISSING, M1),)


def test_nothing_is_known_of_a_machine_that_does_not_answer() -> None:
    silent = Unreached("h1", Failure.TIMEOUT)
    doubtful = replace(M1, health=Health.DOUBTFUL)
    expected = (UnitReport(A, Verdict.UNKNOWN, doubtful),)
    assert report(want(A), lay({A: "m1"}), silent, machines=(doubtful,)) == expected
    assert report(want(A), lay({A: "m1"}), machines=(doubtful,)) == expected
    # It was up when it was looked at, and silent when it was told what to do.
    assert report(want(A), lay({A: "m1"}), silent)[0].verdict is Verdict.UNKNOWN


def test_a_global_unit_has_one_report_a_machine_by_machine_id() -> None:
    layout = lay({}, {"m1": [A], "m2": [A]})
    reports = report(want(A, is_global=True), layout, reach(M1, find(A)), reach(M2), machines=(M2, M1))
    assert [(one.machine, one.verdict) for one in reports] == [
        (M1, Verdict.LAUNCHED),
        (M2, Verdict.MISSING),
    ]
    nowhere = report(want(A, is_global=True), lay({}))
    assert [one.verdict for one in nowhere] == [Verdict.UNPLACED]


def test_a_sidekick_that_went_down_with_its_unit_rests() -> None:
    stopped = find(A, active="inactive", ending=Ending.BY_REQUEST)
    main = "main.service"
    layout = lay({A: "m1", main: "m1"})

    def verdict(wanted: Wanted, found: Found) -> Verdict:
        state = State("c1", 1, {A: want(A, bound_to=(main,)), main: wanted})
        (one,) = report_unit(A, state, layout, (M1, M2), {"h1": reach(M1, stopped, found)})
        return one.verdict

    assert verdict(want(main, LOADED), find(main, LOADED, "inactive")) is Verdict.RESTING
    assert verdict(want(main), find(main, active="failed")) is Verdict.RESTING
    assert verdict(want(main), find(main)) is Verdict.MISSING


def test_done_is_what_the_operator_wanted() -> None:
    assert {Verdict.INACTIVE, Verdict.LOADED, Verdict.LAUNCHED, Verdict.RESTING} == DONE
