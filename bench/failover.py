"""A machine loses its power under ``fleetssh run`` at its defaults: seconds until its units run elsewhere."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bench.table import Row, tell
from fleetssh.lab import Lab
from tests.live.conftest import Fleet, wait_for
from tests.live.faults.controller import Loop
from tests.live.faults.witness import Witness

TRIALS = 20
MACHINES, UNITS = 3, 30
"""As fleet was measured: evenly spread, so that the victim runs ten."""

MEDIAN_AIM, WORST_AIM = 5.0, 10.0
FLEET_DEFAULT, FLEET_SHORTEST = 28.2, 4.8
"""Seconds, medians of six, on machines like these: fleet at its defaults; at agent_ttl=1s, where a machine
that is busy for a third of a second is taken for dead."""

GIVE_UP = 60.0

NAMES = [f"u{number:02}.service" for number in range(UNITS)]


@dataclass(frozen=True, slots=True)
class Trial:
    """Seconds from the power cut until the machine was doubted, was given up, the first of its units ran
    elsewhere, and the last."""

    victim: str
    doubted: float | None
    lost: float | None
    first: float
    last: float

    def __str__(self) -> str:
        def said(seconds: float | None) -> str:
            return "?" if seconds is None else f"{seconds:.2f}"

        return (
            f"{self.victim}: doubted {said(self.doubted)}, lost {said(self.lost)}, "
            f"first unit {self.first:.2f}, all units {self.last:.2f} s"
        )


def user(lab: Lab, folder: Path) -> Fleet:
    """Somebody with an inventory, a state file, and every setting at its default."""
    found = Fleet(lab, folder, folder)
    for name in [name for name in found.env if name.startswith(("FLEETSSH_LOST", "FLEETSSH_CONNECT"))]:
        del found.env[name]
    return found


def trial(fleet: Fleet, witness: Witness, chance: random.Random) -> Trial:
    """One power cut, at a random moment of the loop; afterwards all is as before."""
    fleet.run("start", *NAMES)
    wait_for(lambda: all(len(homes) == 1 for homes in witness.homes().values()), GIVE_UP, "all units to run")
    before = {unit: homes[0] for unit, homes in witness.homes().items()}
    victim = chance.choice(sorted(set(before.values())))
    moved = [unit for unit, home in before.items() if home == victim]
    assert len(moved) == UNITS // MACHINES, before
    time.sleep(2 + chance.uniform(0, 2))
    cut, cut_at = time.monotonic(), time.time()
    fleet.lab.kill(victim)
    wait_for(
        lambda: all(set(witness.homes()[unit]) - {victim} for unit in moved),
        GIVE_UP,
        "units to run elsewhere",
    )
    began = sorted(
        life.began - cut
        for life in witness.testify(since=cut).lives
        if life.unit in moved and life.began > cut
    )
    said = judged(fleet, victim, cut_at)
    fleet.lab.boot(victim)
    wait_for(lambda: victim in answering(fleet), GIVE_UP, "the machine to be up again")
    fleet.run("unload", *NAMES)
    return Trial(victim, said.get("doubtful"), said.get("lost"), began[0], began[-1])


def answering(fleet: Fleet) -> list[str]:
    """The hosts that a listing finds up."""
    found = json.loads(fleet.run("list-machines", "-o", "json", code=None).out)
    return [machine["host"] for machine in found if machine["health"] == "up"]


def judged(fleet: Fleet, victim: str, since: float) -> dict[str, float]:
    """When the machine was first said to be doubtful and lost, in seconds after the power cut."""
    found: dict[str, float] = {}
    for event in json.loads(fleet.run("events", "--machine", victim, "--kind", "health", "-o", "json").out):
        at = datetime.fromisoformat(event["time"]).timestamp() - since
        for word in ("doubtful", "lost"):
            if at > 0 and word in json.dumps(event):
                found.setdefault(word, at)
    return found


def trials(lab: Lab, folder: Path, number: int) -> list[Trial]:
    """All of them, told one by one."""
    fleet, chance = user(lab, folder), random.Random(number)
    for name in NAMES:
        fleet.unit(name, "[Service]\nExecStart=/bin/sleep infinity\n")
    done = []
    with Loop(fleet), Witness(lab, NAMES) as witness:
        for count in range(number):
            done.append(trial(fleet, witness, chance))
            tell(f"{count + 1}: {done[-1]}")
    return done


def rows(lab: Lab, folder: Path, number: int = TRIALS) -> Iterator[Row]:
    done = trials(lab, folder, number)
    times = sorted(found.last for found in done)
    median = (times[(number - 1) // 2] + times[number // 2]) / 2
    what = f"power cut of a machine until its {UNITS // MACHINES} units run elsewhere, {number} trials"
    yield Row(f"{what}: median", median, "s", "fleet, default", FLEET_DEFAULT, MEDIAN_AIM)
    yield Row(f"{what}: worst", times[-1], "s", "fleet, shortest", FLEET_SHORTEST, WORST_AIM)
