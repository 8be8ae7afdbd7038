"""How a journal is heard: journald's export format, behind what the machine says before it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fleetssh.core.errors import WireError
from fleetssh.core.journal import Entry, Large, Value

BEGIN = b"FLEETSSH journal\n"
"""What comes before it is of a login shell that has something to say."""

BOOT_IS = b"FLEETSSH boot "
FORGOT = b"FLEETSSH forgot\n"
"""The journal no longer knows the boot that is to be gone on from."""

MAX_VALUE_BYTES = 1024 * 1024
"""A larger value is told by its size: nobody reads it on a terminal, and journald cuts a line of output at
48 KiB."""

MAX_HEAD_BYTES = 64 * 1024
"""How much a login shell may say before it counts as no answer."""


@dataclass(frozen=True, slots=True)
class Place:
    """An entry's place in a machine's journal: to go on after it."""

    cursor: str
    boot: str


class EntryReader:
    """Turns the bytes of an export stream into entries, however they are cut into pieces.

    An entry that was begun when the stream ends is not there: its place is not reached. What came before the
    entries: ``end`` is where the journal ended, ``boot`` the present one, ``forgot`` whether that to go on
    from is gone.
    """

    def __init__(self) -> None:
        self.end: Place | None = None
        self.boot = ""
        self.forgot = False
        self._rest = bytearray()
        self._begun = False
        self._fields: dict[str, list[Value]] = {}
        self._large: tuple[str, int] | None = None
        self._skip = 0

    def feed(self, data: bytes) -> list[Entry]:
        """The entries that ``data`` completes. Raises WireError for what is no export stream."""
        self._rest += data
        if not self._begun and not self._begin():
            return []
        entries: list[Entry] = []
        at = 0
        while (end := self._step(at, entries)) is not None:
            at = end
        del self._rest[:at]
        return entries

    def _begin(self) -> bool:
        head, mark, rest = bytes(self._rest).partition(BEGIN)
        if mark:
            self._begun, self._rest = True, bytearray(rest)
            self.forgot = FORGOT in head
            keys = (b"__CURSOR=", b"_BOOT_ID=", BOOT_IS)
            told = [re.search(key + rb"(\S+)\n", head) for key in keys]
            cursor, boot, self.boot = (found[1].decode("ascii", "replace") if found else "" for found in told)
            self.end = Place(cursor, boot) if cursor else None
        elif len(head) > MAX_HEAD_BYTES:
            raise WireError("its login shell says too much before the journal")
        return self._begun

    def _step(self, at: int, entries: list[Entry]) -> int | None:
        """Takes the field, or the end of an entry, at ``at``; where the next one is, ``None`` for not yet."""
        if self._skip:
            return self._pass_over(at)
        if self._large is not None:
            return self._pass_over_line(at)
        end = self._rest.find(b"\n", at)
        if end < 0:
            return self._enlarge(at) if len(self._rest) - at > MAX_VALUE_BYTES else None
        if end == at:
            if self._fields:
                entries.append(_entry(self._fields))
                self._fields = {}
            return end + 1
        name, equals, value = bytes(self._rest[at:end]).partition(b"=")
        if equals:
            self._put(name, value)
            return end + 1
        return self._sized(name, end + 1)

    def _put(self, name: bytes, value: Value) -> None:
        self._fields.setdefault(name.decode("ascii", "replace"), []).append(value)

    def _sized(self, name: bytes, at: int) -> int | None:
        """A value that is preceded by its size: 8 bytes, the least first."""
        start = at + 8
        if len(self._rest) < start:
            return None
        size = int.from_bytes(self._rest[at:start], "little")
        if size > MAX_VALUE_BYTES:
            self._put(name, Large(size))
            self._skip = size + 1
            return start
        if len(self._rest) < start + size + 1:
            return None
        self._put(name, bytes(self._rest[start : start + size]))
        return start + size + 1

    def _pass_over(self, at: int) -> int | None:
        step = min(self._skip, len(self._rest) - at)
        self._skip -= step
        return at + step if step else None

    def _enlarge(self, at: int) -> int:
        """A line of text without an end so far: only its length is kept."""
        name, equals, value = bytes(self._rest[at:]).partition(b"=")
        if not equals:
            raise WireError("its journal has a field without a value")
        self._large = (name.decode("ascii", "replace"), len(value))
        return len(self._rest)

    def _pass_over_line(self, at: int) -> int | None:
        assert self._large is not None
        name, size = self._large
        end = self._rest.find(b"\n", at)
        stop = len(self._rest) if end < 0 else end
        self._large = (name, size + stop - at)
        if end < 0:
            return stop if stop > at else None
        self._put(name.encode(), Large(size + stop - at))
        self._large = None
        return end + 1


def _entry(fields: dict[str, list[Value]]) -> Entry:
    cursor, boot, at = (_text(fields, name) for name in ("__CURSOR", "_BOOT_ID", "__REALTIME_TIMESTAMP"))
    if not cursor or not at.isdigit():
        raise WireError("its journal has an entry without a place or a time")
    return Entry(cursor, boot, int(at), {name: tuple(values) for name, values in fields.items()})


def _text(fields: dict[str, list[Value]], name: str) -> str:
    value = fields.get(name, [b""])[-1]
    return value.decode("ascii", "replace") if isinstance(value, bytes) else ""
