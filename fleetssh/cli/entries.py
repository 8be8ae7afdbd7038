"""Prints journal entries as journalctl prints them: short, short-iso, short-precise, cat, json."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from fleetssh import clock
from fleetssh.core.journal import Entry, Large, Value
from fleetssh.wire.journal import MONTHS, Customs

MODES = ("short", "short-iso", "short-precise", "cat", "json")

_COLORS = re.compile(rb"\x1b\[[0-9;]*m|\x1b\][\x20-\xff]*?\x07")
_LINE_ENDS = re.compile(rb"\r+(?=\n|\Z)")
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ufdd0-\ufdef"
    + "".join(chr(plane + last) for plane in range(0, 0x110000, 0x10000) for last in (0xFFFE, 0xFFFF))
    + "]"
)
"""What journalctl takes for binary: control characters but tab and newline, and what is no character."""

MAX_NAME_BYTES = 300
"""A longer identifier is none to journalctl."""


@dataclass(frozen=True, slots=True)
class Style:
    """How entries are written: the mode, and how time is; ``None`` is this computer's way."""

    mode: str
    customs: Customs | None = None


def make_printer(style: Style) -> Callable[[Entry, bytes | None], bytes]:
    """What prints an entry with a host name, ``None`` for its own: whole lines, or nothing for an entry that
    journalctl skips. Only in ``cat`` do messages keep their control characters, as in journalctl's.
    """
    match style.mode:
        case "cat":
            return _print_cat
        case "json":
            return _print_json
        case _:
            stamp = _stamps(style)
            return lambda entry, host: _print_short(entry, host, stamp)


# ---------------------------------------------------------------- short


def _print_short(entry: Entry, host: bytes | None, stamp: Callable[[int], bytes]) -> bytes:
    message = _last(entry, "MESSAGE")
    if message is None:
        return b""
    host = _name(entry, "_HOSTNAME") if host is None else host
    head = stamp(_time(entry)) + (b" " + host if host else b"")
    head += b" " + (_name(entry, "SYSLOG_IDENTIFIER") or _name(entry, "_COMM") or b"unknown")
    pid = _name(entry, "_PID") or _name(entry, "SYSLOG_PID")
    head += b"[" + pid + b"]" if pid else b""
    if isinstance(message, Large):
        return head + b": " + _blob(message.size) + b"\n"
    text = _tidy(message)
    if not _is_printable(text):
        return head + b": " + _blob(len(text)) + b"\n"
    lines = text.removesuffix(b"\n").split(b"\n")
    return head + b": " + (b"\n" + b" " * (len(head) + 2)).join(lines) + b"\n"


def _tidy(message: bytes) -> bytes:
    """Without colours, window titles and carriage returns at line ends; tabs as eight blanks."""
    return _LINE_ENDS.sub(b"", _COLORS.sub(b"", message)).replace(b"\t", b" " * 8)


def _last(entry: Entry, name: str) -> Value | None:
    values = entry.fields.get(name)
    return values[-1] if values else None


def _name(entry: Entry, name: str) -> bytes:
    value = _last(entry, name)
    return value if isinstance(value, bytes) and _is_name(value) else b""


def _is_name(value: bytes) -> bool:
    return len(value) < MAX_NAME_BYTES and _is_printable(value)


def _is_printable(text: bytes) -> bool:
    try:
        return _UNPRINTABLE.search(text.decode()) is None
    except UnicodeDecodeError:
        return False


def _blob(size: int) -> bytes:
    """journalctl's words for a binary message of ``size`` bytes."""
    if size < 1024:
        return b"[%dB blob data]" % size
    units = iter((b"K", b"M", b"G"))
    unit = next(units)
    while size >= 1024 * 1024 and unit != b"G":
        size, unit = size // 1024, next(units)
    return b"[%d.%d%s blob data]" % (size // 1024, size * 10 // 1024 % 10, unit)


# ---------------------------------------------------------------- time


def _time(entry: Entry) -> int:
    """Microseconds since the epoch: the writer's own time where there is one, as journalctl prints it."""
    said = _last(entry, "_SOURCE_REALTIME_TIMESTAMP")
    return int(said) if isinstance(said, bytes) and said.isdigit() and len(said) < 18 else entry.at


def _stamps(style: Style) -> Callable[[int], bytes]:
    """What writes a time in microseconds."""
    customs = style.customs
    zone = clock.read_zone(customs.zone) if customs else None
    months = customs.months if customs else MONTHS

    @lru_cache(maxsize=1024)
    def second(seconds: int) -> str:
        when = clock.calendar(seconds, zone)
        if style.mode == "short-iso":
            offset = f"{when:%z}"
            offset = f"{offset[:3]}:{offset[3:5]}" if customs and customs.colon else offset[:5]
            return f"{when:%Y-%m-%dT%H:%M:%S}{offset}"
        return f"{months[when.month - 1]} {when:%d %H:%M:%S}"

    def stamp(micros: int) -> bytes:
        seconds, rest = divmod(micros, 1_000_000)
        text = second(seconds)
        return (f"{text}.{rest:06d}" if style.mode == "short-precise" else text).encode()

    return stamp


# ---------------------------------------------------------------- cat and json


def _print_cat(entry: Entry, _host: bytes | None) -> bytes:
    values = entry.fields.get("MESSAGE")
    if not values:
        return b""
    value = values[0]
    return (_blob(value.size) if isinstance(value, Large) else value) + b"\n"


def _print_json(entry: Entry, _host: bytes | None) -> bytes:
    fields = {name: _as_json(values) for name, values in entry.fields.items()}
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _as_json(values: tuple[Value, ...]) -> object:
    """journalctl's ways: text, numbers for binary, ``null`` for what is too large, a list for several."""
    each = [*(_value_as_json(value) for value in values)]
    return each[0] if len(each) == 1 else each


def _value_as_json(value: Value) -> object:
    if isinstance(value, Large):
        return None
    return value.decode() if _is_printable(value) else [*value]
