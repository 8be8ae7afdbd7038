"""Host patterns of Ansible: ``web[01:12]``, ``db[a:f]``, ``n[0:10:2]``, several in one, ``name:port``."""

from __future__ import annotations

import ipaddress
import itertools
import re
import string

from fleetssh.core.errors import InventoryError
from fleetssh.core.excerpts import excerpt

# One controller steers hundreds of machines; a pattern that gives more names than this is a slip of the
# finger, and expanding web[0:999999999] would fill the memory before anybody could be told.
MAX_NAMES = 10_000

# Longer numbers name no machine, and Python refuses to count ranges beyond 63 bits.
_MAX_DIGITS = 18

_RANGE = re.compile(r"\[([^\[\]]*)\]")
_BRACKETED = re.compile(r"\[([^\[\]]*)\]:([0-9]+)")
_WITH_PORT = re.compile(r"((?:[^:\[\]]|\[[^\]]*\])*):([0-9]+)")
_EXAMPLES = "ranges are written web[01:12], db[a:f] or n[0:10:2]"


def split_port(pattern: str) -> tuple[str, str | None]:
    """Cut ``name:port`` or ``[ipv6]:port``; a plain IPv6 address stays whole. The port is not checked."""
    match = _BRACKETED.fullmatch(pattern)
    if match and _is_ipv6(match[1]):
        return match[1], match[2]
    match = _WITH_PORT.fullmatch(pattern)
    return (match[1], match[2]) if match else (pattern, None)


def expand(pattern: str, where: str) -> tuple[str, ...]:
    """All names of a pattern, leftmost range slowest, as Ansible expands it.

    Raises ``InventoryError`` for a range that cannot be meant or gives more than ``MAX_NAMES`` names.
    """
    # re.split with one group gives text, range, text, range, ..., text.
    pieces = _RANGE.split(pattern)
    if any(bracket in text for text in pieces[::2] for bracket in "[]"):
        raise _bad(pattern, "a bracket has no partner", where)
    choices: list[list[str]] = []
    count = 1
    for index, piece in enumerate(pieces):
        choices.append(_choices(piece, pattern, where) if index % 2 else [piece])
        count *= len(choices[-1])
        _check_count(count, pattern, where)
    return tuple("".join(parts) for parts in itertools.product(*choices))


def _choices(text: str, pattern: str, where: str) -> list[str]:
    bounds = text.split(":")
    if len(bounds) not in (2, 3):
        raise _bad(pattern, f"`[{excerpt(text)}]` is not begin:end or begin:end:step", where)
    begin, end, step = bounds[0] or "0", bounds[1], bounds[2] if len(bounds) == 3 else "1"
    if not _is_number(step) or int(step) == 0:
        raise _bad(pattern, f"the step `{excerpt(step)}` is not a whole number above 0", where)
    if _is_number(begin) and _is_number(end):
        return _numbers(begin, end, int(step), pattern, where)
    letters = string.ascii_letters
    if len(begin) != 1 or len(end) != 1 or begin not in letters or end not in letters:
        raise _bad(pattern, f"`[{excerpt(text)}]` has neither two numbers nor two letters", where)
    first, last = letters.index(begin), letters.index(end)
    if first > last:
        raise _bad(pattern, f"`{begin}` comes after `{end}`", where)
    return list(letters[first : last + 1 : int(step)])


def _numbers(begin: str, end: str, step: int, pattern: str, where: str) -> list[str]:
    if int(begin) > int(end):
        raise _bad(pattern, f"`{begin}` comes after `{end}`", where)
    is_padded = begin.startswith("0") and len(begin) > 1
    if is_padded and len(begin) != len(end):
        raise _bad(
            pattern, f"`{begin}` and `{end}` differ in length, which leading zeros do not allow", where
        )
    numbers = range(int(begin), int(end) + 1, step)
    _check_count(len(numbers), pattern, where)
    return [str(number).zfill(len(begin) if is_padded else 0) for number in numbers]


def _check_count(count: int, pattern: str, where: str) -> None:
    if count > MAX_NAMES:
        raise _bad(pattern, f"it means {count} hosts, more than {MAX_NAMES}", where)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _bad(pattern: str, why: str, where: str) -> InventoryError:
    return InventoryError(
        f"bad range in `{excerpt(pattern)}`: {why}; expected begin:end or begin:end:step",
        where,
        _EXAMPLES,
    )
