"""The rows of the table of faults in which it is the controller that something happens to."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from fleetssh import clock
from tests.live.conftest import Answer, Fleet, wait_for
from tests.live.faults.controller import Cron, Loop
from tests.live.faults.lane import LEASED, ORDINARY, UNITS, Lane
from tests.live.faults.rows import PASSES_TO_CONVERGE, Fate, Seen, slug_of
from tests.live.faults.witness import Account, Life, Witness
from tests.live.outside import service
from tests.live.test_moving import give_role

MOVERS = ("mover.service", "leased-mover.service")
"""Units that have to change machines all the time, because the inventory says otherwise."""

MACHINES = ("m1", "m2", "m3")

LEASE = 60
"""Seconds: no machine is lost here, and several commands in a row that visit none for the sake of leases take
a while on a busy computer."""


@dataclass(frozen=True)
class Stage:
    """A user with units that have nothing to do and units that move, and who watches them. ``inventories``
    are the machines that the latter can belong on, each with the inventory that says so, for ever."""

    fleet: Fleet
    witness: Witness
    inventories: Iterator[tuple[str, str]]

    def turn(self) -> str:
        """Has them belong on the next machine. Whoever reads the inventory meanwhile reads all of it."""
        home, text = next(self.inventories)
        draft = self.fleet.folder / "draft"
        draft.write_text(text)
        draft.rename(self.fleet.env["FLEETSSH_INVENTORY"])
        return home

    def settle(self) -> int:
        """Passes until nothing is left to do."""
        for count in range(PASSES_TO_CONVERGE + 1):
            done = self.fleet.run("reconcile", code=None)
            if (done.code, done.out) == (0, ""):
                return count
        raise AssertionError(f"{PASSES_TO_CONVERGE} passes were not enough: {done}")


@dataclass(frozen=True)
class Upset:
    """``act`` upsets the controller so many ``times``, and gives the most passes that it took to converge."""

    name: str
    act: Callable[[Stage, int], int]
    times: int
    all_times: int

    @property
    def slug(self) -> str:
        """Its name as a word."""
        return slug_of(self.name)

    def play(self, lane: Lane, *, whole: bool = False) -> Seen:
        """Plays it, at its full length or a short one."""
        with staged(lane) as stage:
            began = clock.monotonic()
            passes = self.act(stage, self.all_times if whole else self.times)
            stage.witness.sample()
        seen = stage.witness.testify(since=began)
        return _judged(self.name, seen, passes)


@contextmanager
def staged(lane: Lane) -> Iterator[Stage]:
    """A clean lane with all units at work."""
    fleet = lane.user(LEASE)
    for unit, lease in zip(MOVERS, ("", f"Lease={LEASE}"), strict=True):
        fleet.unit(unit, service(fleet=["MachineMetadata=role=front", lease]))
    with Witness(lane.lab, [*UNITS, *MOVERS]) as witness:
        stage = Stage(fleet, witness, cycle([(machine, _inventory(fleet, machine)) for machine in MACHINES]))
        home = stage.turn()
        fleet.run("start", *UNITS, *MOVERS)
        wait_for(lambda: all(homes for homes in witness.homes().values()))
        assert [witness.homes()[unit] for unit in MOVERS] == [[home]] * 2
        yield stage


def _inventory(fleet: Fleet, machine: str) -> str:
    give_role(fleet, machine)
    return Path(fleet.env["FLEETSSH_INVENTORY"]).read_text()


def _judged(name: str, seen: Account, passes: int) -> Seen:
    everything = (*UNITS, *MOVERS)
    return Seen(
        name=name,
        fate=Fate.STAY,
        thaws=False,
        twice=max(map(seen.twice, (*ORDINARY, MOVERS[0]))),
        twice_after=0.0,
        twice_leased=max(map(seen.twice, (*LEASED, MOVERS[1]))),
        lost=tuple(unit for unit in everything if len(seen.running(unit)) != 1),
        stopped=tuple(life for life in seen.lives if _is_wrong(life)),
        passes_to_move=None,
        passes_to_converge=passes,
        away=max(map(seen.away, ORDINARY)),
        away_leased=max(map(seen.away, LEASED)),
        told="",
        blind=seen.blind,
    )


def _is_wrong(life: Life) -> bool:
    return life.unit in UNITS and life.ended is not None


# ---------------------------------------------------------------- what happens to it


def killed(stage: Stage, times: int) -> int:
    """kill -9 at a random moment of a pass that has units to move."""
    chance = random.Random(times)
    most = 0
    stage.turn()
    began = clock.monotonic()
    assert "mover.service" in stage.fleet.run("reconcile").out
    usual = clock.monotonic() - began
    for _ in range(times):
        home = stage.turn()
        process = stage.fleet.popen("reconcile")
        # Before that it is only Python that starts.
        clock.sleep(usual * chance.uniform(0.3, 1.0))
        process.kill()
        process.communicate()
        most = max(most, stage.settle())
        assert [stage.witness.homes()[unit] for unit in MOVERS] == [[home]] * 2
    return most


def raced(stage: Stage, times: int) -> int:
    """Two controllers make passes over one state file as fast as they can, while units have to move."""
    with Cron(stage.fleet, 0.0) as one, Cron(stage.fleet, 0.0) as other:
        while len(one.turns) + len(other.turns) < times:
            stage.turn()
            clock.sleep(1.0)
    assert all(turn.well for turn in (*one.turns, *other.turns)), [
        t for t in (*one.turns, *other.turns) if not t.well
    ]
    return stage.settle()


def raced_with_copy(stage: Stage, times: int) -> int:
    """Somebody else makes passes with a copy of the state file, and wants the units elsewhere: one of the two
    is refused, and touches nothing."""
    one, other = stage.fleet, copied(stage.fleet)
    answers: list[Answer] = []
    for _ in range(times // 2):
        stage.turn()
        give_role(other, "m1")
        answers += [user.run("reconcile", code=None) for user in (other, one)]
    refused = [answer.code == 6 for answer in answers]
    assert refused[2:] == refused[2:4] * (len(refused) // 2 - 1) and any(refused), answers
    stage = Stage(other if refused[-1] else one, stage.witness, stage.inventories)
    return stage.settle()


def copied(fleet: Fleet) -> Fleet:
    """Another person, with a copy of all that the first one has."""
    folder = fleet.folder / "copy"
    folder.mkdir()
    for path in fleet.folder.iterdir():
        if path.is_file():
            shutil.copy(path, folder)
    other = Fleet(fleet.lab, folder, folder)
    other.env |= {"USER": "somebody-else", "LOGNAME": "somebody-else"}
    return other


def rebuilt(stage: Stage, times: int) -> int:
    """The state file is deleted, cron goes on for a pass, and somebody has it rebuilt."""
    most = 0
    for _ in range(times):
        for path in stage.fleet.folder.glob("state.db*"):
            path.unlink()
        stage.fleet.run("reconcile", code=None)
        for path in stage.fleet.folder.glob("state.db*"):
            path.unlink()
        stage.fleet.run("state", "rebuild", "--yes")
        most = max(most, stage.settle())
        stage.turn()
        assert "mover.service" in stage.fleet.run("reconcile").out
    return most


def restarted(stage: Stage, times: int) -> int:
    """The loop ends and begins anew, as with an upgrade."""
    for _ in range(times):
        with Loop(stage.fleet) as loop:
            loop.wait_passes(1, 0.0)
    return stage.settle()


UPSETS = (
    Upset("controller killed at random moments", killed, 6, 20),
    Upset("two controllers, one state file", raced, 16, 50),
    Upset("two controllers, a copied state file", raced_with_copy, 8, 50),
    Upset("state file deleted, then rebuilt", rebuilt, 1, 5),
    Upset("the loop ended and begun anew", restarted, 2, 10),
)
