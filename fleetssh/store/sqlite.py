"""The default store: one SQLite file, with a lock file beside it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

from fleetssh import clock
from fleetssh.clock import Uptime
from fleetssh.core.errors import StoreError, UnitError
from fleetssh.core.model import MachineRecord, Placement, State, Wanted
from fleetssh.store import HISTORY_LIMIT, Event
from fleetssh.store.changes import CLUSTER_ID, Changes, difference, has_digest, require_empty, require_parent
from fleetssh.store.database import (
    RESTORE,
    damaged,
    explained,
    identity,
    open_database,
    require_same,
    transaction,
)
from fleetssh.store.fence import Fence
from fleetssh.store.lock import hold_file
from fleetssh.store.machines import MachineTable
from fleetssh.store.rows import UNIT_COLUMNS, unit_row, wanted_of
from fleetssh.store.timeline import Timeline

_UNITS = f"SELECT {UNIT_COLUMNS} FROM unit ORDER BY name"
_EVENTS = "SELECT at, who, kind, subject, text FROM event ORDER BY id DESC LIMIT ?"


class SqliteStore:
    """Implements ``Store`` over the file ``path``, which is made when there is none.

    ``now`` is a clock in seconds since the epoch. Any number of processes may use the file at once, on
    one computer.
    """

    def __init__(self, path: Path, now: Callable[[], float] = clock.now) -> None:
        self._path = path.absolute()
        self._now = now
        self._connection = open_database(self._path, now)
        self._file = identity(self._path)
        self._token = secrets.token_hex(8)
        self._base: State | None = None
        self._machines = MachineTable(self._connection)

    def load(self) -> State:
        """Return one consistent reading."""
        with self._transaction("DEFERRED"):
            state = self._base = self._current()
        return _copy(state)

    def commit(self, state: State, events: Iterable[Event] = ()) -> State:
        """Make ``state`` the truth by writing only the differences; see ``Store.commit``."""
        lines = [astuple(event) for event in events]
        with self._transaction("IMMEDIATE"):
            cluster, revision, fence = self._meta()
            require_parent(state, cluster, revision)
            base = self._current()
            self._write(difference(base, state), base)
            self._connection.execute("UPDATE meta SET revision = ?", (revision + 1,))
            self._append(lines)
        committed = self._base = _copy(replace(state, revision=revision + 1, fence=fence))
        return _copy(committed)

    def machines(self) -> Mapping[str, MachineRecord]:
        """Return what is remembered of machines, by host name, sorted."""
        with self._transaction("DEFERRED"), self._understood():
            return self._machines.read()

    def remember(
        self,
        machines: Iterable[MachineRecord],
        forgotten: Iterable[str] = (),
        events: Iterable[Event] = (),
    ) -> None:
        """Drop ``forgotten``, then write ``machines`` and ``events``; see ``Store.remember``."""
        records = list({record.host: record for record in machines}.values())
        hosts = list(forgotten)
        lines = [astuple(event) for event in events]
        if not lines:
            with self._transaction("DEFERRED"), self._understood():
                if not self._machines.is_news(records, hosts):
                    self._machines.note(records)
                    return
        try:
            with self._transaction("IMMEDIATE"), self._understood():
                self._machines.write(records, hosts)
                self._append(lines)
        except BaseException:
            self._machines.forget()
            raise

    def record(self, events: Iterable[Event]) -> None:
        """Append to the bounded history."""
        lines = [astuple(event) for event in events]
        if lines:
            with self._transaction("IMMEDIATE"):
                self._append(lines)

    def history(self, limit: int) -> tuple[Event, ...]:
        """Return the latest events, the newest last."""
        with self._transaction("DEFERRED"):
            rows = self._rows(_EVENTS, max(0, limit))
        return tuple(Event(*row) for row in reversed(rows))

    @contextmanager
    def hold(self, who: str, doing: str, wait_seconds: float) -> Iterator[int]:
        """Be the only controller inside the ``with``; see ``Store.hold``."""
        lock = self._path.with_name(self._path.name + ".lock")
        with hold_file(lock, f"{who} ({doing})", wait_seconds, self._now):
            require_same(self._path, self._file)
            # A copy of the file is another controller, whatever its name.
            yield self._take_fence(f"{who} {':'.join(map(str, self._file))}")

    def time(self, uptime: Uptime) -> float:
        """Return the store's own time; see ``Store.time``."""
        with explained(self._path):
            timeline = self._timeline()
            if not timeline.knows(uptime):
                with transaction(self._connection, "IMMEDIATE"):
                    timeline = self._timeline()
                    if not timeline.knows(uptime):
                        timeline = timeline.resumed(uptime)
                        self._connection.execute(
                            "UPDATE meta SET clock_boot = ?, clock_base = ?", (timeline.boot, timeline.base)
                        )
        return timeline.at(uptime)

    def found(self, cluster: str, fence: int) -> State:
        """Make this empty store that of ``cluster``; see ``Store.found``."""
        with self._transaction("IMMEDIATE"):
            require_empty(self._current(), cluster)
            self._connection.execute("UPDATE meta SET cluster = ?, fence = max(fence, ?)", (cluster, fence))
            state = self._base = self._read()
        return _copy(state)

    def raise_fence(self, fence: int) -> int:
        """Make the fence at least ``fence``; see ``Store.raise_fence``."""
        with self._transaction("IMMEDIATE"):
            self._connection.execute("UPDATE meta SET fence = max(fence, ?)", (fence,))
            return self._meta()[2]

    def close(self) -> None:
        """Close the file."""
        with explained(self._path):
            self._connection.close()

    @contextmanager
    def _transaction(self, kind: str) -> Iterator[None]:
        with explained(self._path), transaction(self._connection, kind):
            yield

    @contextmanager
    def _understood(self) -> Iterator[None]:
        try:
            yield
        except StoreError as error:
            raise StoreError(
                f"{error.message}, in the state file {self._path}", error.hint or RESTORE
            ) from error
        except (ValueError, KeyError, UnitError) as error:
            raise damaged(self._path, str(error)) from error

    def _rows(self, query: str, *values: Any) -> list[Any]:
        # All at once: a cursor left half read by an error would keep the file open after close().
        return self._connection.execute(query, values).fetchall()

    def _meta(self) -> tuple[str, int, int]:
        row = self._connection.execute("SELECT cluster, revision, fence FROM meta").fetchone()
        if row is None:
            raise damaged(self._path, "it does not say which cluster it belongs to")
        if not CLUSTER_ID.fullmatch(row[0]):
            raise damaged(self._path, f"its cluster is {row[0]!r}")
        return row[0], row[1], row[2]

    def _take_fence(self, who: str) -> int:
        with explained(self._path):
            fence = self._fence()
            if fence != fence.taken(who, self._token):
                with transaction(self._connection, "IMMEDIATE"):
                    fence = self._fence().taken(who, self._token)
                    self._connection.execute(
                        "UPDATE meta SET fence = ?, fence_who = ?, fence_token = ?", astuple(fence)
                    )
        return fence.number

    def _fence(self) -> Fence:
        query = "SELECT fence, fence_who, fence_token FROM meta"
        return Fence(*self._connection.execute(query).fetchone())

    def _timeline(self) -> Timeline:
        query = "SELECT clock_boot, clock_base, clock_last FROM meta"
        return Timeline(*self._connection.execute(query).fetchone())

    def _current(self) -> State:
        # A revision never changes, so what was read or written of it once is still what the file says.
        cluster, revision, fence = self._meta()
        base = self._base
        if base is not None and (base.cluster, base.revision) == (cluster, revision):
            return base if base.fence == fence else replace(base, fence=fence)
        return self._read()

    def _read(self) -> State:
        cluster, revision, fence = self._meta()
        texts = dict(self._rows("SELECT digest, bytes FROM text"))
        for digest, text in texts.items():
            if not has_digest(text, digest):
                raise damaged(self._path, f"the unit text {digest} was altered")
        with self._understood():
            wanted = wanted_of(self._rows(_UNITS), texts)
        placements = self._rows("SELECT unit, machine, reason FROM placement ORDER BY unit")
        return State(cluster, revision, wanted, {row[0]: Placement(*row) for row in placements}, fence)

    def _append(self, lines: Sequence[tuple[Any, ...]]) -> None:
        if not lines:
            return
        self._connection.executemany(
            "INSERT INTO event (at, who, kind, subject, text) VALUES (?, ?, ?, ?, ?)", lines
        )
        # The newest row is never dropped, so ids only grow.
        self._connection.execute(
            "DELETE FROM event WHERE id <= (SELECT max(id) FROM event) - ?", (HISTORY_LIMIT,)
        )

    def _write(self, changes: Changes, base: State) -> None:
        execute_many = self._connection.executemany
        texts = {want.unit.digest: want.unit.text for want in changes.wanted}
        execute_many("INSERT INTO text VALUES (?, ?) ON CONFLICT DO NOTHING", texts.items())
        execute_many("DELETE FROM unit WHERE name = ?", [(name,) for name in changes.unwanted])
        execute_many(
            f"REPLACE INTO unit ({UNIT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [unit_row(want) for want in changes.wanted],
        )
        if changes.unwanted or any(_text_changed(want, base) for want in changes.wanted):
            self._connection.execute(
                "DELETE FROM text WHERE NOT EXISTS (SELECT 1 FROM unit WHERE unit.digest = text.digest)"
            )
        execute_many("DELETE FROM placement WHERE unit = ?", [(name,) for name in changes.unplaced])
        execute_many(
            "REPLACE INTO placement VALUES (?, ?, ?)",
            [(placement.unit, placement.machine, placement.reason) for placement in changes.placed],
        )


def _copy(state: State) -> State:
    # So that a caller who changes the dicts it was given does not change what we compare with.
    return replace(state, wanted=dict(state.wanted), placements=dict(state.placements))


def _text_changed(want: Wanted, base: State) -> bool:
    before = base.wanted.get(want.unit.name)
    return before is not None and before.unit.digest != want.unit.digest
