"""How the journals of machines are asked for: what to read, from where on, and how time is written there."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

from fleetssh.core.errors import CommandError
from fleetssh.wire.export import BEGIN, BOOT_IS, FORGOT, Place
from fleetssh.wire.quoting import quote, words
from fleetssh.wire.remote import as_root, guarded, selection

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

BOOT = "cat /proc/sys/kernel/random/boot_id"

FIELDS = (
    "MESSAGE", "SYSLOG_IDENTIFIER", "_COMM", "_PID", "SYSLOG_PID", "_SOURCE_REALTIME_TIMESTAMP", "_HOSTNAME",
)  # fmt: skip
"""What a line is made of; the rest of an entry is several times as large and stays where it is."""

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
