"""The default store: one SQLite file, with a lock file beside it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

from fleetssh import clock
from fleetssh.core import codec
from fleetssh.core.errors import StoreError, UnitError
from fleetssh.core.model import MachineRecord, Placement, Requirements, State, TargetState, Unit, Wanted
from fleetssh.core.names import validate_name
from fleetssh.store import HISTORY_LIMIT, Event
from fleetssh.store.changes import Changes, difference, has_digest, require_parent
from fleetssh.store.database import RESTORE, damaged, explained, open_database, transaction
from fleetssh.store.lock import hold_file

_CLUSTER = re.compile("[0-9a-f]{32}")
"""What is made with a store; it stands between blanks in the manifests of machines."""

_UNITS = """
    SELECT name, digest, target, generation, hash, description, requirements, installs, bound_to
    FROM unit ORDER BY name
"""
_MACHINES = """
    SELECT host, machine_id, boot_id, address, metadata, last_good, silent_since, missed, failure, lost, seen
    FROM machine ORDER BY host
"""
_EVENTS = "SELECT at, who, kind, subject, text FROM event ORDER BY id DESC LIMIT ?"


class SqliteStore:
    """Implements ``Store`` over the file ``path``, which is made when there is none.

    ``now`` is a clock in seconds since the epoch. Any number of processes may use the file at once, on
    one computer.
    """

    def __init__(self, path: Path, now: Callable[[], float] = clock.now) -> None:
        self._path = path.absolute()
        self._now = now
        self._connection = open_database(self._path)
        self._base: State | None = None

    def load(self) -> State:
        """Return one consistent reading."""
        with self._transaction("DEFERRED"):
            state = self._read()
        self._base = state
        return _copy(state)

    def commit(self, state: State, events: Iterable[Event] = ()) -> State:
        """Make ``state`` the truth by writing only the differences; see ``Store.commit``."""
        lines = [astuple(event) for event in events]
        with self._transaction("IMMEDIATE"):
            cluster, revision = self._meta()
            require_parent(state, cluster, revision)
            # A revision never changes, so what was read or written of it once is still what the file says.
            base = self._base
            if base is None or base.revision != revision:
                base = self._read()
            self._write(difference(base, state), base)
            self._connection.execute("UPDATE meta SET revision = ?", (revision + 1,))
            self._append(lines)
        committed = _copy(replace(state, revision=revision + 1))
        self._base = committed
        return _copy(committed)

    def machines(self) -> Mapping[str, MachineRecord]:
        """Return what is remembered of machines, by host name, sorted."""
        with self._transaction("DEFERRED"), self._understood():
            return {row[0]: _record(*row) for row in self._rows(_MACHINES)}

    def remember(
        self,
        machines: Iterable[MachineRecord],
        forgotten: Iterable[str] = (),
        events: Iterable[Event] = (),
    ) -> None:
        """Drop ``forgotten``, then write ``machines`` and ``events``."""
        rows = [_machine_row(record) for record in machines]
        hosts = [(host,) for host in forgotten]
        lines = [astuple(event) for event in events]
        if not rows and not hosts and not lines:
            return
        with self._transaction("IMMEDIATE"):
            self._connection.executemany("DELETE FROM machine WHERE host = ?", hosts)
            self._connection.executemany(
                "REPLACE INTO machine VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows
            )
            self._append(lines)

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

    def hold(self, holder: str, wait_seconds: float) -> AbstractContextManager[None]:
        """Be the only controller inside the ``with``; see ``Store.hold``."""
        lock = self._path.with_name(self._path.name + ".lock")
        return hold_file(lock, holder, wait_seconds, self._now)

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

    def _meta(self) -> tuple[str, int]:
        row = self._connection.execute("SELECT cluster, revision FROM meta").fetchone()
        if row is None:
            raise damaged(self._path, "it does not say which cluster it belongs to")
        if not _CLUSTER.fullmatch(row[0]):
            raise damaged(self._path, f"its cluster is {row[0]!r}")
        return row[0], row[1]

    def _read(self) -> State:
        cluster, revision = self._meta()
        texts = dict(self._rows("SELECT digest, bytes FROM text"))
        for digest, text in texts.items():
            if not has_digest(text, digest):
                raise damaged(self._path, f"the unit text {digest} was altered")
        with self._understood():
            wanted = _wanted(self._rows(_UNITS), texts)
        placements = self._rows("SELECT unit, machine, reason FROM placement ORDER BY unit")
        return State(cluster, revision, wanted, {row[0]: Placement(*row) for row in placements})

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
            "REPLACE INTO unit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [_unit_row(want) for want in changes.wanted],
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


def _wanted(rows: Iterable[tuple[Any, ...]], texts: Mapping[str, bytes]) -> dict[str, Wanted]:
    requirements: dict[str, Requirements] = {}  # decoded once each: most units say the same
    bound: dict[str, tuple[str, ...]] = {}
    wanted = {}
    for name, digest, target, generation, hash_, description, demands, installs, bound_to in rows:
        if demands not in requirements:
            requirements[demands] = codec.decode_requirements(demands)
        if bound_to not in bound:
            bound[bound_to] = codec.decode_names(bound_to)
        validate_name(name)
        unit = Unit(
            name=name,
            text=texts[digest],
            hash=hash_,
            digest=digest,
            description=description,
            requirements=requirements[demands],
            installs=bool(installs),
            bound_to=bound[bound_to],
        )
        wanted[name] = Wanted(unit, TargetState(target), generation)
    return wanted


def _unit_row(want: Wanted) -> tuple[Any, ...]:
    unit = want.unit
    return (
        unit.name,
        unit.digest,
        want.target.value,
        want.generation,
        unit.hash,
        unit.description,
        codec.encode_requirements(unit.requirements),
        unit.installs,
        codec.encode_names(unit.bound_to),
    )


def _machine_row(record: MachineRecord) -> tuple[Any, ...]:
    return (
        record.host,
        record.machine_id,
        record.boot_id,
        record.address,
        codec.encode_metadata(record.metadata),
        record.last_good,
        record.silent_since,
        record.missed,
        record.failure,
        record.lost,
        codec.encode_seen(record.seen),
    )


def _record(
    host: str,
    machine_id: str,
    boot_id: str,
    address: str,
    metadata: str,
    last_good: float,
    silent_since: float | None,
    missed: int,
    failure: str,
    lost: int,
    seen: str,
) -> MachineRecord:
    return MachineRecord(
        host=host,
        machine_id=machine_id,
        boot_id=boot_id,
        address=address,
        metadata=codec.decode_metadata(metadata),
        last_good=last_good,
        silent_since=silent_since,
        missed=missed,
        failure=failure,
        lost=bool(lost),
        seen=codec.decode_seen(seen),
    )
