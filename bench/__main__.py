"""``make bench``: every figure beside another one measured in the same run; ratios matter, not seconds."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import commandline, failover, faults, passes, peers, placement, units, watching
from bench.table import Row, print_lines, print_table, tell
from fleetssh.lab import Lab
from fleetssh.lab.image import MORE_PACKAGES

PEERS_SIZE, UNITS_SIZE = 40, 3

SHORT = ("placement", "commandline", "units", "passes", "peers")
LONG = ("failover", "watching", "faults")
"""These take minutes, and are measured only when they are named. The first two take a number: trials, and
seconds; the last one a part of the names of its rows."""


@contextmanager
def machines(size: int, folder: Path) -> Iterator[Lab]:
    """A lab of ``size`` machines, taken down again."""
    lab = Lab.open(f"bench{size}", folder / f"lab{size}")
    try:
        lab.up(size, tell)
        yield lab
    finally:
        lab.down()


def measure(chosen: dict[str, str], folder: Path) -> Iterator[Row]:
    if "placement" in chosen:
        yield from placement.rows()
    if "commandline" in chosen:
        yield from commandline.rows()
    if "units" in chosen:
        with machines(UNITS_SIZE, folder) as lab:
            yield from units.rows(lab, folder)
    sizes: dict[int, list[Callable[[Lab, Path], Iterator[Row]]]] = {}
    if "passes" in chosen:
        for size in passes.SIZES:
            sizes.setdefault(size, []).append(lambda lab, where, size=size: passes.rows(lab, size, where))  # type: ignore[misc]
    if "peers" in chosen:
        sizes.setdefault(PEERS_SIZE, []).append(peers.rows)
    for size, parts in sorted(sizes.items()):
        with machines(size, folder) as lab:
            for part in parts:
                yield from part(lab, folder)
    if "failover" in chosen:
        with machines(failover.MACHINES, folder) as lab:
            yield from failover.rows(lab, folder, int(chosen["failover"] or failover.TRIALS))
    if "watching" in chosen:
        with machines(watching.MACHINES, folder) as lab:
            yield from watching.rows(lab, folder, float(chosen["watching"] or watching.SECONDS))


def choose(words: list[str]) -> dict[str, str]:
    """``failover=5`` as what to measure, and how much of it."""
    chosen = {name: given for name, _, given in (word.partition("=") for word in words)}
    if unknown := chosen.keys() - {*SHORT, *LONG}:
        sys.exit(f"there is no {', '.join(sorted(unknown))}: {', '.join((*SHORT, *LONG))}")
    return chosen or dict.fromkeys(SHORT, "")


def main() -> None:
    chosen = choose(sys.argv[1:])
    if os.geteuid() != 0 and chosen.keys() - {"placement", "commandline"}:
        sys.exit("needs root: the lab makes real machines")
    if "peers" in chosen:
        os.environ.setdefault(MORE_PACKAGES, "python3")  # ansible needs it on every machine
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        if rows := list(measure(chosen, Path(folder))):
            print_table(rows)
        if "faults" in chosen:
            print_lines(list(faults.lines(Path(folder), chosen["faults"])))


main()
