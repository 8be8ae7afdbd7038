"""From the command to every process running, on 3 machines; and what many units at rest cost."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench.table import Row, medians, tell
from fleetssh.control.cluster import Cluster
from fleetssh.control.reconcile import run_pass
from fleetssh.control.survey import survey
from fleetssh.core.health import Patience
from fleetssh.hosts.over_fabric import FabricCarrier
from fleetssh.inventory import load_inventory
from fleetssh.lab import Lab
from fleetssh.store import open_store

UNIT = "[Service]\nExecStart=/bin/sleep infinity\n"
STARTS = {1: (0.6, 2.8), 30: (1.0, 2.9), 1000: (8.0, 16.5)}
"""Units -> seconds aimed at, and the seconds that fleet took on a computer of this kind."""

PASS_CPU_AIM, FLEET_PASS_CPU = 400.0, 1200.0
LOOK_UNITS, LOOK_CPU_AIM = 100, 60.0
RUNS = 3


class Bench:
    """A user with unit files and a state file of the user's own."""

    def __init__(self, lab: Lab, folder: Path, count: int, text: str = UNIT) -> None:
        self.folder = folder / f"units{count}"
        self.folder.mkdir()
        self.names = [f"b{number:04}.service" for number in range(count)]
        for name in self.names:
            (self.folder / name).write_text(text)
        self.lab, self.state = lab, self.folder / "state.db"

    def run(self, verb: str) -> tuple[float, float]:
        """When a command was given and when it had ended (seconds since the epoch)."""
        env = {
            **os.environ,
            "FLEETSSH_INVENTORY": str(self.lab.inventory_path),
            "FLEETSSH_STATE": str(self.state),
        }
        began = time.time()
        command = [sys.executable, "-m", "fleetssh", verb, *self.names]
        done = subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, check=False)
        ended = time.time()
        assert done.returncode == 0, done.stderr
        return began, ended

    def started(self) -> list[float]:
        """When each process that runs was started (seconds since the epoch), as the machines say."""
        ask = ["systemctl", "show", "-p", "SubState", "-p", "ExecMainStartTimestampMonotonic", "b*.service"]
        found = []
        for machine in self.lab.machines():
            blocks = self.lab.run_inside(machine.name, ask).stdout.split("\n\n")
            for block in blocks:
                values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
                if values.get("SubState") == "running":
                    found.append(int(values["ExecMainStartTimestampMonotonic"]) / 1e6)
        now = time.clock_gettime(time.CLOCK_MONOTONIC)
        return [time.time() - (now - at) for at in found]

    def at_rest(self) -> tuple[float, float, float]:
        """Milliseconds of a pass with nothing to do: wall, controller's CPU; machines' CPU of one look."""
        store, carrier = open_store(str(self.state), "bench", {}), FabricCarrier()
        cluster = Cluster(load_inventory(self.lab.inventory_path), store, carrier, "bench", Patience())
        with store.hold("bench", "measuring", 0.0) as fence:
            run_pass(cluster, fence)

        def once() -> tuple[float, float, float]:
            wall, cpu = time.perf_counter(), time.process_time()
            done = run_pass(cluster, fence)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            assert done.plan.is_empty
            machines = self.lab.used_seconds
            survey(cluster, store.load())
            return wall * 1000, cpu * 1000, (self.lab.used_seconds - machines) * 1000

        try:
            return medians(once)
        finally:
            carrier.close()
            store.close()


def rows(lab: Lab, folder: Path) -> Iterator[Row]:
    for count, (aim, fleet) in STARTS.items():
        tell(f"starting {count} units on 3 machines")
        bench = Bench(lab, folder, count)
        seconds, returned = [], []
        for _ in range(RUNS if count < 1000 else 1):
            began, ended = bench.run("start")
            started = bench.started()
            assert len(started) == count
            seconds.append(max(started) - began)
            returned.append(ended - began)
            if len(seconds) < RUNS and count < 1000:
                bench.run("destroy")
        note = f"the command ended after {sorted(returned)[len(returned) // 2]:.2f} s"
        what = f"3 machines, {count} units, command to all running"
        yield Row(what, sorted(seconds)[len(seconds) // 2], "s", "fleet, elsewhere", fleet, aim, note=note)
        if count == 1000:
            wall, cpu, _ = bench.at_rest()
            yield Row("  then a pass with nothing to do: controller's CPU", cpu, "ms", "fleet, elsewhere",
                      FLEET_PASS_CPU, PASS_CPU_AIM, note=f"wall {wall:.0f} ms")  # fmt: skip
        bench.run("destroy")
    yield look_row(lab, folder)


def look_row(lab: Lab, folder: Path) -> Row:
    tell(f"looking at a machine with {LOOK_UNITS} units")
    bench = Bench(lab, folder, LOOK_UNITS, UNIT + "[X-Fleet]\nMachineMetadata=name=m1\n")
    bench.run("start")
    _, _, machines = bench.at_rest()
    bench.run("destroy")
    _, _, empty = bench.at_rest()
    return Row(
        f"a look at a machine with {LOOK_UNITS} units: its CPU", machines - empty * 2 / 3, "ms", "with none",
        empty / 3, LOOK_CPU_AIM,
    )  # fmt: skip
