from __future__ import annotations

from dataclasses import replace

import pytest

from fleetssh.core.model import Action, Failure, Found, MachinePlan, Outcome, Step, Unreached
from fleetssh.core.outcomes import done_steps
from tests.core.world import find, reach, up

M1 = up(1)
TOLD = MachinePlan(
    "h1",
    M1.id,
    (
        Step(Action.STOP, "old.service", "gone"),
        Step(Action.WRITE, "a.service", "new"),
        Step(Action.WRITE, "b.service", "new"),
        Step(Action.RELOAD, "", "unit files change"),
        Step(Action.START, "a.service", "new"),
        Step(Action.START, "b.service", "new"),
    ),
)
RUNNING = find("a.service"), find("b.service")


def said(*outcomes: Outcome, found: tuple[Found, ...] = RUNNING) -> list[str]:
    """What was done of TOLD, as ``action unit``."""
    answer = replace(reach(M1, *found), outcomes=outcomes)
    return [f"{step.action} {step.unit}".strip() for step in done_steps(TOLD, answer)]


ALL = [
    "stop old.service",
    "write a.service",
    "write b.service",
    "reload",
    "start a.service",
    "start b.service",
]


def test_without_a_complaint_everything_was_done() -> None:
    assert said() == ALL
    assert said(Outcome(Action.START, "a.service", True)) == ALL


def test_without_an_answer_nothing_is_known_to_be_done() -> None:
    assert done_steps(TOLD, Unreached("h1", Failure.HALF, "cut off")) == ()


def test_a_step_that_failed_was_not_done_and_the_others_were() -> None:
    assert said(Outcome(Action.WRITE, "a.service", False, "no space")) == [
        step for step in ALL if step != "write a.service"
    ]


def test_of_starts_that_failed_together_what_runs_was_started() -> None:
    failed = Outcome(Action.START, "", False, "Job for b.service failed")
    assert said(failed, found=(find("a.service"), find("b.service", active="failed"))) == ALL[:-1]


def test_a_reload_that_failed_was_not_done() -> None:
    assert "reload" not in said(Outcome(Action.RELOAD, "", False, "Access denied"))


@pytest.mark.parametrize("action", [Action.NOTE, Action.STOP])
def test_a_visit_that_ended_early_did_nothing(action: Action) -> None:
    assert said(Outcome(action, "", False, "another controller is at work")) == []
