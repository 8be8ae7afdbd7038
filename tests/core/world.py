"""A model of machines that is easy to see through: what planning finds, and what its steps do to it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from fleetssh.core.model import (
    Action,
    Health,
    Layout,
    Machine,
    MachinePlan,
    Placement,
    Requirements,
    Step,
    TargetState,
    Unit,
    Wanted,
)
from fleetssh.core.sighting import Ending, Facts, Found, Manifest, ManifestEntry, Reached

LAUNCHED, LOADED, INACTIVE = TargetState.LAUNCHED, TargetState.LOADED, TargetState.INACTIVE
RUNNING = ("active", "running")
STOPPED = ("inactive", "dead")


def digest(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def want(
    name: str,
    target: TargetState = LAUNCHED,
    *,
    text: str = "first",
    generation: int = 0,
    bound_to: tuple[str, ...] = (),
    **needs: object,
) -> Wanted:
    """A wanted unit; ``needs`` are its requirements."""
    requirements = Requirements(**needs)  # type: ignore[arg-type]
    unit = Unit(name, text.encode(), digest(text), digest(text), None, requirements, False, bound_to)
    return Wanted(unit, target, generation)


def find(
    name: str,
    target: TargetState = LAUNCHED,
    active: str = "active",
    sub: str = "",
    *,
    noted: str = "first",
    text: str | None = "first",
    generation: int = 0,
    linked: bool = True,
    ending: Ending | None = None,
    lease: int = 0,
) -> Found:
    """A unit as it was found: ``noted`` is the text that the manifest means, ``text`` what the file holds."""
    entry = ManifestEntry(name, digest(noted), target, generation, lease)
    sub = sub or {"active": "running", "inactive": "dead"}.get(active, active)
    on_disk = None if text is None else digest(text)
    return Found(entry, on_disk, linked and text is not None, "loaded", active, sub, ending)


def up(number: int, **more: object) -> Machine:
    """Machine number ``number``, which is up."""
    return Machine(f"m{number}", f"h{number}", **more)  # type: ignore[arg-type]


def reach(machine: Machine, *found: Found, strangers: Iterable[str] = ()) -> Reached:
    """A machine that answered."""
    manifest = Manifest("c1", 0, tuple(item.entry for item in found))
    return Reached(
        machine.host, "", Facts(machine.id, "b1"), manifest, found, tuple(strangers), seen_at=100.0
    )


def lay(placed: Mapping[str, str], globals_on: Mapping[str, Iterable[str]] | None = None) -> Layout:
    """A layout with units on machines, by id."""
    placements = {name: Placement(name, machine, "a test") for name, machine in placed.items()}
    return Layout(placements, {m: frozenset(names) for m, names in (globals_on or {}).items()}, {})


@dataclass
class Sim:
    """One machine: what it holds of ours, changed by steps as systemd and a visit would change it. What is
    ``stubborn`` does not stop, and stays as it is; the leases that run are ``alive``."""

    machine: Machine
    found: dict[str, Found]
    bound_to: dict[str, tuple[str, ...]] = field(default_factory=dict)
    strangers: tuple[str, ...] = ()
    health: Health = Health.UP
    stubborn: frozenset[str] = frozenset()
    alive: frozenset[int] = frozenset()

    def look(self) -> Reached:
        """What it answers now."""
        seen = reach(self.machine, *self.found.values(), strangers=self.strangers)
        return replace(seen, leases=self.alive)

    def running(self) -> set[str]:
        """Names of what has something to stop."""
        return {name for name, item in self.found.items() if item.active not in ("inactive", "failed")}

    def apply(self, plan: MachinePlan) -> None:
        """Carries a plan out; every step succeeds."""
        self.alive = frozenset(plan.leases.values())
        self.bound_to |= {name: wanted.unit.bound_to for name, wanted in plan.units.items()}
        for step in plan.steps:
            self._step(step, plan.units)
        for step in plan.steps:
            if step.unit in plan.units and step.unit in self.found:
                wanted = plan.units[step.unit]
                lease = plan.leases.get(step.unit, 0)
                entry = ManifestEntry(step.unit, wanted.unit.digest, wanted.target, wanted.generation, lease)
                self.found[step.unit] = replace(self.found[step.unit], entry=entry)

    def _step(self, step: Step, units: Mapping[str, Wanted]) -> None:
        name = step.unit
        match step.action:
            case Action.STOP:
                self._stop(name)
            case Action.REMOVE if name in self.stubborn & self.running():
                pass
            case Action.REMOVE:
                del self.found[name]
            case Action.WRITE:
                old = self.found.get(name) or find(name, LOADED, "inactive")
                self.found[name] = replace(old, digest=units[name].unit.digest, linked=True)
            case Action.LINK:
                self.found[name] = replace(self.found[name], linked=True)
            case Action.START | Action.RESTART:
                self._start(name)
            case _:
                pass

    def _start(self, name: str) -> None:
        for other in self.bound_to.get(name, ()):
            if other in self.found and other not in self.running() and other != name:
                self._start(other)
        self.found[name] = replace(self.found[name], active="active", sub="running", ending=None)

    def _stop(self, name: str) -> None:
        if self.found[name].active in ("inactive", "failed") or name in self.stubborn:
            return
        self.found[name] = replace(self.found[name], active="inactive", sub="dead", ending=Ending.BY_REQUEST)
        for other, causes in self.bound_to.items():
            if name in causes and other in self.found:
                self._stop(other)
