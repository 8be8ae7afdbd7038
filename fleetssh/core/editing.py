"""Operator verbs as functions from one wanted state to the next; nothing here knows a machine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from fleetssh.core.errors import CommandError
from fleetssh.core.model import State, TargetState, Unit, Wanted
from fleetssh.core.names import glob_matches, is_template


def put_units(state: State, units: Iterable[Unit]) -> State:
    """Adds units, target state ``inactive``; a unit that exists gets the new text and keeps its target
    state and its place, unless it says itself that it conflicts with a neighbour there: then it is the one
    that has changed who moves, and not the neighbour."""
    wanted = dict(state.wanted)
    placements = dict(state.placements)
    for unit in units:
        old = wanted.get(unit.name)
        wanted[unit.name] = replace(old, unit=unit) if old else Wanted(unit)
        if old and disturbed_neighbour(replace(state, placements=placements), unit):
            del placements[unit.name]
    return replace(state, wanted=wanted, placements=placements)


def disturbed_neighbour(state: State, unit: Unit) -> str:
    """The first of the units on the machine of ``unit`` that ``unit`` says it conflicts with, or nothing."""
    placement = state.placements.get(unit.name)
    if placement is None or not unit.requirements.conflicts:
        return ""
    neighbours = sorted(
        name
        for name, other in state.placements.items()
        if other.machine == placement.machine and name != unit.name
    )
    hits = (n for n in neighbours if any(glob_matches(p, n) for p in unit.requirements.conflicts))
    return next(hits, "")


def set_target(state: State, names: Iterable[str], target: TargetState) -> State:
    """Gives every named unit the target state. Raises CommandError for a template that would have to run
    (fleet: ``cannot activate template``)."""
    wanted = dict(state.wanted)
    for name in names:
        if target is not TargetState.INACTIVE and is_template(name):
            raise CommandError(
                f'cannot activate template "{name}"',
                hint=f"start an instance of it: {name.replace('@', '@1', 1)}",
            )
        wanted[name] = replace(wanted[name], target=target)
    return replace(state, wanted=wanted)


def ask_restart(state: State, names: Iterable[str]) -> State:
    """Raises the generation of every named unit: each machine that runs an older one restarts it."""
    wanted = dict(state.wanted)
    for name in names:
        wanted[name] = replace(wanted[name], generation=wanted[name].generation + 1)
    return replace(state, wanted=wanted)


def destroy_units(state: State, names: Iterable[str]) -> State:
    """Forgets the named units; the next pass takes them off their machines."""
    gone = set(names)
    return replace(state, wanted={name: w for name, w in state.wanted.items() if name not in gone})
