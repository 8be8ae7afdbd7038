"""Taking what machines hold into a state that knows some of it already."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Set
from dataclasses import dataclass, replace

from fleetssh.core.gathering import Gathering, Holdings
from fleetssh.core.model import State, TargetState, Wanted
from fleetssh.core.ownership import is_ours
from fleetssh.core.sighting import ManifestEntry

AS_IT_IS = "taken in as it is"


class Bond(enum.StrEnum):
    """How a unit on a machine stands to a state."""

    SAME = "known here"
    OTHER = "known here with another text"
    NEW = "not known here"
    LOST = "not known here, and its file is of no use"


@dataclass(frozen=True, slots=True)
class Item:
    """One unit on a machine that is to be taken over, and what comes of it; ``then`` is empty for nothing."""

    unit: str
    target: TargetState
    bond: Bond
    then: str = ""


def items(state: State, after: State, holdings: Holdings) -> tuple[Item, ...]:
    """Every unit that a machine holds, by name, and what becomes of it once ``state`` is ``after``."""
    return tuple(
        _item(state, after, holdings, entry)
        for entry in sorted(holdings.manifest.entries, key=lambda entry: entry.name)
        if is_ours(entry)
    )


def _item(state: State, after: State, holdings: Holdings, entry: ManifestEntry) -> Item:
    name, wanted = entry.name, after.wanted.get(entry.name)
    if wanted is None:
        stops = "stops it and " if entry.target is TargetState.LAUNCHED else ""
        return Item(name, entry.target, Bond.LOST, f"the next pass {stops}takes it off")
    bond = Bond.SAME if wanted.unit.digest == entry.digest else Bond.OTHER
    bond = bond if name in state.wanted else Bond.NEW
    then = _leaves(after, holdings, name) or _changes(wanted, entry, holdings.digest(name))
    return Item(name, entry.target, bond, then or (AS_IT_IS if bond is Bond.NEW else ""))


def _leaves(after: State, holdings: Holdings, name: str) -> str:
    """Why a unit does not stay on the machine, or nothing."""
    wanted, placement = after.wanted[name], after.placements.get(name)
    if wanted.target is TargetState.INACTIVE:
        return "it is inactive here: the next pass takes it off"
    if wanted.unit.requirements.is_global or placement is None or placement.machine == holdings.machine_id:
        return ""
    return f"it belongs on {placement.machine[:8]}...: the next pass takes it off there"


def _changes(wanted: Wanted, entry: ManifestEntry, digest: str | None) -> str:
    """What the next pass does with a unit that stays, or nothing."""
    launched = wanted.target is TargetState.LAUNCHED
    if digest not in (None, wanted.unit.digest):
        restarts = " and restarts it" if launched and entry.target is TargetState.LAUNCHED else ""
        by_hand = "its file was changed by hand: " if entry.digest == wanted.unit.digest else ""
        return f"{by_hand}the next pass replaces it{restarts}"
    if wanted.target is not entry.target:
        return f"it is {wanted.target} here: the next pass {'starts' if launched else 'stops'} it"
    if launched and wanted.generation > entry.generation:
        return "a restart was asked for: the next pass restarts it"
    return ""


def take_in(
    state: State, found: Gathering, holders: Mapping[str, Set[str]], silent: Set[str] = frozenset()
) -> State:
    """``state`` with the units of ``found`` that it does not know, each as it was found.

    A unit that it knows keeps its text and its target state. It gets the place in which it was found, unless
    the machine of its own place holds it too (``holders`` maps units to ids of machines) or is ``silent``;
    and its generation is at least that of the machines, so that a later restart is one.
    """
    wanted, placements = dict(state.wanted), dict(state.placements)
    for name, there in found.wanted.items():
        here = wanted.get(name)
        wanted[name] = replace(here, generation=max(here.generation, there.generation)) if here else there
        if name not in found.placements or wanted[name].unit.requirements.is_global:
            continue
        home = placements.get(name)
        if home is None or (home.machine not in holders.get(name, ()) and home.machine not in silent):
            placements[name] = found.placements[name]
    return replace(state, wanted=wanted, placements=placements)
