"""Rule 5 where a machine is silent: what it may still run is started nowhere else."""

from __future__ import annotations

import hashlib

from fleetssh.core.doubt import UNANSWERED, Doubt
from fleetssh.core.model import (
    Action,
    Health,
    Layout,
    Machine,
    Placement,
    Plan,
    State,
    TargetState,
    Unit,
    Wanted,
)
from fleetssh.core.planning import make_plan
from fleetssh.core.sighting import Facts, Failure, Found, Manifest, ManifestEntry, Reached, Unreached

TEXT = b"[Service]\nExecStart=/bin/true\n"
DIGEST = hashlib.sha1(TEXT).hexdigest()
UNIT = "web.service"
HERE, SILENT = Machine("1" * 32, "here"), Machine("2" * 32, "silent", health=Health.DOUBTFUL)
STATE = State("c", 1, {UNIT: Wanted(Unit(UNIT, TEXT, DIGEST, DIGEST), TargetState.LAUNCHED)})
LAYOUT = Layout({UNIT: Placement(UNIT, HERE.id, "least loaded")}, {}, {})


def plan(host: str, *found: Found, layout: Layout = LAYOUT) -> Plan:
    entries = tuple(item.entry for item in found)
    sightings = {
        "here": Reached("here", "10.0.0.1", Facts(HERE.id, "b"), Manifest("c", 0, entries), found),
        "silent": Unreached("silent", Failure.TIMEOUT),
    }
    in_doubt = {UNIT: Doubt(UNIT, host, UNANSWERED)} if host else {}
    return make_plan(STATE, layout, [HERE, SILENT], sightings, in_doubt=in_doubt)


def actions(plan: Plan) -> list[Action]:
    return [step.action for wave in plan.waves for visit in wave for step in visit.steps]


def test_a_unit_that_a_silent_machine_had_last_is_not_started_elsewhere():
    waiting = plan("silent")
    assert actions(waiting) == []
    assert any("waits: silent, which had it last" in remark for remark in waiting.remarks)


def test_it_is_started_when_no_machine_in_doubt_had_it():
    assert actions(plan("")) == [Action.WRITE, Action.RELOAD, Action.START]


def test_a_copy_that_runs_where_it_belongs_is_mended_all_the_same():
    entry = ManifestEntry(UNIT, DIGEST, TargetState.LAUNCHED, 0)
    running = Found(entry, DIGEST, linked=False, active="active", sub="running")
    assert actions(plan("silent", running)) == [Action.LINK, Action.RELOAD]


def test_the_machine_in_doubt_itself_may_start_it_when_it_answers():
    entry = ManifestEntry(UNIT, DIGEST, TargetState.LOADED, 0)
    assert actions(plan("here", Found(entry, DIGEST))) == [Action.START]


AWAY = Layout({UNIT: Placement(UNIT, SILENT.id, "least loaded")}, {}, {})
COPY = Found(ManifestEntry(UNIT, DIGEST, TargetState.LAUNCHED, 0), DIGEST, active="active", sub="running")


def test_the_only_copy_stays_while_its_new_home_is_silent():
    assert actions(plan("", COPY, layout=AWAY)) == []


def test_an_old_copy_goes_when_its_home_was_seen_to_have_it():
    assert actions(plan("silent", COPY, layout=AWAY)) == [Action.STOP, Action.REMOVE, Action.RELOAD]
