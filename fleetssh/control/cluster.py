"""Everything one controller works with: which machines, which state, and who carries the visits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from fleetssh.clock import SYSTEM, Clock
from fleetssh.core.health import Patience
from fleetssh.core.sighting import Sighting
from fleetssh.hosts import Carrier
from fleetssh.hosts.crew import ACT_SECONDS, LOOK_SECONDS, Crew
from fleetssh.inventory import Inventory
from fleetssh.store import Store


def ignore(_: Sighting) -> None:
    """Nobody watches."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """One controller's hands. ``who`` names the person and program for events and locks; ``crew`` makes
    the visits; ``watch`` is told of every sighting as it comes back; a look may take
    ``look_seconds``, and what changes something ``act_seconds``; ``believe_silence`` is for catastrophes:
    many machines that go silent together are then taken to be lost."""

    inventory: Inventory
    store: Store
    carrier: Carrier
    who: str
    patience: Patience
    crew: Crew = field(default_factory=Crew)
    watch: Callable[[Sighting], None] = ignore
    clock: Clock = SYSTEM
    look_seconds: float = LOOK_SECONDS
    act_seconds: float = ACT_SECONDS
    believe_silence: bool = False

    @property
    def controller(self) -> str:
        """The part of ``who`` by which machines know this controller: ``user@host``."""
        return self.who.partition(" ")[0]

    def time(self) -> float:
        """The store's time now: what decides, in seconds, and no wrong clock moves it."""
        return self.store.time(self.clock.uptime())

    def watched(self, sightings: Iterable[Sighting]) -> Iterator[Sighting]:
        """The same sightings, each told to ``watch`` as it comes."""
        for sighting in sightings:
            self.watch(sighting)
            yield sighting
