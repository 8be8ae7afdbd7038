"""The placement rules once more, slow and obvious: everything is counted anew for every question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fleetssh.core.model import Health, Machine, TargetState, Wanted
from fleetssh.core.names import glob_matches, is_template


class Oracle:
    """``where`` tells unit -> machine id after ``solve``; nothing else is remembered."""

    def __init__(
        self, wanted: Mapping[str, Wanted], machines: Sequence[Machine], previous: Mapping[str, str]
    ) -> None:
        self.needs = {
            name: one.unit.requirements
            for name, one in wanted.items()
            if one.target is not TargetState.INACTIVE and not is_template(name)
        }
        self.machines = sorted(machines, key=lambda machine: machine.id)
        self.previous = previous
        self.where: dict[str, str] = {}

    # ------------------------------------------------------------ questions

    def members(self, machine: Machine) -> set[str]:
        return {name for name, place in self.where.items() if place == machine.id}

    def conflict(self, one: str, other: str) -> bool:
        return one != other and (
            any(glob_matches(pattern, other) for pattern in self.needs[one].conflicts)
            or any(glob_matches(pattern, one) for pattern in self.needs[other].conflicts)
        )

    def names_as_victim(self, one: str, other: str) -> bool:
        if self.needs[one].is_global or self.needs[other].is_global or one == other:
            return False
        return any(glob_matches(pattern, other) for pattern in self.needs[one].replaces)

    def replaces(self, one: str, other: str) -> bool:
        return self.names_as_victim(one, other) and not self.names_as_victim(other, one)

    def fits(self, name: str, machine: Machine) -> bool:
        needs = self.needs[name]
        if needs.machine_id is not None and needs.machine_id not in (machine.id, machine.id[:8]):
            return False
        if name in machine.occupied:
            return False
        return all(machine.metadata.get(key) in values for key, values in needs.metadata)

    def globals_with(self, machine: Machine, members: set[str]) -> list[str]:
        if machine.health is Health.LOST or machine.is_leaving:
            return []
        here: list[str] = []
        for name in sorted(name for name in self.needs if self.needs[name].is_global):
            if self.fits(name, machine) and not any(
                self.conflict(name, other) for other in [*members, *here]
            ):
                here.append(name)
        return here

    def globals_on(self, machine: Machine) -> list[str]:
        return self.globals_with(machine, self.members(machine))

    def here(self, machine: Machine) -> set[str]:
        return self.members(machine) | set(self.globals_on(machine))

    def load(self, machine: Machine) -> int:
        return len(self.here(machine))

    def able(self, name: str, machine: Machine, company: frozenset[str] = frozenset()) -> bool:
        return (
            machine.health is Health.UP
            and not machine.is_leaving
            and self.fits(name, machine)
            and all(peer in self.here(machine) | company for peer in self.needs[name].machine_of)
            and not any(self.conflict(name, other) for other in self.here(machine))
        )

    def replacers_on(self, name: str, machine: Machine) -> list[str]:
        return [other for other in self.members(machine) if self.replaces(other, name)]

    # ------------------------------------------------------------ answers

    def solve(self) -> Oracle:
        self.settle()
        while True:
            self.place_pending()
            if not self.separate():
                return self

    def stayers(self, machine: Machine, names: set[str]) -> set[str]:
        names = {name for name in names if self.fits(name, machine)}
        while True:
            here = names | set(self.globals_with(machine, names))
            deserted = {n for n in names if not all(peer in here for peer in self.needs[n].machine_of)}
            losers: set[str] = set()
            for name in sorted(names):
                if any(self.conflict(name, other) for other in names - losers if other < name):
                    losers.add(name)
            if not deserted and not losers:
                return names
            names = names - (deserted or losers)

    def settle(self) -> None:
        for machine in self.machines:
            names = {
                name
                for name, place in self.previous.items()
                if place == machine.id and name in self.needs and not self.needs[name].is_global
            }
            if machine.health is Health.UP:
                names = set() if machine.is_leaving else self.stayers(machine, names)
            if machine.health is not Health.LOST:
                self.where.update(dict.fromkeys(names, machine.id))

    def place_pending(self) -> None:
        pending = {name for name in self.needs if name not in self.where and not self.needs[name].is_global}
        while ready := [name for name in pending if pending.isdisjoint(self.needs[name].machine_of)]:
            name = min(ready)
            pending.remove(name)
            able = [machine for machine in self.machines if self.able(name, machine)]
            if able:
                best = min(able, key=lambda m: (bool(self.replacers_on(name, m)), self.load(m), m.id))
                self.where[name] = best.id

    def order_of_giving_way(self) -> list[str]:
        victims = {one for one in self.needs if any(self.replaces(other, one) for other in self.needs)}
        waiting = set(self.needs)
        order: list[str] = []
        while waiting:
            free = {one for one in waiting if not any(self.replaces(other, one) for other in waiting)}
            order += sorted(free or waiting)
            waiting -= free or waiting
        return [name for name in order if name in victims]

    def separate(self) -> bool:
        moved = False
        order = self.order_of_giving_way()
        for victim in order:
            origin = next((m for m in self.machines if m.id == self.where.get(victim)), None)
            if origin is None or origin.health is not Health.UP or not self.replacers_on(victim, origin):
                continue
            members = self.members(origin)
            group = frozenset(members - self.stayers(origin, members - {victim}))
            for refuge in sorted(self.machines, key=lambda machine: (self.load(machine), machine.id)):
                if (
                    not self.replacers_on(victim, refuge)
                    and all(self.able(name, refuge, group) for name in group)
                    and self.first_victim(group, self.members(refuge), order)
                    > self.first_victim(group, members - group, order)
                ):
                    self.where.update(dict.fromkeys(group, refuge.id))
                    moved = True
                    break
        return moved

    def first_victim(self, group: frozenset[str], others: set[str], order: Sequence[str]) -> int:
        for rank, victim in enumerate(order):
            for group_side, other_side in ((group, others), (others, group)):
                if victim in group_side and any(self.replaces(other, victim) for other in other_side):
                    return rank
        return len(order)
