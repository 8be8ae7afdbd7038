"""Passes over real lab machines beside a bare paramiko that connects and runs one command on each."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import paramiko

from fleetssh.control import commands
from fleetssh.control.cluster import Cluster
from fleetssh.control.reconcile import run_pass
from fleetssh.core.health import Patience
from fleetssh.core.model import TargetState
from fleetssh.hosts.over_fabric import FabricCarrier
from fleetssh.inventory import load_inventory
from fleetssh.lab import Lab
from fleetssh.store import open_store

SIZES = (1, 3, 10)
RUNS = 5
UNITS = (1, 30, 300)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds of this process, medians of RUNS."""
    walls, cpus = [], []
    for _ in range(RUNS):
        wall, spent = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - spent)
    return sorted(walls)[RUNS // 2], sorted(cpus)[RUNS // 2]


class Floor:
    """What any SSH tool must do: connect, run one command, read it."""

    def __init__(self, lab: Lab) -> None:
        self.addresses = [machine.address for machine in lab.machines()]
        self.key, self.known = str(lab.key_path), str(lab.known_hosts_path)
        self.clients: list[paramiko.SSHClient] = []

    def connect(self, address: str) -> paramiko.SSHClient:
        client = paramiko.SSHClient()
        client.load_host_keys(self.known)
        client.connect(
            address, username="root", key_filename=self.key, look_for_keys=False, allow_agent=False
        )
        return client

    def ask(self, client: paramiko.SSHClient) -> None:
        client.exec_command("true")[1].read()

    def cold(self) -> None:
        self.close()
        with ThreadPoolExecutor(50) as pool:
            self.clients = list(pool.map(self.connect, self.addresses))
            list(pool.map(self.ask, self.clients))

    def warm(self) -> None:
        with ThreadPoolExecutor(50) as pool:
            list(pool.map(self.ask, self.clients))

    def close(self) -> None:
        for client in self.clients:
            client.close()


def compare(title: str, ours: tuple[float, float], floor: tuple[float, float], machines: int) -> None:
    print(
        f"{title:30} {ours[0]:7.3f} s  floor {floor[0]:7.3f} s  {ours[0] / floor[0]:5.2f} x   "
        f"CPU a machine {ours[1] / machines * 1000:6.1f} ms, floor {floor[1] / machines * 1000:6.1f} ms"
    )


def measure(lab: Lab, size: int, folder: Path) -> None:
    store = open_store(str(folder / f"{size}.db"), "bench", {})
    inventory = load_inventory(lab.inventory_path)
    carrier = FabricCarrier()
    cluster = Cluster(inventory, store, carrier, "bench", Patience())
    floor = Floor(lab)

    def cold() -> None:
        carrier.close()
        run_pass(cluster)

    compare(f"{size} machines, cold pass", timed(cold), timed(floor.cold), size)
    compare(f"{size} machines, warm pass", timed(lambda: run_pass(cluster)), timed(floor.warm), size)
    if size == 3:
        launch(cluster, carrier, folder)
    floor.close()
    carrier.close()
    store.close()


def launch(cluster: Cluster, carrier: FabricCarrier, folder: Path) -> None:
    """From the command to every process running, connections included; then a pass with nothing to do."""
    for count in UNITS:
        names = tuple(str(folder / f"b{count}-{number}.service") for number in range(count))
        for name in names:
            Path(name).write_text("[Service]\nExecStart=/bin/sleep infinity\n")
        carrier.close()
        start = time.perf_counter()
        commands.bring(cluster.store, names, TargetState.LAUNCHED, replace=False)
        run_pass(cluster)
        print(f"3 machines, {count:4} units started {time.perf_counter() - start:7.3f} s", end="  ")
        wall, cpu = timed(lambda: run_pass(cluster))
        print(f"then nothing to do {wall:6.3f} s, CPU {cpu * 1000:5.0f} ms")
        commands.remove(cluster.store, tuple(Path(name).name for name in names))
        run_pass(cluster)


def main() -> None:
    if os.geteuid() != 0:
        print("needs root: the lab makes real machines")
        return
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            lab = Lab.open(f"bench{size}", Path(folder) / f"lab{size}")
            try:
                lab.up(size)
                measure(lab, size, Path(folder))
            finally:
                lab.down()


if __name__ == "__main__":
    main()
