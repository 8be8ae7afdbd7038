"""Passes over 1, 10 and 40 lab machines, cold and warm, beside the floor on the same machines."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.floor import Floor
from bench.table import Row, medians, tell
from fleetssh.control.cluster import Cluster
from fleetssh.control.reconcile import run_pass
from fleetssh.core.health import Patience
from fleetssh.hosts.over_fabric import FabricCarrier
from fleetssh.inventory import load_inventory
from fleetssh.lab import Lab
from fleetssh.store import open_store

SIZES = (1, 10, 40)
WALL_AIM, COLD_CPU_AIM, WARM_CPU_AIM = 1.3, 8.0, 3.0


def measured(lab: Lab, work: Callable[[], object]) -> tuple[float, float, float]:
    """Wall milliseconds, CPU milliseconds of this process and of all machines."""

    def once() -> tuple[float, float, float]:
        machines, wall, cpu = lab.used_seconds, time.perf_counter(), time.process_time()
        work()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        return wall * 1000, cpu * 1000, (lab.used_seconds - machines) * 1000

    return medians(once)


def rows(lab: Lab, size: int, folder: Path) -> Iterator[Row]:
    store = open_store(str(folder / f"passes{size}.db"), "bench", {})
    carrier, floor = FabricCarrier(), Floor(lab)
    cluster = Cluster(load_inventory(lab.inventory_path), store, carrier, "bench", Patience())

    with cluster.store.hold("bench", "measuring", 0.0) as held:
        fence = held

    def cold() -> None:
        carrier.close()
        run_pass(cluster, fence)

    pairs = {
        "cold": (cold, floor.cold, COLD_CPU_AIM),
        "warm": (lambda: run_pass(cluster, fence), floor.warm, WARM_CPU_AIM),
    }
    for kind, (ours, theirs, cpu_aim) in pairs.items():
        tell(f"{size} machines, {kind} pass")
        run_pass(cluster, fence)
        wall, cpu, inside = measured(lab, ours)
        floor_wall, floor_cpu, floor_inside = measured(lab, theirs)
        share = (cpu + inside) / wall / (os.cpu_count() or 1)
        note = f"cores {share:.0%} busy, {inside / (cpu + inside):.0%} of it in the machines"
        what = f"{size} machines, {kind} pass: wall"
        yield Row(what, wall, "ms", "paramiko", floor_wall, WALL_AIM, judge_ratio=True, note=note)
        yield Row(
            f"{size} machines, {kind} pass: controller's CPU a machine",
            cpu / size, "ms", "paramiko", floor_cpu / size, cpu_aim,
        )  # fmt: skip
        yield Row(
            f"{size} machines, {kind} pass: a machine's CPU",
            inside / size,
            "ms",
            "paramiko",
            floor_inside / size,
        )
    floor.close()
    carrier.close()
    store.close()
