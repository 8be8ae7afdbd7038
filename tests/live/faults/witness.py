"""A witness that is not ours: which machine runs which unit, read from this computer's own control groups."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from fleetssh import clock
from fleetssh.core.errors import LabError
from fleetssh.lab import Lab

INTERVAL = 0.02
"""Seconds between two samples. One of three machines with six units each costs half a millisecond."""

Pids = frozenset[str]
NOBODY: Pids = frozenset()


@dataclass(frozen=True)
class Life:
    """A process of a unit, from the sample that first saw it until the first that did not (``None``: it is
    still there), in seconds of ``clock.monotonic``."""

    unit: str
    machine: str
    pids: Pids
    began: float
    ended: float | None = None

    def until(self, end: float) -> float:
        """When it ended, at the latest ``end``."""
        return end if self.ended is None else min(self.ended, end)


@dataclass(frozen=True)
class Span:
    """A time in which a machine was in some condition."""

    machine: str
    began: float
    ended: float


@dataclass(frozen=True)
class Account:
    """All lives that were seen between ``began`` and ``ended``. ``blind`` is the longest time between two
    samples: what is shorter may have been missed."""

    lives: tuple[Life, ...]
    began: float
    ended: float
    blind: float

    def of(self, unit: str) -> list[Life]:
        """The lives of one unit, oldest first."""
        return [life for life in self.lives if life.unit == unit]

    def running(self, unit: str, at: float | None = None) -> list[str]:
        """The machines that run it, at the end if not told when."""
        moment = self.ended if at is None else at
        return sorted(
            life.machine for life in self.of(unit) if life.began <= moment < life.until(self.ended + 1)
        )

    def twice(self, unit: str, frozen: Iterable[Span] = ()) -> float:
        """Seconds in which more than one machine ran it. What a frozen machine holds does not run."""
        spans = list(frozen)
        moments = {self.began, self.ended}
        for life in self.of(unit):
            moments |= {life.began, life.until(self.ended)}
        for span in spans:
            moments |= {span.began, span.ended}
        return sum(
            until - since
            for since, until in itertools.pairwise(
                sorted(moment for moment in moments if self.began <= moment <= self.ended)
            )
            if len(self._active(unit, since, until, spans)) > 1
        )

    def _active(self, unit: str, since: float, until: float, frozen: list[Span]) -> set[str]:
        running = {
            life.machine for life in self.of(unit) if life.began <= since and until <= life.until(self.ended)
        }
        asleep = {span.machine for span in frozen if span.began <= since and until <= span.ended}
        return running - asleep

    def away(self, unit: str) -> float:
        """The longest time in which nobody ran it, once it had run."""
        lives = sorted(self.of(unit), key=lambda life: life.began)
        longest, reached = 0.0, lives[0].until(self.ended) if lives else self.ended
        for life in lives:
            longest = max(longest, life.began - reached)
            reached = max(reached, life.until(self.ended))
        return max(longest, self.ended - reached)


@dataclass
class _Open:
    """What the last sample saw."""

    lives: dict[tuple[str, str], Life] = field(default_factory=dict)
    over: list[Life] = field(default_factory=list)


class Witness:
    """Samples from a thread of its own, as long as it is entered."""

    def __init__(self, lab: Lab, units: Collection[str]) -> None:
        self._lab = lab
        self._units = sorted(units)
        self._machines = [machine.name for machine in lab.machines()]
        self._folders: dict[str, Path] = {}
        self._seen = _Open()
        self._began = self._last = clock.monotonic()
        self._blind = 0.0
        self._end = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._watch, name="witness", daemon=True)

    def __enter__(self) -> Witness:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def testify(self, since: float | None = None) -> Account:
        """What was seen so far, or of what lived after ``since``."""
        with self._lock:
            lives = [*self._seen.over, *self._seen.lives.values()]
            began = self._began if since is None else since
            chosen = [
                replace(life, began=max(life.began, began))
                for life in lives
                if life.ended is None or life.ended > began
            ]
            chosen.sort(key=lambda life: (life.began, life.unit, life.machine))
            return Account(tuple(chosen), began, self._last, self._blind)

    def homes(self) -> dict[str, list[str]]:
        """Unit -> the machines that run it now."""
        with self._lock:
            found: dict[str, list[str]] = {unit: [] for unit in self._units}
            for unit, machine in sorted(self._seen.lives):
                found[unit].append(machine)
            return found

    def _watch(self) -> None:
        while not self._end.wait(INTERVAL):
            self.sample()

    def sample(self) -> None:
        """Looks once."""
        found = {(unit, machine): pids for machine in self._machines for unit, pids in self._look(machine)}
        now = clock.monotonic()
        with self._lock:
            self._blind = max(self._blind, now - self._last)
            self._last = now
            for key, life in list(self._seen.lives.items()):
                if found.get(key, NOBODY) != life.pids:
                    self._seen.over.append(replace(self._seen.lives.pop(key), ended=now))
            for key, pids in found.items():
                if key not in self._seen.lives:
                    self._seen.lives[key] = Life(*key, pids, now)

    def _look(self, machine: str) -> Iterator[tuple[str, Pids]]:
        folder = self._folder(machine)
        if folder is None:
            return
        for unit in self._units:
            try:
                pids = frozenset((folder / unit / "cgroup.procs").read_text().split())
            except OSError:
                continue
            if pids:
                yield unit, pids

    def _folder(self, machine: str) -> Path | None:
        # Looked up anew after a power cut: the group of the next boot may have another name.
        known = self._folders.get(machine)
        if known is not None and known.exists():
            return known
        try:
            self._folders[machine] = self._lab.services_folder(machine)
        except (LabError, OSError):
            return None
        return self._folders[machine]
