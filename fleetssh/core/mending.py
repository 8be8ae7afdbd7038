"""Mending one unit on one machine: what is wanted against what was found gives steps, each with a reason."""

from __future__ import annotations

from collections.abc import Mapping

from fleetssh.core.model import Action, Step, TargetState, Wanted
from fleetssh.core.sighting import Ending, Found

RUNNING = frozenset({"active", "reloading", "activating", "deactivating", "refreshing", "maintenance"})
"""systemd's active states in which a unit has something to stop."""


def resting(here: Mapping[str, Wanted], found: Mapping[str, Found]) -> frozenset[str]:
    """The units of one machine with which others stay down: those that have failed or are not to run, and
    those that systemd stopped with one of these (``BindsTo=``, ``Requires=``)."""
    still = {name for name, item in found.items() if item.active == "failed"}
    still |= {name for name, wanted in here.items() if wanted.target is not TargetState.LAUNCHED}
    stopped = [
        n for n, item in found.items() if item.ending is Ending.BY_REQUEST and item.active not in RUNNING
    ]
    while more := {
        name
        for name in stopped
        if name in here and name not in still and still.intersection(here[name].unit.bound_to)
    }:
        still |= more
    return frozenset(still)


def release(found: Found, reason: str) -> list[Step]:
    """Takes one of our units off a machine: stopped first when it runs, then removed (fleet: unload)."""
    name = found.entry.name
    stop = [Step(Action.STOP, name, reason)] if found.active in RUNNING else []
    return [*stop, Step(Action.REMOVE, name, reason)]


def mend(
    wanted: Wanted,
    found: Found | None,
    why_here: str,
    retry: bool,
    still: frozenset[str],
    lease: int = 0,
    alive: frozenset[int] = frozenset(),
) -> list[Step]:
    """Steps that make one unit on one machine what the operator wants; none when it is so already.

    ``why_here`` is the reason of its placement, ``still`` names the units there that lie still: what is
    bound to one of them stays down with it. ``lease`` is the lease that it is to have there, in seconds, and
    ``alive`` those that run there. fleet's table (5.2), with systemd's real
    state in place of an agent's memory: a unit that somebody stopped is started again; one that failed or
    ended by itself is left to systemd's ``Restart=`` and to ``retry``: an operator asked for it just now. A
    lease that has run out is no failure of the unit: what it stopped, or kept from starting, starts anew.
    """
    name = wanted.unit.name
    launched = wanted.target is TargetState.LAUNCHED
    if found is None:
        return _write(name, why_here, start=launched)
    if found.digest not in (None, wanted.unit.digest):
        return _rewrite(wanted, found)
    if launched:
        steps = _launch(wanted, found, retry, still, alive)
    else:
        steps = _hold(wanted, found, retry)
    steps = _lease(wanted, found, lease, alive) + steps
    if found.digest is None:
        was_there = found.entry.digest == wanted.unit.digest
        reason = (
            "its file was deleted by hand"
            if was_there
            else "the visit that was to write its file was cut short"
        )
        return [Step(Action.WRITE, name, reason), *steps]
    if found.entry.digest != wanted.unit.digest:
        return [Step(Action.WRITE, name, "the visit that wrote its file was cut short"), *steps]
    if not found.linked:
        steps = [Step(Action.LINK, name, "systemd's link to its file was removed by hand"), *steps]
    return steps or _note(wanted, found)


def follow(steps: list[Step], here: Mapping[str, Wanted], found: Mapping[str, Found]) -> list[Step]:
    """Starts for the running units that systemd stops together with those that ``steps`` stop and start
    again (``BindsTo=``, ``Requires=``): a sidekick must not stay down because its service was mended."""
    stopped = {step.unit for step in steps if step.action is Action.STOP}
    followers: list[Step] = []
    pending = sorted(stopped)
    while pending:
        cause = pending.pop(0)
        for name, wanted in here.items():
            runs = name in found and found[name].active in RUNNING and wanted.target is TargetState.LAUNCHED
            if runs and name not in stopped and cause in wanted.unit.bound_to:
                stopped.add(name)
                pending.append(name)
                if any(step.action is Action.START and step.unit == cause for step in [*steps, *followers]):
                    followers.append(Step(Action.START, name, f"it stops and starts with {cause}"))
    return followers


def _write(name: str, reason: str, *, start: bool) -> list[Step]:
    starting = [Step(Action.START, name, reason)] if start else []
    return [Step(Action.WRITE, name, reason), *starting]


def _rewrite(wanted: Wanted, found: Found) -> list[Step]:
    """A changed file is applied as fleet does it: stop under the old text, write, start under the new."""
    name = wanted.unit.name
    launched = wanted.target is TargetState.LAUNCHED
    by_hand = found.entry.digest == wanted.unit.digest
    reason = "its file was changed by hand" if by_hand else "its file was replaced"
    stop = found.active in RUNNING and (launched or found.entry.target is TargetState.LAUNCHED)
    stopping = [Step(Action.STOP, name, reason)] if stop else []
    return stopping + _write(name, reason, start=launched)


def _launch(
    wanted: Wanted, found: Found, retry: bool, still: frozenset[str], alive: frozenset[int]
) -> list[Step]:
    name = wanted.unit.name
    runs = found.active in RUNNING
    # What is only loaded and runs was started by somebody else, or by a visit that was cut short.
    ours = found.entry.target is TargetState.LAUNCHED or (retry and runs)
    if wanted.generation > found.entry.generation and ours:
        return [Step(Action.RESTART, name, "a restart was asked for")]
    if runs:
        return []
    reason = ""
    if found.entry.target is not TargetState.LAUNCHED:
        reason = "its target state is launched"
    elif retry:
        reason = "a start was asked for"
    elif _was_leased_out(found, alive):
        reason = "its lease ran out"
    elif found.active == "inactive" and found.ending is Ending.BY_REQUEST:
        # systemd stopped it with the unit that it is bound to, and starting it would start that one too.
        reason = "" if still.intersection(wanted.unit.bound_to) else "it was stopped by hand"
    return [Step(Action.START, name, reason)] if reason else []


def _was_leased_out(found: Found, alive: frozenset[int]) -> bool:
    """Whether a unit is down because its lease is: systemd stopped it, killed it (it has failed then), or
    would not start it. What had ended by itself before is done."""
    return found.entry.lease > 0 and found.entry.lease not in alive and found.ending is not Ending.BY_ITSELF


def _lease(wanted: Wanted, found: Found, lease: int, alive: frozenset[int]) -> list[Step]:
    """A lease is added, changed and taken away in place: the unit runs on."""
    old = found.entry.lease
    if old != lease:
        reason = f"its lease is {lease} s now" if lease else f"it has no lease any more ({old} s until now)"
        return [Step(Action.LEASE, wanted.unit.name, reason)]
    if lease and lease not in alive and found.active in RUNNING - {"deactivating"}:
        return [Step(Action.LEASE, wanted.unit.name, "its lease does not run there")]
    return []


def _hold(wanted: Wanted, found: Found, retry: bool) -> list[Step]:
    """Loaded, not launched: stopped once when it was launched by us; what a timer, a socket or a person
    starts afterwards is left alone (fleet 5.2), but for an operator's own ``stop``."""
    if found.active not in RUNNING:
        return []
    if found.entry.target is TargetState.LAUNCHED:
        return [Step(Action.STOP, wanted.unit.name, "its target state is loaded")]
    return [Step(Action.STOP, wanted.unit.name, "a stop was asked for")] if retry else []


def _note(wanted: Wanted, found: Found) -> list[Step]:
    entry = found.entry
    if (entry.digest, entry.target, entry.generation) == (
        wanted.unit.digest,
        wanted.target,
        wanted.generation,
    ):
        return []
    return [Step(Action.NOTE, entry.name, "the machine's manifest is out of date")]
