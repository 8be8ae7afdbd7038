"""The one table that ``make bench`` prints: a row a figure, beside what was measured in the same run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

RUNS = 5
"""Each figure is the median of so many runs, after one that is not counted."""


@dataclass(frozen=True, slots=True)
class Row:
    """``figure`` and ``beside`` in ``unit``; ``beside`` is empty where nothing stands beside. ``aim`` is the
    most that ``judged`` may be (the least, when ``at_least``); without one nothing is judged."""

    what: str
    figure: float
    unit: str
    other: str = ""
    beside: float | None = None
    aim: float | None = None
    judge_ratio: bool = False
    at_least: bool = False
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times the other one this is; how many times as long the other takes, when ``at_least``."""
        if not self.beside:
            return None
        return self.beside / self.figure if self.at_least else self.figure / self.beside

    @property
    def verdict(self) -> str:
        """Whether the aim is met; empty without one."""
        judged = self.ratio if self.judge_ratio else self.figure
        if self.aim is None or judged is None:
            return ""
        met = judged >= self.aim if self.at_least else judged <= self.aim
        return "met" if met else "MISSED"


def median(work: Callable[[], float], runs: int = RUNS) -> float:
    """The median of what ``work`` gives, its first run not counted."""
    work()
    return sorted(work() for _ in range(runs))[runs // 2]


def medians(work: Callable[[], tuple[float, ...]], runs: int = RUNS) -> tuple[float, ...]:
    """As ``median``, column by column."""
    work()
    columns = zip(*(work() for _ in range(runs)), strict=True)
    return tuple(sorted(column)[runs // 2] for column in columns)


def tell(text: str) -> None:
    """Progress, beside the table."""
    print(text, file=sys.stderr, flush=True)


def print_table(rows: Iterable[Row]) -> None:
    """The table in Markdown, so that it can be kept as it is."""
    lines = [("what", "ours", "beside it", "ratio", "aim", "", "note")]
    for row in rows:
        ratio = row.ratio
        sign = "at least" if row.at_least else "at most"
        aim = "" if row.aim is None else f"{sign} {row.aim:g}{' x' if row.judge_ratio else f' {row.unit}'}"
        lines.append(
            (
                row.what,
                f"{row.figure:.3g} {row.unit}",
                f"{row.beside:.3g} {row.unit} {row.other}" if row.beside is not None else "",
                f"{ratio:.2f} x" if ratio is not None else "",
                aim,
                row.verdict,
                row.note,
            )
        )
    print_lines(lines)


def print_lines(lines: Sequence[Sequence[str]]) -> None:
    """Cells in Markdown; the first line is the head."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for number, line in enumerate(lines):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |")
        if number == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")
