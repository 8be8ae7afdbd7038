"""Operator verbs over the store: load, edit, commit; a commit that lost is edited again.

Who asked for what is recorded with the commit, in one transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import tenacity

from fleetssh import clock
from fleetssh.control.chronicle import Author, command_events
from fleetssh.control.unitfiles import Resolution, is_glob, resolve
from fleetssh.core.editing import ask_restart, destroy_units, put_units, set_target
from fleetssh.core.errors import CommandError, StoreConflict
from fleetssh.core.model import Machine, State, TargetState
from fleetssh.core.names import glob_matches, is_template, mangle
from fleetssh.store import Store

EDIT_TRIES = 10
"""An edit takes a millisecond: losing ten times in a row against other writers means something is wrong."""


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
        homes = _homes(store, state) if replace else {}
        found = resolve(state, arguments, target, replace=replace, homes=homes)
        after = put_units(state, [*found.created, *found.replaced])
        changed = [name for name in found.names if after.wanted[name].target is not target]
        if target is TargetState.INACTIVE:
            changed = []
        return Change(_aim(after, changed, target), found, tuple(changed), state)

    return _commit(store, author, arguments, edit)


def _homes(store: Store, state: State) -> dict[str, str]:
    """Unit -> legend of the machine that it is on."""
    records = {record.machine_id: record for record in store.machines().values()}
    return {
        name: Machine(at, host=records[at].host, address=records[at].address).legend
        for name, placement in state.placements.items()
        if (at := placement.machine) in records
    }


def _aim(state: State, names: list[str], target: TargetState) -> State:
    verb = "loading" if target is TargetState.LOADED else "starting"
    try:
        return set_target(state, names, target)
    except CommandError as error:
        raise CommandError(f"Error {verb} units: {error.message}", error.hint) from error


def take_down(store: Store, author: Author, arguments: tuple[str, ...], target: TargetState) -> Change:
    """``stop`` (target loaded) and ``unload`` (target inactive) of units that exist.

    Raises CommandError for ``stop`` of an inactive unit (fleet: unable to stop in state inactive); a glob
    passes over those, the templates among them.
    """

    def edit(state: State) -> Change:
        if target is TargetState.LOADED:
            names = _match_active(state, arguments, "stop")
        else:
            names = match(state, arguments)
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

    Raises CommandError for a unit whose target state is inactive; a glob passes over those.
    """

    def edit(state: State) -> Change:
        names = _match_active(state, arguments, "restart")
        after = set_target(ask_restart(state, names), names, TargetState.LAUNCHED)
        return Change(after, _only(names), names, state)

    return _commit(store, author, arguments, edit)


def match(
    state: State, arguments: tuple[str, ...], among: Callable[[str], bool] | None = None
) -> tuple[str, ...]:
    """The stored units that arguments name, in the order given; globs work (``web@*``), and take those that
    are ``among`` where there are such.

    Raises CommandError when an argument names nothing, so that a list with one bad name changes nothing.
    """
    names: dict[str, None] = {}
    unknown: dict[str, None] = {}
    for argument in arguments:
        name = mangle(argument)
        if is_glob(name):
            hits = [n for n in sorted(state.wanted) if glob_matches(name, n)]
            hits = [n for n in hits if among and among(n)] or hits
        else:
            hits = [name] if name in state.wanted else []
        names.update(dict.fromkeys(hits))
        if not hits:
            unknown[name] = None
    if unknown:
        known = "fleetssh list-unit-files shows the units there are"
        raise CommandError(f"Units not found in registry: {' '.join(unknown)}; nothing was changed", known)
    return tuple(names)


def _match_active(state: State, arguments: tuple[str, ...], verb: str) -> tuple[str, ...]:
    def is_active(name: str) -> bool:
        return state.wanted[name].target is not TargetState.INACTIVE

    names = match(state, arguments, is_active)
    for name in names:
        if not is_active(name):
            start = f"fleetssh start {name}" if verb == "restart" and not is_template(name) else ""
            rest = "nothing was changed" if len(names) > 1 else ""
            raise CommandError(
                f"Unable to {verb} unit {name} in state inactive",
                hint="\n".join(filter(None, (rest, start))),
            )
    return names


def _only(names: tuple[str, ...]) -> Resolution:
    return Resolution(names)


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
