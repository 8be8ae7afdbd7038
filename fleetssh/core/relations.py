"""Which units conflict with which, and which replace which: the globs resolved once for all names."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Set
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from itertools import chain

from fleetssh.core.model import Requirements
from fleetssh.core.names import compile_glob

NOTHING: frozenset[str] = frozenset()
_FIRST_GLOB_CHARACTER = re.compile(r"[*?\[\\]")


@dataclass(frozen=True, slots=True)
class Relations:
    """Conflicts and replacements among a set of units; units without any are absent from the mappings.

    ``declared``: unit -> its own ``Conflicts`` patterns. ``matched``: unit -> patterns of any unit that match
    its name. Two units conflict when a pattern declared by one is among those matched by the other.
    ``replacers``: unit -> the units that replace it; ``victims``: unit -> the units that it replaces.
    ``rank``: replaced unit -> its place in the order in which they give way, replacers before their victims.
    """

    declared: Mapping[str, frozenset[str]] = field(default_factory=dict)
    matched: Mapping[str, frozenset[str]] = field(default_factory=dict)
    replacers: Mapping[str, frozenset[str]] = field(default_factory=dict)
    victims: Mapping[str, frozenset[str]] = field(default_factory=dict)
    rank: Mapping[str, int] = field(default_factory=dict)

    def declares(self, one: str, other: str) -> bool:
        """Whether ``one`` has a ``Conflicts`` pattern that matches ``other`` (never itself)."""
        patterns = self.declared.get(one, NOTHING)
        return one != other and not patterns.isdisjoint(self.matched.get(other, NOTHING))

    def conflict(self, one: str, other: str) -> bool:
        """Whether the two may not share a machine. fleet: one side declaring it is enough."""
        return self.declares(one, other) or self.declares(other, one)

    def most_senior_pair(self, group: Set[str], others: Set[str]) -> float:
        """The lowest rank of a victim among the replaced pairs between the two sets; infinite without any."""
        as_victims = (
            self.rank[name] for name in group if not self.replacers.get(name, NOTHING).isdisjoint(others)
        )
        as_replacers = (
            self.rank[victim]
            for name in group
            for victim in self.victims.get(name, NOTHING)
            if victim in others
        )
        return min(chain(as_victims, as_replacers), default=float("inf"))


def resolve_relations(requirements: Mapping[str, Requirements]) -> Relations:
    """The relations among the units named by ``requirements``.

    Global units conflict like others but neither replace nor are replaced: they belong on every machine.
    Two units that name each other in ``Replaces`` ignore it, as in fleet; in a longer circle as many give
    way as can without going round for ever.
    """
    if not any(needs.conflicts or needs.replaces for needs in requirements.values()):
        return Relations()
    names = _Names(requirements)
    matched: dict[str, set[str]] = defaultdict(set)
    for pattern in {pattern for needs in requirements.values() for pattern in needs.conflicts}:
        for name in names.matching(pattern):
            matched[name].add(pattern)
    victims = _victims(requirements, names)
    replacers: dict[str, set[str]] = defaultdict(set)
    for name, replaced in victims.items():
        for victim in replaced:
            replacers[victim].add(name)
    return Relations(
        declared={
            name: frozenset(needs.conflicts) for name, needs in requirements.items() if needs.conflicts
        },
        matched=_frozen(matched),
        replacers=_frozen(replacers),
        victims=_frozen(victims),
        rank=_rank(replacers),
    )


class _Names:
    """Sorted names, so that a pattern is only tried on those that begin as it does."""

    def __init__(self, names: Collection[str]) -> None:
        self._known = frozenset(names)
        self._sorted = sorted(names)

    def matching(self, pattern: str) -> Iterator[str]:
        """The names that match ``pattern``, in order; none when it is malformed."""
        if (special := _FIRST_GLOB_CHARACTER.search(pattern)) is None:
            if pattern in self._known:
                yield pattern
            return
        if (compiled := compile_glob(pattern)) is None:
            return
        prefix = pattern[: special.start()]
        for at in range(bisect_left(self._sorted, prefix), len(self._sorted)):
            name = self._sorted[at]
            if not name.startswith(prefix):
                return
            if compiled.fullmatch(name):
                yield name


def _victims(requirements: Mapping[str, Requirements], names: _Names) -> dict[str, set[str]]:
    named = {
        name: {
            victim
            for pattern in needs.replaces
            for victim in names.matching(pattern)
            if victim != name and not requirements[victim].is_global
        }
        for name, needs in requirements.items()
        if needs.replaces and not needs.is_global
    }
    return {
        name: {victim for victim in replaced if name not in named.get(victim, NOTHING)}
        for name, replaced in named.items()
    }


def _rank(replacers: Mapping[str, set[str]]) -> dict[str, int]:
    """Replacers before what they replace, then by name; what is in or below a circle comes last."""
    sorter = TopologicalSorter({victim: sorted(by) for victim, by in sorted(replacers.items())})
    try:
        sorter.prepare()
    except CycleError:
        pass  # the sorter still yields everything that no circle blocks
    order: list[str] = []
    while ready := sorted(sorter.get_ready()):
        order += ready
        sorter.done(*ready)
    order += sorted(set(replacers).difference(order))
    return {name: rank for rank, name in enumerate(name for name in order if name in replacers)}


def _frozen(sets: Mapping[str, set[str]]) -> dict[str, frozenset[str]]:
    return {name: frozenset(members) for name, members in sets.items() if members}
