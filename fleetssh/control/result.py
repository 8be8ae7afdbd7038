"""The result of one pass: a value that reconcile makes, and everybody else reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fleetssh.control.survey import Survey
from fleetssh.core.model import MachineRecord, Plan, State, Step
from fleetssh.core.sighting import Failure, Outcome, Sighting, Unreached


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass saw, decided and did.

    ``sightings`` are the newest looks by host; ``done`` are the steps that were really done and ``troubles``
    those that a machine answered with an error, as ``(host, step)`` and ``(host, outcome)``; ``withheld``
    names units not started because their old copy was not seen to have stopped. ``acted`` is false for a pass
    that only planned.
    """

    state: State
    survey: Survey
    plan: Plan
    sightings: Mapping[str, Sighting]
    records: Mapping[str, MachineRecord]
    done: tuple[tuple[str, Step], ...] = ()
    troubles: tuple[tuple[str, Outcome], ...] = ()
    withheld: frozenset[str] = frozenset()
    acted: bool = False

    @property
    def unreached(self) -> list[Unreached]:
        """The hosts whose newest look failed, sorted by name."""
        return [s for _, s in sorted(self.sightings.items()) if isinstance(s, Unreached)]

    @property
    def is_fenced(self) -> bool:
        """Whether a machine refused the pass because it obeys another controller."""
        return any(sighting.failure is Failure.FENCED for sighting in self.unreached)
