"""What a machine really did of the steps that it was told, judged from its answer."""

from __future__ import annotations

from collections.abc import Set

from fleetssh.core.mending import RUNNING
from fleetssh.core.model import Action, MachinePlan, Step
from fleetssh.core.sighting import Reached, Sighting

JOBS = frozenset({Action.STOP, Action.START, Action.RESTART})
"""Steps that are jobs of systemd: one command names all units, and one answer is about all of them."""


def done_steps(told: MachinePlan, answer: Sighting) -> tuple[Step, ...]:
    """The steps of ``told`` that the visit's own ``answer`` shows to be done, in their order.

    A machine answers for each kind of step that it came to, for all its units together; a visit that cannot
    go on ends early. Of jobs that failed, those units count that now run, or do not, as they should. With a
    unit that has a failure of its own nothing was done: the machine has a unit of that name for itself, or it
    does not stop.
    """
    if not isinstance(answer, Reached):
        return ()
    barred = {outcome.unit for outcome in answer.outcomes if outcome.unit and not outcome.ok}
    tried = {outcome.action for outcome in answer.outcomes if not outcome.unit}
    failed = {outcome.action for outcome in answer.outcomes if not outcome.unit and not outcome.ok}
    runs = {item.entry.name for item in answer.found if item.active in RUNNING}
    return tuple(
        step for step in told.steps if step.unit not in barred and _was_done(step, tried, failed, runs)
    )


def _was_done(step: Step, tried: Set[Action], failed: Set[Action], runs: Set[str]) -> bool:
    match step.action:
        case Action.NOTE:
            return Action.NOTE not in failed  # the manifest is written last, and silently
        case Action.WRITE:
            return Action.LINK in tried and not failed & {Action.LINK, Action.WRITE}  # linked once in place
        case Action.STOP if step.action in failed:
            return step.unit not in runs
        case Action.START | Action.RESTART if step.action in failed:
            return step.unit in runs
        case _:
            return step.action in tried - failed
