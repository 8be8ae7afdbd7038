"""Find the least loaded able machine without looking at all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from heapq import heapify, heappop, heappush, heapreplace

from fleetssh.core.abilities import Board, Metadata, Site, is_open


class Queues:
    """Machines by load for each kind of pending unit, so that a unit need not look at all of them.

    Units of a kind are refused by the same machines. While units are only being placed, loads and conflicts
    only grow: a queued load may be too low, never too high, and a machine that refuses a kind once
    will refuse it again.
    """

    def __init__(self, board: Board, pending: Iterable[str]) -> None:
        self._board = board
        self._kinds = {name: self._kind(name) for name in pending}
        self._kin = Counter(self._kinds.values())
        self._heaps: dict[object, list[tuple[int, str]]] = {}

    def _kind(self, name: str) -> tuple[object, ...]:
        needs, relations = self._board.requirements[name], self._board.relations
        return needs.metadata, relations.declared.get(name), relations.matched.get(name), needs.machine_of

    def pick(self, name: str) -> Site | None:
        """The least loaded able site, if possible one without a unit that replaces ``name``."""
        sites = self._board.sites
        metadata = self._board.requirements[name].metadata
        taken = self._board.replacing(name)
        if taken and taken.issuperset(self._board.eligible(metadata)):
            taken.clear()  # no alternative to prefer
        kind = self._kinds[name]
        own = self._kin[kind] > 1  # a queue for a single unit costs more than it saves
        heap = self._heap(kind if own else metadata, metadata)
        aside: list[tuple[int, str]] = []
        found = fallback = None
        while heap and not found:
            load, machine_id = heap[0]
            site = sites[machine_id]
            if load != site.load:
                heapreplace(heap, (site.load, machine_id))
            elif not self._board.able(name, site):
                entry = heappop(heap)
                # What a machine refuses one unit it refuses the whole kind, but for names of its own.
                if not own or name in site.machine.occupied:
                    aside.append(entry)
            elif machine_id in taken:
                fallback = fallback or site
                aside.append(heappop(heap))
            else:
                found = site
        for entry in aside:
            heappush(heap, entry)
        return found or fallback

    def _heap(self, key: object, metadata: Metadata) -> list[tuple[int, str]]:
        if key not in self._heaps:
            sites = (self._board.sites[machine_id] for machine_id in self._board.eligible(metadata))
            heap = [(s.load, s.machine.id) for s in sites if is_open(s.machine)]
            heapify(heap)
            self._heaps[key] = heap
        return self._heaps[key]
