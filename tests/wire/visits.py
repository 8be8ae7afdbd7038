"""Visits for tests: units, plans and acts in few words."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from fleetssh.core.model import Action, MachinePlan, Step, TargetState, Unit, Wanted
from fleetssh.core.planning import ORDER
from fleetssh.core.sighting import Manifest, ManifestEntry
from fleetssh.wire.script import Visit, write_act, write_look

MARK = "6b1f0c2d9e8a7b5c4d3e2f10"
CLUSTER = "c0ffee"
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


def act(steps: MachinePlan, found: Manifest = Manifest(), cluster: str = CLUSTER) -> Visit:  # noqa: B008
    """The visit that carries a plan out."""
    return write_act(MARK, steps, found, cluster, become=False, wait_seconds=30)


def look(known_boot: str = "") -> Visit:
    """The visit that changes nothing."""
    return write_look(MARK, become=False, known_boot=known_boot)


def holding(*units: Wanted, cluster: str = CLUSTER) -> Manifest:
    """The manifest of a machine that holds units as they are wanted."""
    entries = [ManifestEntry(w.unit.name, w.unit.digest, w.target, w.generation) for w in units]
    return Manifest(cluster, 0, tuple(sorted(entries, key=lambda entry: entry.name)))
