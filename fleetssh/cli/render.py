"""Tables and short words as fleet printed them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

TAB = 8
"""Terminals have tab stops every 8 columns."""

SHORT_HASH = 7
SHORT_ID = 8
"""Characters that fleet showed of a hash and of a machine id."""


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines whose columns meet on tab stops (fleet 1.14).

    Every column but the last is as wide as its longest cell plus 1, rounded up to a tab stop; cells are
    filled up with tabs alone. All rows have the same number of cells.
    """
    widths = [_width(column) for column in zip(*rows, strict=True)]
    return ["".join([*map(_fill, row[:-1], widths), row[-1]]) for row in rows]


def _width(column: Iterable[str]) -> int:
    return (max(map(len, column)) // TAB + 1) * TAB


def _fill(cell: str, width: int) -> str:
    return cell + "\t" * -((len(cell) - width) // TAB)


def pairs(mapping: Mapping[str, str]) -> str:
    """``k=v`` sorted by key and joined by commas, ``-`` for none (fleet's METADATA column)."""
    return ",".join(f"{key}={value}" for key, value in sorted(mapping.items())) or "-"


def duration(seconds: float) -> str:
    """A time span in its largest whole unit: ``35s``, ``12m``, ``3h``, ``2d``."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f}{unit}"
    return f"{max(seconds, 0):.0f}s"


def machine_title(machine_id: str, address: str, *, full: bool) -> str:
    """fleet's legend of a machine: short or whole id, ``/`` and its address when that is known."""
    title = machine_id if full else f"{machine_id[:SHORT_ID]}..."
    return f"{title}/{address}" if address else title


def short_hash(hash_: str, *, full: bool) -> str:
    """fleet's short form of a hash: its first seven characters; ``-`` for none."""
    return (hash_ if full else hash_[:SHORT_HASH]) or "-"


def plural(count: int, noun: str) -> str:
    """``1 machine``, ``3 machines``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
