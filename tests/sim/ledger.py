"""What is true about one state file: its history, and what its controllers heard of each machine."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from fleetssh.core.model import MachineRecord, State
from fleetssh.core.sighting import Failure, Reached, Sighting, Unreached
from fleetssh.store import REIGN, Store
from fleetssh.store.memory import MemoryStore
from tests.sim.reasons import is_silent

if TYPE_CHECKING:
    from tests.sim.controller import Computer


@dataclass(slots=True)
class Silence:
    """Silent looks in a row at one machine: since when, and how many."""

    since: float
    looks: int = 0


@dataclass(slots=True)
class Ledger:
    """One state file, and who usually works with it where. ``open`` opens it as a new process would; ``base``
    is for watching only. ``silences`` is what was heard in this pass, ``kept`` what outlives its process;
    ``lost`` says since when machines are given up. ``looked`` is what the looks of the pass gave, which
    decides who is given up, and ``sightings`` the newest of each machine."""

    who: str
    computer: Computer
    open: Callable[[], Store]
    base: Store
    history: dict[int, State] = field(default_factory=dict)
    silences: dict[str, Silence] = field(default_factory=dict)
    kept: dict[str, Silence] = field(default_factory=dict)
    lost: dict[str, float] = field(default_factory=dict)
    sightings: dict[str, Sighting] = field(default_factory=dict)
    looked: dict[str, Sighting] = field(default_factory=dict)

    @property
    def fence(self) -> int:
        """The fence of the last hold."""
        return self.base.load().fence

    def adopt(self, fence: int) -> None:
        """Its next hold has a greater fence than that: ``fleetssh adopt``."""
        assert isinstance(self.base, MemoryStore)
        self.base.raise_fence(fence + REIGN)

    def copied(self, who: str, computer: Computer) -> Ledger:
        """A copy of the state file, for somebody else to work with."""
        assert isinstance(self.base, MemoryStore)
        other = self.base.reopened()
        other._content = replace(
            self.base._content,
            machines=dict(self.base._content.machines),
            events=self.base._content.events.copy(),
            holder=None,
            transaction=threading.Lock(),
            controller=threading.Lock(),
        )
        kept = {host: replace(silence) for host, silence in self.kept.items()}
        return Ledger(
            who, computer, other.reopened, other, dict(self.history), kept=kept, lost=dict(self.lost)
        )

    def remembers(self, records: Iterable[MachineRecord]) -> None:
        """What was heard of these machines outlives the process that heard it."""
        for record in records:
            if record.silent_since is None:
                self.kept.pop(record.host, None)
            elif record.host in self.silences:
                self.kept[record.host] = replace(self.silences[record.host])

    def begins_pass(self, now: float) -> None:
        """A process holds the store: nothing was seen in its pass yet."""
        self.sightings, self.looked = {}, {}
        self.silences = {host: replace(silence) for host, silence in self.kept.items()}
        state = self.base.load()
        self.history[state.revision] = state
        for host, record in self.base.machines().items():
            if record.lost:  # by a process that died before anybody could judge its verdict
                self.lost.setdefault(host, now)

    def answered(self, now: float, host: str, sighting: Sighting, fence: int, who: str) -> None:
        """What a process with a fence was told of a machine. One that obeys another tells it nothing."""
        held = sighting.holder if isinstance(sighting, Reached) else None
        if held is not None and (held.fence > fence or (held.fence == fence and held.who != who)):
            sighting = Unreached(host, Failure.FENCED)
        self.sightings[host] = sighting
        is_late = host in self.looked
        self.looked.setdefault(host, sighting)
        if is_late and isinstance(sighting, Unreached):
            return  # a lease that could not be renewed: the look was answered
        if isinstance(sighting, Unreached) and is_silent(sighting):
            silence = self.silences.setdefault(host, Silence(now - sighting.silent_seconds))
            silence.looks += sighting.looks
            return
        self.silences.pop(host, None)
        if not isinstance(sighting, Unreached):
            self.lost.pop(host, None)

    def hears(self, host: str) -> bool:
        """Whether a machine answered in the pass under way, be it that it obeys somebody else."""
        seen = self.sightings.get(host)
        return isinstance(seen, Reached) or (seen is not None and seen.failure is Failure.FENCED)

    def given_up(self) -> frozenset[str]:
        """The machines that are lost by this state."""
        return frozenset(self.lost)

    def states_since(self, revision: int) -> list[State]:
        """Every state from a revision on."""
        return [state for number, state in sorted(self.history.items()) if number >= revision]
