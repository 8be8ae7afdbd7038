"""Operator verbs over the store: load, edit, commit; a commit that lost is edited again.

Who asked for what is recorded with the commit, in one transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import tenacity

from fleetssh import clock
from fleetssh.control.chronicle import Author, command_events
from fleetssh.control.unitfiles import Resolution, resolve
from fleetssh.core.editing import ask_restart, destroy_units, put_units, set_target
from fleetssh.core.errors import CommandError, StoreConflict
from fleetssh.core.model import State, TargetState
from fleetssh.core.names import glob_matches, mangle
from fleetssh.store import Store

EDIT_TRIES = 10
"""An edit takes a millisecond: losing ten times in a row against other writers means something is wrong."""

ANY = frozenset(TargetState)
MAY_REPLACE = {
    TargetState.INACTIVE: frozenset({TargetState.INACTIVE}),
    TargetState.LOADED: frozenset({TargetState.INACTIVE, TargetState.LOADED}),
    TargetState.LAUNCHED: ANY,
}
"""fleet 1.6: which units ``submit``, ``load`` and ``start`` may replace, by the verb's own target state."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a verb changed: the committed state, what the arguments meant, and the units whose target
    state or generation changed (``changed``), in the order given."""

    state: State
    resolution: Resolution
    changed: tuple[str, ...]
    before: State


def bring(
    store: Store, author: Author, arguments: tuple[str, ...], target: TargetState, *, replace: bool
) -> Change:
    """``submit``, ``load`` and ``start``: creates what is new, then gives every unit the target state.

    ``inactive`` (submit) leaves existing units as they are. All or nothing: one bad argument and nothing
    is changed. Raises CommandError, UnitError.
    """

    def edit(state: State) -> Change:
        found = resolve(state, arguments, replace=replace, may_replace=MAY_REPLACE[target])
        after = put_units(state, [*found.created, *found.replaced])
        changed = [name for name in found.names if after.wanted[name].target is not target]
        if target is TargetState.INACTIVE:
            changed = []
        return Change(_aim(after, changed, target), found, tuple(changed), state)

    return _commit(store, author, arguments, edit)


def _aim(state: State, names: list[str], target: TargetState) -> State:
    verb = "loading" if target is TargetState.LOADED else "starting"
    try:
        return set_target(state, names, target)
    except CommandError as error:
        raise CommandError(f"Error {verb} units: {error.message}", error.hint) from error


def take_down(store: Store, author: Author, arguments: tuple[str, ...], target: TargetState) -> Change:
    """``stop`` (target loaded) and ``unload`` (target inactive) of units that exist.

    Raises CommandError for ``stop`` of an inactive unit (fleet: unable to stop in state inactive).
    """

    def edit(state: State) -> Change:
        names = match(state, arguments)
        if target is TargetState.LOADED:
            for name in names:
                if state.wanted[name].target is TargetState.INACTIVE:
                    raise CommandError(f"Unable to stop unit {name} in state inactive")
        changed = [name for name in names if state.wanted[name].target is not target]
        return Change(set_target(state, changed, target), _only(names), tuple(changed), state)

    return _commit(store, author, arguments, edit)


def remove(store: Store, author: Author, arguments: tuple[str, ...]) -> Change:
    """``destroy``: forgets units; the pass that follows takes them off their machines."""

    def edit(state: State) -> Change:
        names = match(state, arguments)
        return Change(destroy_units(state, names), _only(names), names, state)

    return _commit(store, author, arguments, edit)


def restart(store: Store, author: Author, arguments: tuple[str, ...]) -> Change:
    """``restart``: launches what is loaded, and asks for a restart of what is launched.

    Raises CommandError for a unit whose target state is inactive.
    """

    def edit(state: State) -> Change:
        names = match(state, arguments)
        for name in names:
            if state.wanted[name].target is TargetState.INACTIVE:
                raise CommandError(
                    f"Unable to restart unit {name} in state inactive", hint=f"fleetssh start {name}"
                )
        after = set_target(ask_restart(state, names), names, TargetState.LAUNCHED)
        return Change(after, _only(names), names, state)

    return _commit(store, author, arguments, edit)


def match(state: State, arguments: tuple[str, ...]) -> tuple[str, ...]:
    """The stored units that arguments name, in the order given; globs work (``web@*``).

    Raises CommandError when an argument names nothing, so that a list with one bad name changes nothing.
    """
    names: dict[str, None] = {}
    unknown = []
    for argument in arguments:
        name = mangle(argument)
        if any(character in argument for character in "*?["):
            hits = [n for n in sorted(state.wanted) if glob_matches(name, n)]
        else:
            hits = [name] if name in state.wanted else []
        names.update(dict.fromkeys(hits))
        if not hits:
            unknown.append(name)
    if unknown:
        known = "fleetssh list-unit-files shows the units there are"
        raise CommandError(f"Units not found in registry: {' '.join(unknown)}; nothing was changed", known)
    return tuple(names)


def _only(names: tuple[str, ...]) -> Resolution:
    return Resolution(names, (), (), (), ())


def _commit(
    store: Store, author: Author, arguments: tuple[str, ...], edit: Callable[[State], Change]
) -> Change:
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(StoreConflict),
        stop=tenacity.stop_after_attempt(EDIT_TRIES),
        reraise=True,
    )
    return retrying(_commit_once, store, author, arguments, edit)


def _commit_once(
    store: Store, author: Author, arguments: tuple[str, ...], edit: Callable[[State], Change]
) -> Change:
    state = store.load()
    change = edit(state)
    if change.state.wanted == state.wanted:
        return Change(state, change.resolution, change.changed, state)
    events = command_events(author, arguments, state.wanted, change.state.wanted, clock.now())
    return Change(store.commit(change.state, events), change.resolution, change.changed, state)
