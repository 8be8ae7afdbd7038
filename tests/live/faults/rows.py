"""The table of faults: what breaks, how long it lasts, and what must not have happened when it is over."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace

from fleetssh import clock
from tests.live.conftest import Fleet
from tests.live.faults import harm
from tests.live.faults.controller import Controller, Loop
from tests.live.faults.harm import Harm
from tests.live.faults.lane import LEASE, LEASED, ORDINARY, UNITS, Lane
from tests.live.faults.witness import Account, Life, Span, Witness

MOVED_WITHIN = 120.0
"""Seconds for units to run elsewhere: a lease and the time that a visit stays valid have to pass first."""

CONVERGED_WITHIN = 60.0

SHORT = 8
"""Passes for which a fault lasts at most where time is short."""

PASSES_TO_CONVERGE = 5
"""The most passes from the mending of a fault until nothing is left to do."""

AWAKE = 3.0
"""Seconds that a leased unit may go on after a machine thaws: until PID 1 sees that its time is over, which
AccuracySec=1s puts off for a second, and has stopped it, on a computer that is busy."""


def run_loop(fleet: Fleet) -> Controller:
    """``fleetssh run``, twice as often as by default, so that tests wait less."""
    return Loop(fleet, "--interval", "1")


def slug_of(name: str) -> str:
    """A name as a word."""
    return "-".join("".join(c if c.isalnum() else " " for c in name).split())


class Fate(enum.Enum):
    """What becomes of the machine's units while the fault lasts."""

    STAY = "stay"
    MOVE = "move"


@dataclass(frozen=True)
class Row:
    """A fault of one machine (or of all). ``passes`` is how long it lasts at least where units stay,
    unless it ``outlasts_lease``; where they move, it lasts until they run elsewhere. ``during`` is done while
    it lasts; ``around`` may change what the user works with."""

    name: str
    fate: Fate
    breaks: Harm
    mends: Harm = harm.nothing
    during: Harm = harm.nothing
    passes: int = 4
    outlasts_lease: bool = False
    dies: bool = False
    everywhere: bool = False
    freezes: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)
    around: Callable[[Fleet], AbstractContextManager[None]] = lambda _: nullcontext()
    controller: Callable[[Fleet], Controller] = run_loop

    @property
    def slug(self) -> str:
        """Its name as a word."""
        return slug_of(self.name)

    def play(self, lane: Lane, *, whole: bool = False) -> Seen:
        """Plays it and tells what was seen; fails when units do not move or things do not settle."""
        fleet = lane.user()
        fleet.env.update(self.settings)
        with self.around(fleet):
            fleet.run("start", *UNITS)
            with Witness(lane.lab, UNITS) as witness, self.controller(fleet) as passes:
                return self._play(fleet, witness, passes, self.passes if whole else min(self.passes, SHORT))

    def _play(self, fleet: Fleet, witness: Witness, passes: Controller, least: int) -> Seen:
        passes.wait_quiet(0.0)
        before = witness.homes()
        (victim,) = before[ORDINARY[0]]
        broken = clock.monotonic()
        self.breaks(fleet, victim)
        self.during(fleet, victim)
        moved = None
        if self.fate is Fate.MOVE:
            passes.wait(lambda: _is_elsewhere(before, witness.homes(), victim), MOVED_WITHIN, "units to move")
            moved = len(passes.since(broken)) + 1
            passes.wait_passes(1, clock.monotonic())
        else:
            passes.wait_passes(least, broken)
        if self.outlasts_lease:
            passes.wait(
                lambda: not any(witness.homes()[unit] == [victim] for unit in LEASED),
                2.0 * LEASE,
                "a lease to run out",
            )
        told = "".join(turn.out + turn.err for turn in passes.turns if turn.ended >= broken)
        mended = clock.monotonic()
        self.mends(fleet, victim)
        passes.wait_quiet(mended, CONVERGED_WITHIN)
        converged = passes.busy(mended)
        witness.sample()
        seen = witness.testify(since=broken)
        everybody = frozenset(machine.name for machine in fleet.lab.machines())
        harmed = everybody if self.everywhere else frozenset({victim})
        frozen = [Span(machine, broken, mended) for machine in harmed if self.freezes]
        back = replace(seen, began=mended)
        return Seen(
            name=self.name,
            fate=self.fate,
            thaws=self.freezes,
            twice=max(seen.twice(unit, frozen) for unit in ORDINARY),
            twice_after=max(back.twice(unit) for unit in ORDINARY),
            twice_leased=max(seen.twice(unit, frozen) for unit in LEASED),
            lost=tuple(unit for unit in UNITS if len(seen.running(unit)) != 1),
            stopped=tuple(_wrongly_stopped(self, seen, harmed)),
            passes_to_move=moved,
            passes_to_converge=converged,
            away=max(map(seen.away, ORDINARY)),
            away_leased=max(map(seen.away, LEASED)),
            told=told,
            blind=seen.blind,
        )


@dataclass(frozen=True)
class Seen:
    """What was seen of a row: seconds in which an ordinary unit ran twice before and after its machine was
    back, and a leased one at all; units that ran nowhere at the end; lives that ended and should not have;
    passes until the units ran elsewhere, and from the mending until nothing was left to do; the longest time
    that an ordinary and a leased unit was away; what the operator was told last while it lasted."""

    name: str
    fate: Fate
    thaws: bool
    twice: float
    twice_after: float
    twice_leased: float
    lost: tuple[str, ...]
    stopped: tuple[Life, ...]
    passes_to_move: int | None
    passes_to_converge: int
    away: float
    away_leased: float
    told: str
    blind: float


def _is_elsewhere(before: Mapping[str, list[str]], now: Mapping[str, list[str]], victim: str) -> bool:
    return all(set(now[unit]) - {victim} for unit, homes in before.items() if victim in homes)


def _wrongly_stopped(row: Row, seen: Account, harmed: frozenset[str]) -> list[Life]:
    """Lives that ended though nothing was the matter with them: on a machine that was fine, or on one that
    was only out of reach while nobody else ran the unit. A lease that ran out is no such thing."""
    found = []
    for life in seen.lives:
        if life.ended is None or (life.machine in harmed and (row.dies or life.unit in LEASED)):
            continue
        elsewhere = [name for name in seen.running(life.unit, life.ended) if name != life.machine]
        if not (life.machine in harmed and elsewhere):
            found.append(life)
    return found


def faults(seen: Seen) -> list[str]:
    """What must not have happened, in words."""
    found = [f"{unit} runs on no machine, or on several" for unit in seen.lost]
    found += [f"{life.unit} was stopped on {life.machine}" for life in seen.stopped]
    allowed = AWAKE if seen.thaws else 0.0
    if seen.twice_leased > allowed:
        found.append(f"a leased unit ran twice for {seen.twice_leased:.2f} s")
    if seen.twice and seen.fate is Fate.STAY:
        found.append(f"an ordinary unit ran twice for {seen.twice:.2f} s")
    if seen.passes_to_converge > PASSES_TO_CONVERGE:
        found.append(f"it took {seen.passes_to_converge} passes to converge")
    return found
