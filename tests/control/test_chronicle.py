"""What becomes of a pass in the history; what becomes of commands is in test_commands."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from fleetssh.control.chronicle import (
    TEXT_LIMIT,
    health_events,
    move_events,
    news,
    pass_events,
)
from fleetssh.control.result import Pass
from fleetssh.control.survey import Survey
from fleetssh.core.model import (
    Action,
    Layout,
    MachineRecord,
    Move,
    Plan,
    Refusal,
    Seen,
    State,
    Step,
    TargetState,
)
from fleetssh.core.sighting import Detail, Failure, Outcome, Sighting, Unreached
from fleetssh.store import Event
from tests.core.world import find, reach, up

WHO = "ann@desk"
M1, M2 = up(1), up(2)
A, B = "a.service", "b.service"
QUIET = Pass(
    State("c1"),
    Survey({"h1": reach(M1, find(A)), "h2": reach(M2)}, {}, (M1, M2)),
    Plan(Layout({}, {}, {})),
    {"h1": reach(M1, find(A)), "h2": reach(M2)},
    {},
    acted=True,
)


def told(done: Pass) -> list[tuple[str, str, str]]:
    """Kind, subject and text of what is remembered of a pass that took 1.25 s."""
    events = pass_events(WHO, done, 1.25, 100.0)
    assert {(event.at, event.who) for event in events} <= {(100.0, WHO)}
    return [(event.kind, event.subject, event.text) for event in events]


def looks(done: Pass, *sightings: Sighting) -> Pass:
    return replace(done, sightings={**done.sightings, **{s.host: s for s in sightings}})


# ---------------------------------------------------------------- passes


def test_nothing_is_remembered_of_a_pass_that_found_all_well() -> None:
    assert told(QUIET) == []


def test_what_a_machine_did_with_a_unit_is_one_event_and_every_reason_is_there() -> None:
    done = replace(
        QUIET,
        done=(
            ("h2", Step(Action.STOP, A, "it belongs on m1")),
            ("h2", Step(Action.REMOVE, A, "it belongs on m1")),
            ("h1", Step(Action.WRITE, A, "least loaded")),
            ("h1", Step(Action.WRITE, B, "its file was changed")),
            ("h1", Step(Action.RELOAD, "", "unit files change")),
            ("h1", Step(Action.RESTART, B, "restart asked for")),
            ("h1", Step(Action.NOTE, "c.service", "target changed")),
            ("h1", Step(Action.START, A, "least loaded")),
        ),
    )
    assert told(done) == [
        ("step", A, "h2: stop, remove (it belongs on m1)"),
        ("step", A, "h1: write, start (least loaded)"),
        ("step", B, "h1: write (its file was changed); restart (restart asked for)"),
        ("pass", "", "machines: 2, steps: 6, took 1.2 s"),
    ]


def test_a_step_that_was_planned_and_not_done_is_not_told() -> None:
    failed = Outcome(Action.WRITE, A, False, "no space\nleft")
    done = replace(QUIET, troubles=(("h1", failed), ("h2", Outcome(Action.NOTE, "", False, "read-only"))))
    assert told(done) == [
        ("trouble", A, "h1: write failed: no space; left"),
        ("trouble", "", "h2: read-only"),
        ("pass", "", "machines: 2, troubles: 2, took 1.2 s"),
    ]


def test_a_start_that_was_kept_back_and_an_alarm_are_troubles() -> None:
    done = replace(QUIET, withheld=frozenset({B, A}), survey=replace(QUIET.survey, alarm="all silent"))
    assert [line[:2] for line in told(done)] == [
        ("trouble", A),
        ("trouble", B),
        ("trouble", ""),
        ("pass", ""),
    ]


def test_a_unit_that_has_failed_is_told_once() -> None:
    failed = replace(find(B, active="failed"), detail=Detail("exit-code", "exited", 3))
    stopped = find("c.service", TargetState.LOADED, active="failed")
    done = looks(QUIET, reach(M1, failed, stopped))
    assert told(done) == [
        ("trouble", B, "h1: failed (exit-code, status 3)"),
        ("pass", "", "machines: 2, troubles: 1, took 1.2 s"),
    ]
    seen = (Seen(B, TargetState.LAUNCHED, "loaded", "failed", "failed"),)
    stored = {"h1": MachineRecord("h1", "m1", seen=seen)}
    assert told(replace(done, survey=replace(done.survey, stored=stored), records=stored)) == []


def test_units_without_a_place_are_named_as_far_as_a_person_reads() -> None:
    unplaced = {f"u{n}.service": (Refusal("m1", "is full"),) for n in range(4)}
    done = replace(QUIET, plan=Plan(Layout({}, {}, unplaced)))
    names = "u0.service, u1.service, u2.service, ..."
    assert told(done) == [("pass", "", f"machines: 2, unplaced: 4 ({names}), took 1.2 s")]


def test_machines_that_did_not_answer_and_moves_are_counted() -> None:
    moves = (Move(A, None, "m1", "least loaded"),)
    done = looks(replace(QUIET, plan=Plan(Layout({}, {}, {}, moves))), Unreached("h2", Failure.TIMEOUT))
    assert told(done) == [("pass", "", "machines: 2, unreached: 1, moves: 1, took 1.2 s")]


def test_a_machine_that_says_a_lot_cannot_swell_the_history() -> None:
    done = replace(QUIET, troubles=(("h1", Outcome(Action.START, A, False, "x" * 100_000)),))
    assert max(len(text) for _, _, text in told(done)) == TEXT_LIMIT


def test_moves_name_machines_in_full() -> None:
    whole = "0b2e8d256ae17a74522b8dce625be8a2"
    moves = [Move(A, None, whole, "least loaded"), Move(B, whole, None, "it was unloaded")]
    assert [event.text for event in move_events(WHO, moves, 1.0)] == [
        f"nowhere -> {whole}: least loaded",
        f"{whole} -> nowhere: it was unloaded",
    ]


# ---------------------------------------------------------------- machines

UP = MachineRecord("h1", "m1")
DOUBTFUL = replace(UP, failure="timed out: no answer")
LOST = replace(DOUBTFUL, lost=True)


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        (None, UP, "new -> up: seen for the first time"),
        (UP, DOUBTFUL, "up -> doubtful: timed out: no answer"),
        (DOUBTFUL, LOST, "doubtful -> lost: timed out: no answer"),
        (LOST, UP, "lost -> up: it answers again"),
        (DOUBTFUL, UP, "doubtful -> up: it answers again"),
        (UP, None, "no longer in the inventory"),
        (replace(UP, boot_id="b1"), replace(UP, boot_id="b2"), "up -> up: it was rebooted"),
        (replace(LOST, boot_id="b1"), replace(UP, boot_id="b2"), "lost -> up: it was rebooted"),
        (replace(LOST, boot_id="b1"), replace(UP, boot_id="b1"), "lost -> up: it answers again"),
    ],
)
def test_a_change_of_health_is_told_with_its_reason(
    before: MachineRecord | None, after: MachineRecord | None, text: str
) -> None:
    old, new = ({"h1": record} if record else {} for record in (before, after))
    assert health_events(WHO, old, new, 5.0) == (Event(5.0, WHO, "health", "h1", text),)


@pytest.mark.parametrize("record", [UP, DOUBTFUL, LOST])
def test_a_health_that_lasts_is_not_told_again(record: MachineRecord) -> None:
    later = replace(record, last_good=9.0, failure=record.failure and "connection refused")
    assert health_events(WHO, {"h1": record}, {"h1": later}, 5.0) == ()


# ---------------------------------------------------------------- news


def events(*texts: str, kind: str = "trouble", at: float = 1.0, who: str = WHO) -> list[Event]:
    return [Event(at, who, kind, A, text) for text in texts]


def passed(seconds: str) -> list[Event]:
    return events(f"machines: 2, troubles: 1, took {seconds} s", kind="pass")


def test_a_trouble_that_every_pass_meets_is_told_once() -> None:
    first = [*events("disk full"), *passed("0.1")]
    again = [*events("disk full", at=60.0, who="cron"), *passed("0.2")]
    assert news(again, first) == ()


@pytest.mark.parametrize(
    "latest",
    [
        [],
        passed("0.1"),
        [*events("no space"), *passed("0.1")],
        [*passed("0.1"), *events("disk full")],
        [*events("disk full"), *events("machines: 3, troubles: 1, took 0.2 s", kind="pass")],
    ],
)
def test_anything_else_is_news(latest: Iterable[Event]) -> None:
    fresh = [*events("disk full"), *passed("0.2")]
    assert news(fresh, tuple(latest)) == fresh
