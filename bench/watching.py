"""``fleetssh run`` at its defaults over many machines for minutes: what it costs, and what grows."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.failover import user
from bench.floor import Floor
from bench.passes import measured
from bench.table import Row, tell
from fleetssh.lab import Lab
from tests.live.faults.controller import Loop

MACHINES = 40
SECONDS = 600.0
WARM_PASSES = 10
"""Before the first figure: everything that is ever imported is, and every connection is open."""

IDLE_SECONDS = 20.0
EVERY = 5.0
"""Seconds between two figures."""

CPU_AIM, MACHINE_AIM = 3.0, 15.0
GROWTH_AIM = 1.05
"""The end, compared with the beginning. Files come and go while a connection is replaced by a new one."""

TICKS = os.sysconf("SC_CLK_TCK")
UNIT = "[Service]\nExecStart=/bin/sleep infinity\n[X-Fleet]\nGlobal=true\n"


@dataclass(frozen=True, slots=True)
class Figures:
    """A process at one moment: resident megabytes, open files, CPU seconds so far."""

    memory: float
    files: int
    cpu: float


def look(pid: int) -> Figures:
    """Asks the kernel."""
    process = Path(f"/proc/{pid}")
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    return Figures(
        memory=int(status["VmRSS"].split()[0]) / 1024,
        files=len(list((process / "fd").iterdir())),
        cpu=(int(fields[11]) + int(fields[12])) / TICKS,
    )


def rows(lab: Lab, folder: Path, seconds: float = SECONDS) -> Iterator[Row]:
    fleet = user(lab, folder)
    fleet.run("start", fleet.unit("watched.service", UNIT))
    size = len(lab.machines())
    used, began = lab.used_seconds, time.monotonic()
    time.sleep(IDLE_SECONDS)
    idle = (lab.used_seconds - used) / (time.monotonic() - began)
    tell(f"{size} machines at rest use {idle:.3f} s of CPU a second")
    with Loop(fleet) as loop:
        loop.wait_passes(WARM_PASSES, 0.0)
        figures = [look(loop.process.pid)]
        used, began, passes = lab.used_seconds, time.monotonic(), len(loop.turns)
        while time.monotonic() < began + seconds:
            time.sleep(EVERY)
            figures.append(look(loop.process.pid))
            tell(f"{time.monotonic() - began:4.0f} s: {figures[-1]}")
        lasted, inside = time.monotonic() - began, lab.used_seconds - used
        made, told = len(loop.turns) - passes, [turn for turn in loop.turns[passes:] if turn.out or turn.err]
    assert not told, told
    floor = Floor(lab)
    floor.cold()
    _, floor_cpu, floor_inside = measured(lab, floor.warm)
    floor.close()
    first, last = figures[0], figures[-1]
    what = f"{size} machines watched for {lasted:.0f} s, {made} passes"
    most = max(figure.memory for figure in figures)
    most_files = max(figure.files for figure in figures)
    yield Row(f"{what}: memory at the end", last.memory, "MB", "at the beginning", first.memory, GROWTH_AIM,
              judge_ratio=True, note=f"at most {most:.0f}")  # fmt: skip
    yield Row(f"{what}: open files at the end", last.files, "files", "at the beginning", first.files,
              GROWTH_AIM, judge_ratio=True, note=f"at most {most_files}")  # fmt: skip
    cpu = (last.cpu - first.cpu) / made / size
    yield Row(f"{what}: controller's CPU a machine and pass", cpu * 1000, "ms", "paramiko",
              floor_cpu / size, CPU_AIM)  # fmt: skip
    own = (inside - idle * lasted) / made / size
    rest = f"{inside / made / size * 1000:.1f} ms with what it uses at rest"
    yield Row(f"{what}: a machine's CPU a pass", own * 1000, "ms", "paramiko", floor_inside / size,
              MACHINE_AIM, note=rest)  # fmt: skip
