"""What a machine really did of the steps that it was told, judged from its answer."""

from __future__ import annotations

from fleetssh.core.mending import RUNNING
from fleetssh.core.model import Action, MachinePlan, Reached, Sighting, Step

JOBS = frozenset({Action.STOP, Action.START, Action.RESTART})
"""Steps that are jobs of systemd: one command names all units, and one answer is about all of them."""


def done_steps(told: MachinePlan, answer: Sighting) -> tuple[Step, ...]:
    """The steps of ``told`` that the visit's own ``answer`` shows to be done, in their order.

    None when no answer came. A machine answers for all steps of one kind together, and a visit ends early
    when it cannot begin or cannot stop a unit. What should run and does was started, whatever was said of
    the others.
    """
    if not isinstance(answer, Reached):
        return ()
    failed = {(outcome.action, outcome.unit) for outcome in answer.outcomes if not outcome.ok}
    if failed & {(Action.NOTE, ""), (Action.STOP, "")}:
        return ()
    runs = {item.entry.name for item in answer.found if item.active in RUNNING}
    return tuple(
        step
        for step in told.steps
        if (step.action, step.unit) not in failed
        and ((step.action, "") not in failed or (step.action in JOBS and step.unit in runs))
    )
