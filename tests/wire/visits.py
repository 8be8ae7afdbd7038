"""Visits for tests: units, plans and acts in few words."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from fleetssh.core.model import Action, Claim, MachinePlan, Step, TargetState, Unit, Wanted
from fleetssh.core.planning import ORDER
from fleetssh.core.sighting import Manifest, ManifestEntry
from fleetssh.core.visit import Order, Probe, Visit
from fleetssh.wire.script import Script, write_visit

MARK = "6b1f0c2d9e8a7b5c4d3e2f10"
CLUSTER = "c0ffee"
WHO = "ops@desk"
FOREVER = 1e9
BOOT = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
"""The played machines share this computer's kernel."""
TEXT = b"[Service]\nExecStart=/bin/sleep 3600\n"
LAUNCHED, LOADED = TargetState.LAUNCHED, TargetState.LOADED


def want(
    name: str,
    target: TargetState = LAUNCHED,
    text: bytes = TEXT,
    *,
    generation: int = 0,
    installs: bool = False,
) -> Wanted:
    """A wanted unit with any text at all."""
    digest = hashlib.sha1(text, usedforsecurity=False).hexdigest()
    return Wanted(Unit(name, text, digest, digest, installs=installs), target, generation)


def plan(units: Iterable[Wanted], **steps: Iterable[str]) -> MachinePlan:
    """Steps by action (``start=["a.service"]``), in a visit's order, with the units that they are about."""
    made = [Step(Action(action), name, "a test") for action, names in steps.items() for name in names]
    made.sort(key=lambda step: (ORDER[step.action], step.unit))
    return MachinePlan("h1", "m1", tuple(made), {wanted.unit.name: wanted for wanted in units})


def install(*units: Wanted) -> MachinePlan:
    """The plan that brings units to a machine that has none of them."""
    names = [wanted.unit.name for wanted in units]
    starts = [wanted.unit.name for wanted in units if wanted.target is LAUNCHED]
    return plan(units, write=names, reload=[""], start=starts)


def act(
    steps: MachinePlan,
    found: Manifest = Manifest(),  # noqa: B008
    cluster: str = CLUSTER,
    *,
    claim: Claim | None = None,
    valid_until: float = FOREVER,
    wait_seconds: int = 30,
) -> Script:
    """The visit that carries a plan out."""
    order = Order(steps, found, wait_seconds)
    visit = Visit(BOOT, claim or Claim(cluster, 0, WHO), valid_until, order=order)
    return write_visit(MARK, visit, become=False)


def look(
    known_boot: str = "",
    *,
    claim: Claim | None = None,
    valid_until: float = FOREVER,
    probes: tuple[Probe, ...] = (),
    become: bool = False,
) -> Script:
    """The visit that changes nothing."""
    return write_visit(
        MARK, Visit(known_boot or (BOOT if claim else ""), claim, valid_until, probes), become=become
    )


def holding(*units: Wanted, cluster: str = CLUSTER) -> Manifest:
    """The manifest of a machine that holds units as they are wanted."""
    entries = [ManifestEntry(w.unit.name, w.unit.digest, w.target, w.generation) for w in units]
    return Manifest(cluster, 0, tuple(sorted(entries, key=lambda entry: entry.name)))
