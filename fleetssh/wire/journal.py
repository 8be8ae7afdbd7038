"""How the journals of machines are asked for, and how the answer (journald's export format) is heard."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

from fleetssh.core.errors import CommandError, WireError
from fleetssh.core.journal import Entry, Large, Value
from fleetssh.wire.quoting import quote, words
from fleetssh.wire.remote import as_root, guarded, selection

BEGIN = b"FLEETSSH journal\n"
"""What comes before it is of a login shell that has something to say."""

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

BOOT_IS = b"FLEETSSH boot "
FORGOT = b"FLEETSSH forgot\n"
"""The journal no longer knows the boot that is to be gone on from."""

BOOT = "cat /proc/sys/kernel/random/boot_id"

FIELDS = (
    "MESSAGE", "SYSLOG_IDENTIFIER", "_COMM", "_PID", "SYSLOG_PID", "_SOURCE_REALTIME_TIMESTAMP", "_HOSTNAME",
)  # fmt: skip
"""What a line is made of; the rest of an entry is several times as large and stays where it is."""

MAX_VALUE_BYTES = 1024 * 1024
"""A larger value is told by its size: nobody reads it on a terminal, and journald cuts a line of output at
48 KiB."""

MAX_HEAD_BYTES = 64 * 1024
"""How much a login shell may say before it counts as no answer."""

MAX_COMMAND_BYTES = 100_000
"""Linux takes no single argument above 128 KiB, and a login shell gets the command as one."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked of one machine: all its ``units`` at once. ``lines`` is how many of the latest (of those
    that match), ``None`` for all; ``since``, ``until`` and ``grep`` are journalctl's own, empty for none.
    ``whole`` asks for every field of an entry."""

    units: tuple[str, ...]
    lines: int | None = None
    since: str = ""
    until: str = ""
    grep: str = ""
    whole: bool = False
    sudo: bool = False

    @property
    def is_backwards(self) -> bool:
        """Whether ``read_command`` brings the latest first: else journalctl greps in the latest ``lines``."""
        return bool(self.grep) and self.lines is not None


@dataclass(frozen=True, slots=True)
class Place:
    """An entry's place in a machine's journal: to go on after it."""

    cursor: str
    boot: str


@dataclass(frozen=True, slots=True)
class Customs:
    """How a machine writes time: its ``/etc/localtime``, its months, and whether ISO offsets have a colon
    (they have since systemd 255)."""

    zone: bytes
    months: tuple[str, ...]
    colon: bool


# ---------------------------------------------------------------- asking


def read_command(ask: Ask, *, start: bool = False) -> str:
    """Reads entries, oldest first unless ``ask.is_backwards``, and ends.

    ``start`` is for what is to be followed: as in ``journalctl -f`` only this boot counts, and the journal's
    end is told (``EntryReader.end``) from before anything is read. Raises CommandError for more units than a
    command can name.
    """
    limit = [] if ask.lines is None else [f"--lines={ask.lines}"]
    limit += ["--reverse"] if ask.is_backwards else []
    boot = ["--boot"] if start else []
    prepare = "journalctl --quiet --lines=1 --output=export --output-fields=_BOOT_ID; " if start else ""
    return _command(ask, prepare, words([*_options(ask), *limit, *boot, *_selection(ask)]))


def catch_up_command(ask: Ask, after: Place | None) -> str:
    """Reads all entries after a place, of whatever boot, and ends; without a place those since ``ask.since``,
    and without that those of this boot.

    A journal that forgot the place's boot (it was in memory, and the machine was rebooted) tells so
    (``EntryReader.forgot``) and what it has of the new one. It tells the present boot (``EntryReader.boot``).
    Raises CommandError as ``read_command``.
    """
    tell_boot = f'echo "{BOOT_IS.decode()}$({BOOT})"; '
    if after is None:
        boot = [] if ask.since else ["--boot"]
        return _command(ask, tell_boot, words([*_options(ask), *boot, *_selection(ask)]))
    known = f"journalctl --quiet --lines=1 --output=export {quote(f'_BOOT_ID={after.boot}')} | head -c 1"
    prepare = (
        f"{tell_boot}from={quote(f'--after-cursor={after.cursor}')}; "
        f'[ -n "$({known})" ] || {{ from=--boot; echo {_word(FORGOT)}; }}; '
    )
    return _command(ask, prepare, f'"$from" {words([*_options(ask), *selection("", "", ask.grep)])}')


def follow_command(ask: Ask, after: Place | None, boot: str) -> str:
    """Reads the entries of the present boot after a place, or all, and goes on with new ones.

    ``journalctl -f`` knows no other boot: what was missed is for ``catch_up_command``, and where ``boot`` is
    not the present one any more it ends at once. Raises CommandError as ``read_command``.
    """
    prepare = f'[ "$({BOOT})" = {quote(boot)} ] || exit 1; '
    options = ["--follow", "--no-tail", *_options(ask)]
    if after is None:
        return _command(ask, prepare, words([*options, *_selection(ask)]))
    options.append(f"--after-cursor={after.cursor}")
    return _command(ask, prepare, words([*options, *selection("", "", ask.grep)]))


def _selection(ask: Ask) -> list[str]:
    return selection(ask.since, ask.until, ask.grep)


def _word(mark: bytes) -> str:
    return quote(mark.decode().strip())


def _options(ask: Ask) -> list[str]:
    options = ["--no-pager", "--output=export"]
    options += [] if ask.whole else [f"--output-fields={','.join(FIELDS)}"]
    return options + [f"--unit={unit}" for unit in ask.units]


def _command(ask: Ask, prepare: str, options: str) -> str:
    command = as_root(
        f"{prepare}echo {_word(BEGIN)}; {guarded(f'journalctl {options}', beating=True)}", ask.sudo
    )
    if len(command) > MAX_COMMAND_BYTES:
        raise CommandError(
            f"{len(ask.units)} units on one machine are too many for one command", hint="name fewer units"
        )
    return command


# ---------------------------------------------------------------- hearing


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


# ---------------------------------------------------------------- customs


def customs_command(*, sudo: bool) -> str:
    """Asks a machine how it writes time."""
    return as_root(
        f"echo {_word(BEGIN)}; base64 -w 0 /etc/localtime 2>/dev/null; echo; "
        "locale abmon 2>/dev/null || echo; "
        "journalctl --quiet --lines=1 --no-pager --output=short-iso 2>/dev/null",
        sudo,
    )


def read_customs(data: bytes) -> Customs:
    """The answer to ``customs_command``; what it does not say is as in UTC and in English."""
    lines = data.partition(BEGIN)[2].split(b"\n", 2)
    coded, months, stamp = (*lines, b"", b"", b"")[:3]
    try:
        zone = base64.b64decode(coded)
    except ValueError:
        zone = b""
    names = tuple(months.decode("utf-8", "replace").split(";"))
    colon = re.match(rb"\S+[+-]\d\d:\d\d\s", stamp) is not None
    return Customs(zone, names if len(names) == len(MONTHS) else MONTHS, colon)
