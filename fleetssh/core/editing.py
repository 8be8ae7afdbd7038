"""Operator verbs as functions from one wanted state to the next; nothing here knows a machine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from fleetssh.core.errors import CommandError
from fleetssh.core.model import State, TargetState, Unit, Wanted
from fleetssh.core.names import is_template


def put_units(state: State, units: Iterable[Unit]) -> State:
    """Adds units, target state ``inactive``; a unit that exists gets the new text and keeps its target
    state, so that it may stay where it is."""
    wanted = dict(state.wanted)
    for unit in units:
        old = wanted.get(unit.name)
        wanted[unit.name] = replace(old, unit=unit) if old else Wanted(unit)
    return replace(state, wanted=wanted)


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
