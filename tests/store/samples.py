"""Values to put into a store, and the two ways to open one."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from fleetssh.core.model import Placement, Requirements, State, TargetState, Unit, Wanted
from fleetssh.store import Store
from fleetssh.store.memory import MemoryStore
from fleetssh.store.sqlite import SqliteStore

NOW = 1_700_000_000.0

Handles = tuple[Store, Store]


def make_unit(name: str, text: bytes = b"[Service]\nExecStart=/bin/true\n", **fields: object) -> Unit:
    digest = hashlib.sha1(text).hexdigest()
    return Unit(name, text, hash=digest[::-1], digest=digest, **fields)  # type: ignore[arg-type]


def make_wanted(*units: Unit, target: TargetState = TargetState.LAUNCHED) -> dict[str, Wanted]:
    return {unit.name: Wanted(unit, target) for unit in units}


def fill(state: State, number: int, size: int = 20) -> State:
    """Return a state in which every single value says ``number``."""
    names = [f"u{index}.service" for index in range(size)]
    return State(
        cluster=state.cluster,
        revision=state.revision,
        wanted={
            name: Wanted(
                make_unit(name, f"[Service]\nExecStart=/bin/echo {name} {number}\n".encode() * 20),
                generation=number,
            )
            for name in names
        },
        placements={name: Placement(name, f"machine{number}", f"because {number}") for name in names},
    )


def numbers_in(state: State) -> set[int]:
    """Return the numbers that ``fill`` left in a state: more than one means that it was torn."""
    told = {want.generation for want in state.wanted.values()}
    told |= {int(want.unit.text.split()[-1]) for want in state.wanted.values()}
    told |= {int(placement.reason.split()[-1]) for placement in state.placements.values()}
    return told | {int(placement.machine.removeprefix("machine")) for placement in state.placements.values()}


FULL_REQUIREMENTS = Requirements(
    machine_id="14ffe4c3",
    machine_of=("db.service",),
    metadata=(("region", ("eu", "us")), ("disk", ("ssd",))),
    conflicts=("web@*.service",),
    replaces=("old.service",),
    is_global=True,
)


@contextmanager
def memory_handles() -> Iterator[Handles]:
    store = MemoryStore(now=lambda: NOW)
    yield store, store.reopened()


@contextmanager
def sqlite_handles() -> Iterator[Handles]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.db"
        with (
            closing(SqliteStore(path, now=lambda: NOW)) as one,
            closing(SqliteStore(path, now=lambda: NOW)) as two,
        ):
            yield one, two


def reopened(store: Store) -> Store:
    """Another handle on the same state: a store belongs to the thread that opened it."""
    return store.reopened() if isinstance(store, MemoryStore) else SqliteStore(store._path, now=lambda: NOW)


OPENERS: dict[str, Callable[[], object]] = {"memory": memory_handles, "sqlite": sqlite_handles}


def names_in(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())
