"""A cluster of played machines: real shells in namespaces and a played systemd, reached without SSH."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

from fleetssh.core.sighting import Failure, Sighting, Unreached
from fleetssh.core.visit import Visit
from fleetssh.hosts import Target
from fleetssh.hosts.conversation import Answer, converse
from fleetssh.wire.script import Script
from tests.wire.machine import Machine

IDS = {"m1": "c31e44e1" + "1" * 24, "m2": "595989bb" + "2" * 24}
ADDRESSES = {"m1": "192.0.2.1", "m2": "192.0.2.2"}
"""Addresses that are nobody's (RFC 5737), should anything ever dial them."""


class PlayedCarrier:
    """Carries visits into the machines' namespaces; a machine in ``silent`` does not answer."""

    def __init__(self, machines: Mapping[str, Machine]) -> None:
        self.machines = machines
        self.silent: set[str] = set()

    def visit(self, target: Target, visit: Visit, deadline_seconds: float) -> Sighting:
        return converse(self.carry, target, visit, deadline_seconds)

    def fallen(self) -> frozenset[str]:
        return frozenset()

    def carry(self, target: Target, visit: Script, deadline_seconds: float) -> Answer | Unreached:
        if target.name in self.silent:
            return Unreached(target.name, Failure.TIMEOUT, "it is played to be silent")
        ran = self.machines[target.name].run(visit)
        return Answer(ran.out, ran.err, ran.status, target.address)

    def stream(
        self,
        target: Target,
        command: str,
        out: Callable[[bytes], None],
        err: Callable[[bytes], None],
        source: int | None = None,
        silence_seconds: float | None = None,
    ) -> int:
        ran = self.machines[target.name].enter(f"/bin/sh -c {shlex.quote(command)}")
        out(ran.out)
        err(ran.err)
        return ran.status

    def close(self) -> None:
        pass


def make_machines(folder: Path) -> dict[str, Machine]:
    """The two machines, below ``folder``."""
    machines = {name: Machine(folder / name) for name in IDS}
    for name, machine in machines.items():
        (machine.root / "etc/machine-id").write_text(IDS[name] + "\n")
    (machines["m1"].root / "etc/fleet/fleet.conf").write_text("metadata=ping=pong,foo=bar\n")
    (machines["m2"].root / "etc/fleet/fleet.conf").unlink()
    return machines


def write_inventory(path: Path) -> None:
    """An inventory of the two machines."""
    hosts = "".join(f"    {name}: {{ansible_host: {address}}}\n" for name, address in ADDRESSES.items())
    path.write_text(f"all:\n  hosts:\n{hosts}")
