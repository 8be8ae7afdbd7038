"""Reasons, by the letter of the rules: to give a machine up, to move a unit off one that answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleetssh.core.model import State
from fleetssh.core.names import glob_matches
from fleetssh.core.sighting import Failure, Reached, Sighting, Unreached

if TYPE_CHECKING:
    from tests.sim.controller import Process
    from tests.sim.machine import Machine
    from tests.sim.world import World

TOLERANCE = 0.97
"""Clocks of machines and controllers differ by half a percent, and looks take their time."""

SILENCE = frozenset({Failure.REFUSED, Failure.NO_ROUTE, Failure.TIMEOUT, Failure.STALLED})
"""Said here once more: the rule is to hold whatever the program takes for silence."""


def is_silent(seen: Sighting) -> bool:
    """Whether a look met silence."""
    return isinstance(seen, Unreached) and seen.failure in SILENCE


def why_not_lost(world: World, process: Process, host: str) -> str:
    """Why a machine must not be given up by the pass under way; nothing when it may be."""
    ledger, patience = process.ledger, world.patience
    silence = ledger.silences.get(host)
    if silence is None:
        return "though it was not silent"
    seconds = world.kernel.now - silence.since
    if silence.looks < patience.looks or seconds < patience.seconds * TOLERANCE:
        return f"after {silence.looks} looks in {seconds:.1f} s"
    answering = {h for h, seen in ledger.looked.items() if isinstance(seen, Reached)}
    if not answering:
        return "while nobody answers"
    ever_seen = (ledger.base.machines().keys() | answering) - ledger.lost.keys()
    known = {h: seen for h, seen in ledger.looked.items() if h in ever_seen}
    silent = [h for h, seen in known.items() if is_silent(seen)]
    if len(silent) >= patience.at_least and len(silent) > len(known) * patience.share:
        return f"while {len(silent)} of {len(known)} are silent"
    if max(world.machines[host].well_since, world.network.pairs_well_since) < process.pass_began:
        return "though every other machine reaches it"
    return ""


def must_leave(name: str, machine: Machine, before: State, after: State) -> bool:
    """Whether a machine that answers cannot keep a unit, by the letter of the rules."""
    needs = after.wanted[name].unit.requirements
    here = {n for s in (before, after) for n, p in s.placements.items() if p.machine == machine.id}
    globals_here = {n for n, w in after.wanted.items() if w.unit.requirements.is_global}
    others = {
        n: after.wanted[n].unit.requirements
        for n in sorted((here | globals_here) - {name})
        if n in after.wanted
    }
    stays = {n for n, p in after.placements.items() if p.machine == machine.id} | globals_here
    return (
        name in machine.own
        or any(machine.zone not in values for key, values in needs.metadata if key == "zone")
        or any(peer not in stays for peer in needs.machine_of)
        or any(conflict(needs.conflicts, name, other.conflicts, n) for n, other in others.items())
        or any(glob_matches(pattern, name) for other in others.values() for pattern in other.replaces)
        or any(n in others and must_leave(n, machine, before, after) for n in needs.machine_of)
    )


def conflict(mine: tuple[str, ...], name: str, theirs: tuple[str, ...], other: str) -> bool:
    """Whether one of two units declares a conflict with the other."""
    return name != other and (
        any(glob_matches(pattern, other) for pattern in mine)
        or any(glob_matches(pattern, name) for pattern in theirs)
    )
