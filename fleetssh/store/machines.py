"""What the SQLite file remembers of machines: read anew only after others wrote, written when it matters."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from operator import attrgetter

from fleetssh.core.model import MachineRecord
from fleetssh.store import FRESH_SECONDS
from fleetssh.store.rows import MACHINE_COLUMNS, Row, machine_of, machine_row

_SELECT = f"SELECT {MACHINE_COLUMNS} FROM machine ORDER BY host"
_REPLACE = (
    f"REPLACE INTO machine ({MACHINE_COLUMNS}) VALUES ({', '.join('?' * len(MACHINE_COLUMNS.split()))})"
)

_may_not_lag = attrgetter(
    "machine_id", "boot_id", "address", "metadata", "silent_since", "missed", "failure", "lost", "seen",
    "armed_at", "way",
)  # fmt: skip
_may_lag = attrgetter("last_good", "uptime", "read_at")


class MachineTable:
    """The table of one connection. Every method belongs inside a transaction of that connection; when that
    one fails, ``forget`` says so."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._version: int | None = None
        self._rows: dict[str, Row] = {}
        self._stored: dict[str, MachineRecord] = {}
        self._newest: dict[str, MachineRecord] = {}

    def read(self) -> Mapping[str, MachineRecord]:
        """Return the newest records by host, sorted. Raises ``StoreError`` or ``ValueError`` for what
        cannot be understood."""
        # Grows with every commit of another connection, and with none of ours.
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        if version != self._version:
            self._read_again()
            self._version = version
        return dict(sorted(self._newest.items()))

    def is_news(self, records: Iterable[MachineRecord], forgotten: Iterable[str]) -> bool:
        """Whether ``write`` would write anything now."""
        self.read()
        return any(host in self._stored for host in forgotten) or any(map(self._matters, records))

    def write(self, records: Iterable[MachineRecord], forgotten: Iterable[str]) -> None:
        """Drop the hosts ``forgotten``, then keep ``records``; those that matter now go into the file."""
        self.read()
        for host in forgotten:
            self._connection.execute("DELETE FROM machine WHERE host = ?", (host,))
            self._rows.pop(host, None)
            self._stored.pop(host, None)
            self._newest.pop(host, None)
        mattering = [record for record in records if self._matters(record)]
        rows = [machine_row(record, self._before(record.host)) for record in mattering]
        self._connection.executemany(_REPLACE, rows)
        self._rows.update({row[0]: row for row in rows})
        self._stored.update({record.host: record for record in mattering})
        self._newest.update({record.host: record for record in records})
        if latest := _latest_instant(mattering):
            self._connection.execute("UPDATE meta SET clock_last = ? WHERE clock_last < ?", (latest, latest))

    def note(self, records: Iterable[MachineRecord]) -> None:
        """Keep what need not be in the file yet."""
        self._newest.update({record.host: record for record in records})

    def forget(self) -> None:
        """Nothing that was read or written counts any more."""
        self._version = None
        self._rows, self._stored, self._newest = {}, {}, {}

    def _read_again(self) -> None:
        rows = {row[0]: row for row in self._connection.execute(_SELECT).fetchall()}
        same = {host for host, row in rows.items() if self._rows.get(host) == row}
        stored = {host: self._stored[host] if host in same else machine_of(row) for host, row in rows.items()}
        self._newest = {host: self._newest[host] if host in same else stored[host] for host in rows}
        self._rows, self._stored = rows, stored

    def _before(self, host: str) -> tuple[MachineRecord, Row] | None:
        return (self._stored[host], self._rows[host]) if host in self._stored else None

    def _matters(self, record: MachineRecord) -> bool:
        stored = self._stored.get(record.host)
        if stored is None or _may_not_lag(stored) != _may_not_lag(record):
            return True
        return any(
            abs(new - old) >= FRESH_SECONDS
            for new, old in zip(_may_lag(record), _may_lag(stored), strict=True)
        )


def _latest_instant(records: Iterable[MachineRecord]) -> float:
    instants = (at for record in records for at in (record.silent_since, record.read_at, record.armed_at))
    return max((at for at in instants if at is not None), default=0.0)
