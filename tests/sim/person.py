"""The operator: real commands at any moment, with units from a folder, and passes of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleetssh.control.chronicle import Author
from fleetssh.control.commands import bring, remove, restart, take_down
from fleetssh.core.errors import FleetError
from fleetssh.core.model import TargetState
from tests.sim.units import VERSIONS, unit_folder

if TYPE_CHECKING:
    from tests.sim.controller import Process
    from tests.sim.world import World

VERBS = {"start": 10, "load": 1, "submit": 1, "stop": 2, "unload": 2, "destroy": 2, "restart": 2}


def operate(world: World, process: Process, commands: int, pause: float) -> None:
    """Types a number of commands, some of them with a pass of their own as the command line makes it."""
    process.open()
    for _ in range(commands):
        process.sleep(world.chance.uniform(0.0, 2 * pause))
        names = _type(world, process)
        if names and world.chance.random() < 0.5:
            process.one_pass(world.patience, frozenset(names), wait=10.0)


def _type(world: World, process: Process) -> tuple[str, ...]:
    chance = world.chance
    verb = chance.choices(list(VERBS), list(VERBS.values()))[0]
    names = tuple(chance.sample(world.names, chance.randint(1, min(3, len(world.names)))))
    version = chance.randrange(VERSIONS)
    paths = tuple(unit_folder().path(name, version) for name in names)
    replace = chance.random() < 0.5
    author, store = Author(process.who, verb), process.store
    process.say(
        f"types {verb} {' '.join(names)}"
        + (f" of version {version}" + " --replace" * replace if verb in ("start", "load", "submit") else "")
    )
    try:
        match verb:
            case "start":
                bring(store, author, paths, TargetState.LAUNCHED, replace=replace)
            case "load":
                bring(store, author, paths, TargetState.LOADED, replace=replace)
            case "submit":
                bring(store, author, paths, TargetState.INACTIVE, replace=replace)
            case "stop":
                take_down(store, author, names, TargetState.LOADED)
            case "unload":
                take_down(store, author, names, TargetState.INACTIVE)
            case "destroy":
                remove(store, author, names)
            case _:
                restart(store, author, names)
    except FleetError as error:
        process.say(f"is told: {error.message.splitlines()[0][:90]}")
        return ()
    return names
