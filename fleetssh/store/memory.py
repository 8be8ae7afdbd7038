"""A store that lasts as long as its process, for tests, simulations and trying things out."""

from __future__ import annotations

import os
import secrets
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from fleetssh import clock
from fleetssh.core.model import MachineRecord, State
from fleetssh.store import HISTORY_LIMIT, Event
from fleetssh.store.changes import difference, require_parent
from fleetssh.store.lock import Holder, held


class MemoryStore:
    """Implements ``Store`` in memory; unlike other stores, safe to share between threads.

    ``cluster`` fixes the cluster id, for simulations that must repeat exactly.
    """

    def __init__(self, cluster: str | None = None, now: Callable[[], float] = clock.now) -> None:
        self._now = now
        self._state = State(cluster or secrets.token_hex(16))
        self._machines: dict[str, MachineRecord] = {}
        self._events: deque[Event] = deque(maxlen=HISTORY_LIMIT)
        self._transaction = threading.Lock()
        self._controller = threading.Lock()
        self._holder: Holder | None = None

    def load(self) -> State:
        """Return one consistent reading."""
        with self._transaction:
            return _copy(self._state)

    def commit(self, state: State, events: Iterable[Event] = ()) -> State:
        """Make ``state`` the truth and record its ``events``; see ``Store.commit``."""
        with self._transaction:
            require_parent(state, self._state.cluster, self._state.revision)
            difference(self._state, state)  # for its checks alone
            self._state = _copy(replace(state, revision=state.revision + 1))
            self._events.extend(events)
            return _copy(self._state)

    def machines(self) -> Mapping[str, MachineRecord]:
        """Return what is remembered of machines, by host name, sorted."""
        with self._transaction:
            return dict(sorted(self._machines.items()))

    def remember(
        self,
        machines: Iterable[MachineRecord],
        forgotten: Iterable[str] = (),
        events: Iterable[Event] = (),
    ) -> None:
        """Drop ``forgotten``, then write ``machines`` and ``events``."""
        with self._transaction:
            for host in forgotten:
                self._machines.pop(host, None)
            self._machines.update({record.host: record for record in machines})
            self._events.extend(events)

    def record(self, events: Iterable[Event]) -> None:
        """Append to the bounded history."""
        with self._transaction:
            self._events.extend(events)

    def history(self, limit: int) -> tuple[Event, ...]:
        """Return the latest events, the newest last."""
        with self._transaction:
            return tuple(self._events)[-limit:] if limit > 0 else ()

    @contextmanager
    def hold(self, holder: str, wait_seconds: float) -> Iterator[None]:
        """Be the only controller inside the ``with``; see ``Store.hold``."""
        if not self._controller.acquire(timeout=max(0.0, wait_seconds)):
            raise held(self._holder, self._now())
        try:
            self._holder = Holder(holder, os.getpid(), self._now())
            yield
        finally:
            self._holder = None
            self._controller.release()

    def close(self) -> None:
        """Nothing to let go of: the state ends with the object."""


def _copy(state: State) -> State:
    # So that a caller who changes the dicts it was given changes nothing here.
    return replace(state, wanted=dict(state.wanted), placements=dict(state.placements))
