"""A store that lasts as long as its process, for tests, simulations and trying things out."""

from __future__ import annotations

import os
import secrets
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from fleetssh import clock
from fleetssh.clock import Uptime
from fleetssh.core.model import MachineRecord, State
from fleetssh.store import HISTORY_LIMIT, Event
from fleetssh.store.changes import difference, require_empty, require_parent
from fleetssh.store.fence import Fence
from fleetssh.store.lock import Holder, held
from fleetssh.store.timeline import Timeline


@dataclass(slots=True)
class _Content:
    state: State
    timeline: Timeline
    machines: dict[str, MachineRecord] = field(default_factory=dict)
    events: deque[Event] = field(default_factory=lambda: deque(maxlen=HISTORY_LIMIT))
    fence: Fence = field(default_factory=Fence)
    holder: Holder | None = None
    transaction: threading.Lock = field(default_factory=threading.Lock)
    controller: threading.Lock = field(default_factory=threading.Lock)


class MemoryStore:
    """Implements ``Store`` in memory; unlike other stores, safe to share between threads.

    ``cluster`` fixes the cluster id, for simulations that must repeat exactly.
    """

    def __init__(self, cluster: str | None = None, now: Callable[[], float] = clock.now) -> None:
        self._now = now
        self._content = _Content(State(cluster or secrets.token_hex(16)), Timeline(None, 0.0, now()))
        self._token = secrets.token_hex(8)

    def reopened(self) -> MemoryStore:
        """The same state as another process would open it."""
        other = MemoryStore(now=self._now)
        other._content = self._content
        return other

    def load(self) -> State:
        """Return one consistent reading."""
        with self._content.transaction:
            return self._state()

    def commit(self, state: State, events: Iterable[Event] = ()) -> State:
        """Make ``state`` the truth and record its ``events``; see ``Store.commit``."""
        content = self._content
        with content.transaction:
            require_parent(state, content.state.cluster, content.state.revision)
            difference(content.state, state)  # for its checks alone
            content.state = _copy(replace(state, revision=state.revision + 1))
            content.events.extend(events)
            return self._state()

    def machines(self) -> Mapping[str, MachineRecord]:
        """Return what is remembered of machines, by host name, sorted."""
        with self._content.transaction:
            return dict(sorted(self._content.machines.items()))

    def remember(
        self,
        machines: Iterable[MachineRecord],
        forgotten: Iterable[str] = (),
        events: Iterable[Event] = (),
    ) -> None:
        """Drop ``forgotten``, then write ``machines`` and ``events``."""
        content = self._content
        with content.transaction:
            for host in forgotten:
                content.machines.pop(host, None)
            for record in machines:
                content.machines[record.host] = record
                instants = (record.silent_since or 0.0, record.read_at, record.armed_at or 0.0)
                line = content.timeline
                content.timeline = replace(line, last=max(line.last, *instants))
            content.events.extend(events)

    def record(self, events: Iterable[Event]) -> None:
        """Append to the bounded history."""
        with self._content.transaction:
            self._content.events.extend(events)

    def history(self, limit: int) -> tuple[Event, ...]:
        """Return the latest events, the newest last."""
        with self._content.transaction:
            return tuple(self._content.events)[-limit:] if limit > 0 else ()

    @contextmanager
    def hold(self, who: str, doing: str, wait_seconds: float) -> Iterator[int]:
        """Be the only controller inside the ``with``; see ``Store.hold``."""
        content = self._content
        if not content.controller.acquire(timeout=max(0.0, wait_seconds)):
            raise held(content.holder, self._now())
        try:
            content.holder = Holder(f"{who} ({doing})", os.getpid(), self._now())
            content.fence = content.fence.taken(who, self._token)
            yield content.fence.number
        finally:
            content.holder = None
            content.controller.release()

    def time(self, uptime: Uptime) -> float:
        """Return the store's own time; see ``Store.time``."""
        content = self._content
        with content.transaction:
            if not content.timeline.knows(uptime):
                content.timeline = content.timeline.resumed(uptime)
            return content.timeline.at(uptime)

    def found(self, cluster: str, fence: int) -> State:
        """Make this empty store that of ``cluster``; see ``Store.found``."""
        content = self._content
        with content.transaction:
            require_empty(content.state, cluster)
            content.state = replace(content.state, cluster=cluster)
            content.fence = replace(content.fence, number=max(content.fence.number, fence))
            return self._state()

    def raise_fence(self, fence: int) -> int:
        """Make the fence at least ``fence``; see ``Store.raise_fence``."""
        content = self._content
        with content.transaction:
            content.fence = replace(content.fence, number=max(content.fence.number, fence))
            return content.fence.number

    def close(self) -> None:
        """Nothing to let go of: the state ends with the object."""

    def _state(self) -> State:
        return _copy(replace(self._content.state, fence=self._content.fence.number))


def _copy(state: State) -> State:
    # So that a caller who changes the dicts it was given changes nothing here.
    return replace(state, wanted=dict(state.wanted), placements=dict(state.placements))
