"""What a commit changes: the difference of two states, after checking that the commit is allowed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from fleetssh.core.errors import StoreConflict, StoreError
from fleetssh.core.model import Placement, State, Wanted

Value = TypeVar("Value")

CLUSTER_ID = re.compile("[0-9a-f]{32}")
"""What is made with a store; it stands between blanks in the manifests of machines."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What is new or different, and the unit names of what is gone; each sorted by unit name."""

    wanted: tuple[Wanted, ...]
    unwanted: tuple[str, ...]
    placed: tuple[Placement, ...]
    unplaced: tuple[str, ...]


def difference(before: State, after: State) -> Changes:
    """Return what leads from ``before`` to ``after``.

    Raises ``StoreError`` for a value that would not come back as it went in: filed under another
    unit's name, or a text that does not match its digest.
    """
    wanted = _different(before.wanted, after.wanted)
    placed = _different(before.placements, after.placements)
    for name, want in wanted.items():
        if want.unit.name != name:
            raise StoreError(f"unit {want.unit.name} is filed under the name {name}")
        if not has_digest(want.unit.text, want.unit.digest):
            raise StoreError(f"unit {name}: its text does not match its digest")
    for name, placement in placed.items():
        if placement.unit != name:
            raise StoreError(f"the placement of {placement.unit} is filed under the name {name}")
    return Changes(
        wanted=tuple(wanted.values()),
        unwanted=tuple(sorted(before.wanted.keys() - after.wanted.keys())),
        placed=tuple(placed.values()),
        unplaced=tuple(sorted(before.placements.keys() - after.placements.keys())),
    )


def require_parent(state: State, cluster: str, revision: int) -> None:
    """Raise unless ``state`` was made from ``revision`` of ``cluster``, where the store stands now."""
    if state.cluster != cluster:
        raise StoreError(f"this state belongs to cluster {state.cluster}, the store to cluster {cluster}")
    if state.revision != revision:
        raise StoreConflict(
            f"somebody else changed the state meanwhile: it is at revision {revision}, "
            f"this change was made from revision {state.revision}",
            "nothing was changed; run the command again",
        )


def require_empty(state: State, cluster: str) -> None:
    """Raise unless nothing was ever committed to ``state`` and ``cluster`` can be the id of a cluster."""
    if not CLUSTER_ID.fullmatch(cluster):
        raise StoreError(f"{cluster!r} is no id of a cluster: that has 32 hexadecimal digits")
    if state.revision or state.wanted or state.placements:
        raise StoreError(
            f"the state is not empty: it is at revision {state.revision}, with {len(state.wanted)} units",
            "move the state file away first, or name another one with --state",
        )


def has_digest(text: bytes, digest: str) -> bool:
    """Tell whether ``digest`` is the SHA-1 of ``text``, as ``Unit.digest`` promises."""
    return hashlib.sha1(text, usedforsecurity=False).hexdigest() == digest


def _different(before: Mapping[str, Value], after: Mapping[str, Value]) -> dict[str, Value]:
    # Identity first: in a pass nearly every value is the very object that was loaded.
    return {
        name: value
        for name, value in sorted(after.items(), key=lambda item: item[0])
        if before.get(name) is not value and before.get(name) != value
    }
