"""Sidekicks stay down with the unit that they are bound to, and that is no trouble."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest

from fleetssh.core.model import Action, Layout, Machine, Placement, State, TargetState, Unit, Wanted
from fleetssh.core.planning import make_plan
from fleetssh.core.report import Verdict, report_unit
from fleetssh.core.sighting import Ending, Facts, Found, Manifest, ManifestEntry, Reached

TEXT = b"[Service]\nExecStart=/bin/true\n"
DIGEST = hashlib.sha1(TEXT).hexdigest()
MACHINE = Machine("1" * 32, "m1")
APACHE, SIDEKICK, SECOND = "apache.service", "sidekick.service", "second.service"
BOUND_TO = {APACHE: (), SIDEKICK: (APACHE,), SECOND: (SIDEKICK,)}
"""A chain: stopping the first one stops all."""

LAYOUT = Layout({name: Placement(name, MACHINE.id, "here") for name in BOUND_TO}, {}, {})


def state(apache: TargetState) -> State:
    return State(
        "c",
        1,
        {
            name: Wanted(
                Unit(name, TEXT, DIGEST, DIGEST, bound_to=bound),
                apache if name == APACHE else TargetState.LAUNCHED,
            )
            for name, bound in BOUND_TO.items()
        },
    )


def sighting(apache: TargetState, **endings: Ending) -> Reached:
    found = tuple(
        Found(
            ManifestEntry(name, DIGEST, apache if name == APACHE else TargetState.LAUNCHED, 0),
            DIGEST,
            active="inactive",
            ending=endings.get(name.removesuffix(".service"), Ending.BY_REQUEST),
        )
        for name in BOUND_TO
    )
    return Reached(
        "m1", "10.0.0.1", Facts(MACHINE.id, "b"), Manifest("c", 0, tuple(f.entry for f in found)), found
    )


def started(wanted: TargetState, seen: Reached) -> list[str]:
    plan = make_plan(state(wanted), LAYOUT, [MACHINE], {"m1": seen})
    return [s.unit for wave in plan.waves for visit in wave for s in visit.steps if s.action is Action.START]


def verdicts(wanted: TargetState, seen: Reached) -> list[Verdict]:
    return [
        report.verdict
        for name in BOUND_TO
        for report in report_unit(name, state(wanted), LAYOUT, [MACHINE], {"m1": seen})
    ]


def test_what_was_stopped_with_a_stopped_unit_rests():
    seen = sighting(TargetState.LOADED)
    assert started(TargetState.LOADED, seen) == []
    assert verdicts(TargetState.LOADED, seen) == [Verdict.LOADED, Verdict.RESTING, Verdict.RESTING]


def test_it_comes_back_with_it():
    assert sorted(started(TargetState.LAUNCHED, sighting(TargetState.LOADED))) == sorted(BOUND_TO)


def test_what_was_stopped_with_a_failed_unit_rests_and_only_that_one_is_told():
    seen = sighting(TargetState.LAUNCHED)
    failed = dataclasses.replace(seen.found[0], active="failed", ending=None)
    seen = dataclasses.replace(seen, found=(failed, *seen.found[1:]))
    assert started(TargetState.LAUNCHED, seen) == []
    assert verdicts(TargetState.LAUNCHED, seen) == [Verdict.FAILED, Verdict.RESTING, Verdict.RESTING]


@pytest.mark.parametrize("ending", [Ending.NEVER_STARTED, Ending.START_FAILED])
def test_a_sidekick_that_did_not_start_is_trouble_of_its_own(ending: Ending):
    seen = sighting(TargetState.LOADED, sidekick=ending)
    assert verdicts(TargetState.LOADED, seen)[1] is Verdict.FAILED


def test_what_was_stopped_alone_is_started_again():
    seen = sighting(TargetState.LAUNCHED)
    runs = dataclasses.replace(seen.found[0], active="active", sub="running", ending=None)
    seen = dataclasses.replace(seen, found=(runs, *seen.found[1:]))
    assert sorted(started(TargetState.LAUNCHED, seen)) == sorted([SIDEKICK, SECOND])
    assert verdicts(TargetState.LAUNCHED, seen)[1] is Verdict.MISSING
