"""Another process at the same state file: ``python -m tests.store.child VERB PATH``."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from fleetssh.core.errors import StoreConflict, StoreError
from fleetssh.core.model import Placement
from fleetssh.store.copies import back_up, restore
from fleetssh.store.sqlite import SqliteStore
from tests.store.samples import fill, numbers_in

COUNT = 40


def say(text: object) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def cluster(path: Path) -> None:
    with closing(SqliteStore(path)) as store:
        say(store.load().cluster)


def hold(path: Path) -> None:
    with closing(SqliteStore(path)) as store, store.hold("the other one", "looking", 0):
        say("held")
        signal.pause()


def hold_now_and_then(path: Path) -> None:
    """As a loop does between two passes."""
    with closing(SqliteStore(path)) as store:
        with store.hold("bob@desk", "fleetssh run", 0):
            pass
        say("let go")
        signal.pause()


def commit_for_ever(path: Path) -> None:
    store = SqliteStore(path)
    state = store.load()
    while True:
        state = store.commit(fill(state, state.revision + 1))
        say(state.revision)


def count(path: Path) -> None:
    with closing(SqliteStore(path)) as store:
        done = 0
        while done < COUNT:
            state = store.load()
            before = state.placements.get("counter", Placement("counter", "m", "0"))
            after = replace(before, reason=str(int(before.reason) + 1))
            try:
                store.commit(replace(state, placements={"counter": after}))
            except StoreConflict:
                continue
            done += 1


def fill_the_disk(path: Path) -> None:
    with closing(SqliteStore(path)) as store:
        state = store.commit(fill(store.load(), 1))
        try:
            while True:
                size = 2 * len(state.wanted)
                state = store.commit(fill(state, state.revision + 1, size))
        except StoreError as error:
            say(error.message)
        say(store.load() == state and len(numbers_in(state)) == 1)
    with closing(SqliteStore(path)) as store:
        say(store.load() == state)


def look(path: Path) -> None:
    try:
        SqliteStore(path)
    except StoreError as error:
        say(error.message)


def back_up_for_ever(path: Path) -> None:
    while True:
        back_up(path, path.with_name("backup.db"), force=True)
        say("backed up")


def restore_for_ever(path: Path) -> None:
    while True:
        for name in ("one.db", "two.db"):
            restore(path, path.with_name(name), "ann@desk (restoring)", force=True)
            say(name)


def restore_to_full_disk(path: Path) -> None:
    """A restore for which there is no room, of a backup that is elsewhere."""
    with closing(SqliteStore(path)) as store:
        state = store.commit(fill(store.load(), 1))
    try:
        restore(path, path.parent.parent / "backup.db", "ann@desk (restoring)", force=True)
    except StoreError as error:
        say(error.message)
    with closing(SqliteStore(path)) as store:
        say(store.load() == state)


def back_up_to_full_disk(path: Path) -> None:
    try:
        back_up(path.parent.parent / "big.db", path)
    except StoreError as error:
        say(error.message)


VERBS: dict[str, Callable[[Path], None]] = {
    verb.__name__: verb
    for verb in (
        cluster,
        hold,
        hold_now_and_then,
        commit_for_ever,
        count,
        fill_the_disk,
        look,
        back_up_for_ever,
        restore_for_ever,
        restore_to_full_disk,
        back_up_to_full_disk,
    )
}

if __name__ == "__main__":
    VERBS[sys.argv[1]](Path(sys.argv[2]))
