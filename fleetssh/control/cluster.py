"""Everything one controller works with: which machines, which state, and who carries the visits."""

from __future__ import annotations

from dataclasses import dataclass

from fleetssh.core.health import Patience
from fleetssh.hosts import Carrier
from fleetssh.hosts.crew import FORKS
from fleetssh.inventory import Inventory
from fleetssh.store import Store


@dataclass(frozen=True, slots=True)
class Cluster:
    """One controller's hands. ``who`` names the person and program for events and locks; ``forks`` bounds
    the machines in flight."""

    inventory: Inventory
    store: Store
    carrier: Carrier
    who: str
    patience: Patience
    forks: int = FORKS
