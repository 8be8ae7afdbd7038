from __future__ import annotations

from dataclasses import replace

import pytest

from fleetssh.core.model import Action, MachinePlan, Step
from fleetssh.core.outcomes import done_steps
from fleetssh.core.sighting import Failure, Found, Outcome, Unreached
from tests.core.world import find, reach, up

M1 = up(1)
TOLD = MachinePlan(
    "h1",
    M1.id,
    (
        Step(Action.STOP, "old.service", "gone"),
        Step(Action.STOP, "odd.service", "gone"),
        Step(Action.WRITE, "a.service", "new"),
        Step(Action.WRITE, "b.service", "new"),
        Step(Action.RELOAD, "", "unit files change"),
        Step(Action.START, "a.service", "new"),
        Step(Action.START, "b.service", "new"),
        Step(Action.NOTE, "c.service", "its target changed"),
    ),
)
ALL = [f"{step.action} {step.unit}".strip() for step in TOLD.steps]
RUNNING = find("a.service"), find("b.service")


def says(action: Action, *, ok: bool = True, unit: str = "") -> Outcome:
    return Outcome(action, unit, ok, "" if ok else "it said why")


WELL = [says(action) for action in (Action.STOP, Action.LINK, Action.RELOAD, Action.START)]


def done(*outcomes: Outcome, found: tuple[Found, ...] = RUNNING) -> list[str]:
    """What was done of TOLD, as ``action unit``."""
    answer = replace(reach(M1, *found), outcomes=outcomes)
    return [f"{step.action} {step.unit}".strip() for step in done_steps(TOLD, answer)]


def failing(action: Action) -> list[Outcome]:
    """The answer of a visit in which everything went well but one kind of step."""
    return [replace(outcome, ok=outcome.action is not action) for outcome in WELL]


def test_without_a_complaint_everything_was_done() -> None:
    assert done(*WELL) == ALL


def test_without_an_answer_nothing_is_known_to_be_done() -> None:
    assert done_steps(TOLD, Unreached("h1", Failure.HALF, "cut off")) == ()


def test_what_the_machine_did_not_come_to_was_not_done() -> None:
    assert done(says(Action.NOTE, ok=False)) == []
    full = says(Action.NOTE, ok=False)  # the disk became full after units were stopped
    assert done(says(Action.STOP), full) == ["stop old.service", "stop odd.service"]


def test_a_list_of_ours_that_could_not_be_written_at_last_undoes_nothing() -> None:
    assert done(*WELL, says(Action.NOTE, ok=False)) == ALL[:-1]


def test_of_stops_that_failed_together_what_does_not_run_was_stopped() -> None:
    found = (find("old.service", active="inactive"), find("odd.service", active="deactivating"))
    assert done(says(Action.STOP, ok=False), found=found) == ["stop old.service", "note c.service"]


def test_of_starts_that_failed_together_what_runs_was_started() -> None:
    found = (find("a.service"), find("b.service", active="failed"))
    assert done(*failing(Action.START), found=found) == [s for s in ALL if s != "start b.service"]


def test_a_reload_that_failed_was_not_done() -> None:
    assert done(*failing(Action.RELOAD)) == [step for step in ALL if step != "reload"]


@pytest.mark.parametrize("outcomes", [failing(Action.LINK), [*WELL, says(Action.WRITE, ok=False)]])
def test_files_that_could_not_be_linked_or_enabled_are_not_told_as_written(outcomes: list[Outcome]) -> None:
    assert done(*outcomes) == [step for step in ALL if not step.startswith("write")]


def test_nothing_was_done_with_a_unit_that_the_machine_has_for_itself() -> None:
    own = says(Action.WRITE, ok=False, unit="a.service")
    assert done(own, *WELL) == [step for step in ALL if "a.service" not in step]
