"""Why a unit has no machine: one line for each machine that cannot take it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from fleetssh.core.abilities import Board, Site, short
from fleetssh.core.model import Health, Refusal
from fleetssh.core.relations import NOTHING

LEFT = "no longer in the inventory"
UNFIT_HEALTH = {Health.DOUBTFUL: "in doubt: not answering", Health.LOST: "lost: it no longer answers"}


class Refusals:
    """Tells refusals for a board that does not change any more.

    Units with the same requirements and the same foes share their refusals: an unplaceable group as large
    as the cluster would otherwise need millions.
    """

    def __init__(self, board: Board) -> None:
        self._board = board
        self._shared: dict[object, tuple[Refusal, ...]] = {}
        self._occupied = NOTHING.union(*(machine.occupied for machine in board.machines.values()))

    def of(self, name: str) -> tuple[Refusal, ...]:
        """For each machine that ``name`` is not on, by id: why it cannot take it now, or that it could."""
        needs, relations = self._board.requirements[name], self._board.relations
        if needs.machine_of or needs.is_global or name in self._board.where or name in self._occupied:
            return self._tell(name)  # its refusals name what is its alone
        key = needs.machine_id, needs.metadata, relations.declared.get(name), relations.matched.get(name)
        if key not in self._shared:
            self._shared[key] = self._tell(name)
        return self._shared[key]

    def _tell(self, name: str) -> tuple[Refusal, ...]:
        absent = [(peer, self._absence(name, peer)) for peer in self._board.requirements[name].machine_of]
        refusals = []
        for site in self._board.sites.values():
            if site.holds(name):
                continue
            reason = self._reason(name, site, absent)
            refusals.append(Refusal(site.machine.id, reason or f"could run here (load {site.load})"))
        return tuple(refusals)

    def _reason(self, name: str, site: Site, absent: Sequence[tuple[str, str]]) -> str | None:
        machine = site.machine
        left = LEFT if machine.is_leaving else None
        if reason := left or UNFIT_HEALTH.get(machine.health) or self._board.misfit(name, machine):
            return reason
        for peer, reason in absent:
            if not site.holds(peer):
                return reason
        if self._board.clashes(name, site):
            return self._board.foe(name, sorted(site.globals | site.members))
        return None

    def _absence(self, name: str, peer: str) -> str:
        """Why ``peer`` is not where ``name`` would have to be."""
        board = self._board
        if peer in board.where:
            return f"{peer} is on {short(board.where[peer])}"
        if peer in board.requirements and board.requirements[peer].is_global:
            return f"global unit {peer} does not belong here"
        if circle := self._circle(name):
            return f"circular MachineOf: {' -> '.join(circle)}"
        return f"waits for {peer}, which is not on any machine"

    def _circle(self, name: str) -> list[str]:
        """The shortest way from ``name`` back to itself through units without a machine, or nothing."""
        board = self._board
        came_from: dict[str, str] = {}
        queue = deque([name])
        while queue and name not in came_from:
            current = queue.popleft()
            for peer in board.requirements[current].machine_of:
                if peer not in came_from and peer in board.requirements and peer not in board.where:
                    came_from[peer] = current
                    queue.append(peer)
        if name not in came_from:
            return []
        circle = [name, came_from[name]]
        while circle[-1] != name:
            circle.append(came_from[circle[-1]])
        return circle[::-1]
