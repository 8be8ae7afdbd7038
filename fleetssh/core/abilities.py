"""Which machine is able to run which unit, given what belongs on it, and if it is not, why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set

from fleetssh.core.model import Health, Machine, Requirements, TargetState, Wanted
from fleetssh.core.names import is_template
from fleetssh.core.relations import NOTHING, resolve_relations

Metadata = tuple[tuple[str, tuple[str, ...]], ...]


def short(machine_id: str) -> str:
    """fleet's short form of a machine id: ``14ffe4c3...``."""
    return f"{machine_id[:8]}..."


def is_open(machine: Machine) -> bool:
    """Whether the machine may get units at all: it is up, and still in the inventory."""
    return machine.health is Health.UP and not machine.is_leaving


def why_unplaceable(name: str, wanted: Mapping[str, Wanted]) -> str | None:
    """Why ``name`` is never placed, wherever; ``None`` for a unit that should run or be loaded."""
    if name not in wanted:
        return "unit was destroyed"
    if wanted[name].target is TargetState.INACTIVE:
        return "target state is inactive"
    if "@." in name and is_template(name):
        return "it is a template: only its instances are placed"
    return None


class Site:
    """One machine and what belongs on it: ``members`` are assigned to it, ``globals`` follow from the rules.

    ``declared`` and ``matched`` are the unions of the relations of both (see ``Relations``).
    """

    __slots__ = ("declared", "globals", "machine", "matched", "members")

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.members: set[str] = set()
        self.globals: frozenset[str] = NOTHING
        self.declared: set[str] = set()
        self.matched: set[str] = set()

    @property
    def load(self) -> int:
        """fleet's measure of a machine: how many units belong on it."""
        return len(self.members) + len(self.globals)

    @property
    def rank(self) -> tuple[int, str]:
        """Least loaded first, ties by machine id."""
        return self.load, self.machine.id

    def holds(self, name: str) -> bool:
        """Whether ``name`` belongs here."""
        return name in self.members or name in self.globals


class Board:
    """All machines with what belongs on them, and the rules of ability (fleet: ``AbleToRun``).

    Only units with target ``loaded`` or ``launched`` are known here: inactive ones, global ones among them,
    count neither for load nor for conflicts. ``where`` tells each assigned unit's machine id.
    """

    def __init__(self, wanted: Mapping[str, Wanted], machines: Sequence[Machine]) -> None:
        self.requirements: dict[str, Requirements] = {
            name: wanted[name].unit.requirements
            for name in sorted(wanted)
            if why_unplaceable(name, wanted) is None
        }
        self.relations = resolve_relations(self.requirements)
        self.machines = {machine.id: machine for machine in sorted(machines, key=lambda machine: machine.id)}
        self.where: dict[str, str] = {}
        self._called: dict[str, list[str]] = defaultdict(list)
        for machine in self.machines.values():
            for called in {machine.id, machine.short_id}:
                self._called[called].append(machine.id)
        self._having: dict[tuple[str, str], set[str]] = defaultdict(set)
        for machine in self.machines.values():
            for pair in machine.metadata.items():
                self._having[pair].add(machine.id)
        self._eligible: dict[Metadata, frozenset[str]] = {(): frozenset(self.machines)}
        self._globals = [name for name, needs in self.requirements.items() if needs.is_global]
        self._global_metadata = sorted({self.requirements[name].metadata for name in self._globals})
        self._fitting: dict[tuple[tuple[bool, ...], frozenset[str]], tuple[frozenset[str], list[str]]] = {}
        self.sites = {machine.id: self.site_of(machine, ()) for machine in self.machines.values()}

    # ------------------------------------------------------------ what belongs where

    def site_of(self, machine: Machine, members: Iterable[str]) -> Site:
        """``machine`` as it would be with ``members`` assigned to it; the board itself does not change.

        fleet, with one rule for everybody: assigned units win, then global units in order of name, each
        if the metadata fits and it conflicts with nothing kept so far. A machine that is lost or leaving has
        no global units.
        """
        site = Site(machine)
        for name in members:
            site.members.add(name)
            self._absorb(site, name)
        if machine.health is not Health.LOST and not machine.is_leaving:
            undisputed, disputed = self._fitting_globals(machine)
            kept = []
            for name in disputed:
                if not self.clashes(name, site):
                    kept.append(name)
                    self._absorb(site, name)
            site.globals = undisputed.union(kept) if kept else undisputed
        return site

    def put(self, site: Site) -> None:
        """Make ``site`` the truth about its machine."""
        self.sites[site.machine.id] = site
        self.where.update(dict.fromkeys(site.members, site.machine.id))

    def assign(self, name: str, machine_id: str) -> None:
        """Assign a unit to a machine that is able to run it: that cannot change what else belongs there."""
        site = self.sites[machine_id]
        site.members.add(name)
        self._absorb(site, name)
        self.where[name] = machine_id

    def _absorb(self, site: Site, name: str) -> None:
        if name in self.relations.declared:
            site.declared |= self.relations.declared[name]
        if name in self.relations.matched:
            site.matched |= self.relations.matched[name]

    def _fitting_globals(self, machine: Machine) -> tuple[frozenset[str], list[str]]:
        """Global units whose metadata fits: those that conflict with nobody, and the rest in name order."""
        eligible = tuple(machine.id in self.eligible(metadata) for metadata in self._global_metadata)
        key = eligible, machine.occupied
        if key not in self._fitting:
            fits = [n for n in self._globals if self.suits(n, machine)]
            disputed = [n for n in fits if n in self.relations.declared or n in self.relations.matched]
            self._fitting[key] = (frozenset(fits).difference(disputed), disputed)
        return self._fitting[key]

    # ------------------------------------------------------------ the rules of ability

    def eligible(self, metadata: Metadata) -> frozenset[str]:
        """Ids of the machines (of any health) that have one of the values of every key."""
        if metadata not in self._eligible:
            having = [
                set().union(*(self._having.get((key, value), NOTHING) for value in values))
                for key, values in metadata
            ]
            self._eligible[metadata] = frozenset(set.intersection(*having))
        return self._eligible[metadata]

    def called(self, machine_id: str) -> list[Site]:
        """The sites that a ``MachineID`` can mean: fleet compares it with full and with short ids."""
        return [self.sites[full_id] for full_id in self._called.get(machine_id, ())]

    def suits(self, name: str, machine: Machine) -> bool:
        """``MachineID``, ``MachineMetadata`` and no unit of its own by that name: what only depends on the
        machine itself."""
        if name in machine.occupied:
            return False
        needs = self.requirements[name]
        named = needs.machine_id is None or needs.machine_id in (machine.id, machine.short_id)
        return named and machine.id in self.eligible(needs.metadata)

    def clashes(self, name: str, site: Site) -> bool:
        """``Conflicts``, both directions, with anything that belongs on ``site`` (where ``name`` is not)."""
        return not (
            self.relations.declared.get(name, NOTHING).isdisjoint(site.matched)
            and self.relations.matched.get(name, NOTHING).isdisjoint(site.declared)
        )

    def able(self, name: str, site: Site, company: Set[str] = NOTHING) -> bool:
        """Whether the machine could take ``name`` now, if ``company`` came along with it."""
        return (
            is_open(site.machine)
            and self.suits(name, site.machine)
            and all(peer in company or site.holds(peer) for peer in self.requirements[name].machine_of)
            and not self.clashes(name, site)
        )

    def replacing(self, name: str) -> set[str]:
        """Ids of the machines that units which replace ``name`` are assigned to."""
        replacers = self.relations.replacers.get(name, NOTHING)
        return {self.where[replacer] for replacer in replacers if replacer in self.where}

    def misfit(self, name: str, machine: Machine) -> str | None:
        """What ``suits`` misses, in words."""
        if self.suits(name, machine):
            return None
        if name in machine.occupied:
            return "has a unit of its own by that name"
        needs = self.requirements[name]
        if needs.machine_id is not None and needs.machine_id not in (machine.id, machine.short_id):
            return f"needs machine id {needs.machine_id}"
        key, values = next(
            (key, values) for key, values in needs.metadata if machine.metadata.get(key) not in values
        )
        needed = " or ".join(f"{key}={value}" for value in values)
        has = f"{key}={machine.metadata[key]}" if key in machine.metadata else f"no {key}"
        return f"needs metadata {needed}, has {has}"

    def foe(self, name: str, others: Sequence[str]) -> str:
        """The first of ``others`` that ``clashes`` found, in words."""
        foe = next(other for other in others if self.relations.conflict(name, other))
        if self.relations.declares(name, foe):
            return f"conflicts with {foe}"
        return f"{foe} there conflicts with it"

    # ------------------------------------------------------------ who stays

    def stay(self, machine: Machine, names: Iterable[str]) -> tuple[Site, dict[str, str]]:
        """Of the units assigned to ``machine``, those whose requirements it still meets; the rest with why.

        Of two that conflict the first by name stays. Taking one off can take off its followers, and can
        bring in a global unit in place of another, so this goes on until nothing changes.
        """
        left = {name: why for name in names if (why := self.misfit(name, machine))}
        staying = sorted(set(names).difference(left))
        while True:
            site = self.site_of(machine, staying)
            fallen = self._deserted(site) or self._losers(staying)
            if not fallen:
                return site, left
            left |= fallen
            staying = [name for name in staying if name not in fallen]

    def _deserted(self, site: Site) -> dict[str, str]:
        deserted = {}
        for name in site.members:
            missing = [peer for peer in self.requirements[name].machine_of if not site.holds(peer)]
            if missing:
                deserted[name] = f"{missing[0]} is not on {short(site.machine.id)}"
        return deserted

    def _losers(self, names: Sequence[str]) -> dict[str, str]:
        """Of ``names``, in order, those that conflict with an earlier one that stays."""
        kept = Site(Machine("", ""))
        losers = {}
        for name in names:
            if self.clashes(name, kept):
                losers[name] = self.foe(name, sorted(kept.members))
            elif name in self.relations.declared or name in self.relations.matched:
                kept.members.add(name)
                self._absorb(kept, name)
        return losers
