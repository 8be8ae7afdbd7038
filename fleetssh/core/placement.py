"""Decide which unit belongs on which machine: fleet's scheduling rules, with a reason for everything."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import heappop, heappush
from types import MappingProxyType

from fleetssh.core.abilities import Board, Site, short, why_unplaceable
from fleetssh.core.model import Health, Layout, Machine, Move, Placement, Refusal, Requirements, Wanted
from fleetssh.core.queues import Queues
from fleetssh.core.refusals import LEFT, Refusals

NOBODY: Mapping[str, str] = MappingProxyType({})


def place(
    wanted: Mapping[str, Wanted],
    machines: Sequence[Machine],
    previous: Mapping[str, Placement],
    known: Mapping[str, str] = NOBODY,
) -> Layout:
    """Where every unit belongs now, starting from ``previous``: deterministic, whatever the input order.

    A unit keeps its machine while the machine is up and able, or in doubt; there is no rebalancing. One that
    is leaving keeps none once it answers or is lost: until then they may run there. Other units go to the
    least loaded able machine that is up, ties by machine id, in order of name but after the units they
    follow. Placing again from the result changes nothing. ``known`` maps ids of machines
    that are no longer listed to host names, for the reasons.
    """
    board = Board(wanted, machines)
    left = _settle(board, wanted, previous, known)
    chosen: dict[str, str] = {}
    while True:
        _place_pending(board, chosen)
        if not _separate(board, left, chosen):
            break
    placements = {name: _placement(name, board.where[name], previous, chosen) for name in sorted(board.where)}
    return Layout(
        placements=placements,
        globals_on={machine_id: site.globals for machine_id, site in board.sites.items()},
        unplaced=_unplaced(board),
        moves=tuple(_moves(previous, placements, left)),
    )


def explain(
    name: str, wanted: Mapping[str, Wanted], machines: Sequence[Machine], layout: Layout
) -> tuple[Refusal, ...]:
    """One line for each machine, by machine id: why ``name`` is there, could be there, or cannot."""
    board = Board(wanted, machines)
    for machine_id, names in _by_machine(layout.placements).items():
        if machine_id in board.machines:
            here = [other for other in names if other in board.requirements]
            board.put(board.site_of(board.machines[machine_id], here))
    if reason := why_unplaceable(name, wanted):
        return tuple(Refusal(machine_id, reason) for machine_id in board.sites)
    lines = {line.machine: line for line in Refusals(board).of(name)}
    for site in board.sites.values():
        if name in site.members:
            lines[site.machine.id] = Refusal(site.machine.id, f"it is here: {layout.placements[name].reason}")
        elif name in site.globals:
            lines[site.machine.id] = Refusal(
                site.machine.id, "it is here: a global unit, and this machine fits"
            )
    return tuple(lines[machine_id] for machine_id in board.sites)


# ---------------------------------------------------------------- who keeps its machine


def _settle(
    board: Board, wanted: Mapping[str, Wanted], previous: Mapping[str, Placement], known: Mapping[str, str]
) -> dict[str, str]:
    """Put on the board what stays where it is; the rest of ``previous`` with why it leaves."""
    left: dict[str, str] = {}
    staying: dict[str, Placement] = {}
    for name, placement in previous.items():
        machine = board.machines.get(placement.machine)
        if reason := why_unplaceable(name, wanted):
            left[name] = reason
        elif board.requirements[name].is_global:
            left[name] = "it is a global unit now"
        elif machine is None:
            left[name] = f"machine {_title(placement.machine, known)} is {LEFT}"
        elif machine.health is Health.LOST:
            left[name] = f"machine {machine.host} ({short(machine.id)}) was lost"
        elif machine.is_leaving and machine.health is Health.UP:
            left[name] = f"machine {machine.host} ({short(machine.id)}) is {LEFT}"
        else:
            staying[name] = placement
    for machine_id, names in _by_machine(staying).items():
        machine = board.machines[machine_id]
        if machine.health is Health.DOUBTFUL:
            board.put(board.site_of(machine, names))  # doubt never moves: nothing is evaluated there
        else:
            site, unable = board.stay(machine, names)
            board.put(site)
            left |= unable
    return left


def _title(machine_id: str, known: Mapping[str, str]) -> str:
    return f"{known[machine_id]} ({short(machine_id)})" if machine_id in known else short(machine_id)


def _by_machine(placements: Mapping[str, Placement]) -> dict[str, list[str]]:
    names: dict[str, list[str]] = defaultdict(list)
    for name, placement in placements.items():
        names[placement.machine].append(name)
    return names


# ---------------------------------------------------------------- the least loaded able machine


def _place_pending(board: Board, chosen: dict[str, str]) -> None:
    """Place every unit that has no machine and can get one; note why in ``chosen``."""
    pending = [n for n, needs in board.requirements.items() if not needs.is_global and n not in board.where]
    queues = Queues(board, pending)
    for name in _peers_first(board, pending):
        if (named := _candidates(board, name)) is not None:
            able = [site for site in named if board.able(name, site)]
            taken = board.replacing(name)
            site = min(able, key=lambda site: (site.machine.id in taken, *site.rank), default=None)
        else:
            site = queues.pick(name)
        if site is not None:
            chosen[name] = _why(board.requirements[name], site)
            board.assign(name, site.machine.id)


def _why(needs: Requirements, site: Site) -> str:
    if needs.machine_of:
        return f"follows {', '.join(needs.machine_of)}"
    if needs.machine_id is not None:
        return "asked for by MachineID"
    return f"least loaded ({site.load} {'unit' if site.load == 1 else 'units'})"


def _peers_first(board: Board, pending: Iterable[str]) -> Iterator[str]:
    """``pending`` in order of name, but each only after the peers that are pending too.

    That resolves chains of ``MachineOf`` in one go; circles are never yielded.
    """
    followers: dict[str, list[str]] = defaultdict(list)
    waits_for: dict[str, int] = {}
    names = set(pending)
    for name in names:
        peers = names.intersection(board.requirements[name].machine_of)
        waits_for[name] = len(peers)
        for peer in peers:
            followers[peer].append(name)
    ready = sorted(name for name, count in waits_for.items() if not count)
    while ready:
        name = heappop(ready)
        yield name
        for follower in followers[name]:
            waits_for[follower] -= 1
            if not waits_for[follower]:
                heappush(ready, follower)


def _candidates(board: Board, name: str) -> list[Site] | None:
    """The few sites that ``MachineID`` or the peers leave to choose from; ``None`` when it may be any."""
    needs = board.requirements[name]
    if needs.machine_id is not None:
        return board.called(needs.machine_id)
    for peer in needs.machine_of:
        if peer in board.where:
            return [board.sites[board.where[peer]]]
        if peer not in board.requirements or not board.requirements[peer].is_global:
            return []
    return None


# ---------------------------------------------------------------- Replaces


def _separate(board: Board, left: dict[str, str], chosen: dict[str, str]) -> bool:
    """Move replaced units away from their replacers where another machine can take them; whether any moved.

    A replaced unit takes along those that cannot stay without it, so nothing loses its place by this.
    Every move dissolves a pair whose victim comes earlier in the order of giving way than that of any pair
    it makes, so this ends, circles in ``Replaces`` included.
    """
    moved = False
    for victim in sorted(board.relations.rank, key=board.relations.rank.__getitem__):
        site = board.sites.get(board.where.get(victim, ""))
        if site is None or site.machine.health is not Health.UP:
            continue
        here = board.relations.replacers[victim] & site.members
        if not here:
            continue
        remaining, fallen = board.stay(site.machine, site.members - {victim})
        group = {victim, *fallen}
        refuge = _refuge(board, victim, group, site)
        if refuge is None:
            continue
        for name, reason in {victim: f"replaced by {min(here)}", **fallen}.items():
            left.setdefault(name, reason)
        chosen |= {name: _why(board.requirements[name], refuge) for name in group}
        board.put(remaining)
        for name in group:
            board.assign(name, refuge.machine.id)
        moved = True
    return moved


def _refuge(board: Board, victim: str, group: set[str], origin: Site) -> Site | None:
    """The least loaded machine without a replacer that can take the group and makes no more senior pair."""
    dissolved = board.relations.most_senior_pair(group, origin.members - group)
    free = board.eligible(board.requirements[victim].metadata) - board.replacing(victim)
    for site in sorted((board.sites[machine_id] for machine_id in free), key=lambda site: site.rank):
        if (
            all(board.able(name, site, company=group) for name in group)
            and board.relations.most_senior_pair(group, site.members) > dissolved
        ):
            return site
    return None


# ---------------------------------------------------------------- the result


def _placement(
    name: str, machine_id: str, previous: Mapping[str, Placement], chosen: Mapping[str, str]
) -> Placement:
    before = previous.get(name)
    if before is not None and before.machine == machine_id:
        return before
    return Placement(name, machine_id, chosen[name])


def _unplaced(board: Board) -> dict[str, tuple[Refusal, ...]]:
    """For each unit that should have a machine and has none: every machine's refusal, by machine id."""
    refusals = Refusals(board)
    return {
        name: refusals.of(name)
        for name, needs in board.requirements.items()
        if not needs.is_global and name not in board.where
    }


def _moves(
    previous: Mapping[str, Placement], placements: Mapping[str, Placement], left: Mapping[str, str]
) -> Iterator[Move]:
    for name in sorted(previous.keys() | placements.keys()):
        before, after = previous.get(name), placements.get(name)
        if before is not None and after is not None and before.machine == after.machine:
            continue
        reasons = [left.get(name, ""), after.reason if after else ""]
        yield Move(
            unit=name,
            before=before.machine if before else None,
            after=after.machine if after else None,
            reason="; ".join(reason for reason in reasons if reason),
        )
