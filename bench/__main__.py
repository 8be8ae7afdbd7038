"""``make bench``: every figure beside another one measured in the same run; ratios matter, not seconds."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import commandline, passes, peers, placement, units
from bench.table import Row, print_table, tell
from fleetssh.lab import Lab
from fleetssh.lab.image import MORE_PACKAGES

PEERS_SIZE, UNITS_SIZE = 40, 3


@contextmanager
def machines(size: int, folder: Path) -> Iterator[Lab]:
    """A lab of ``size`` machines, taken down again."""
    lab = Lab.open(f"bench{size}", folder / f"lab{size}")
    try:
        lab.up(size, tell)
        yield lab
    finally:
        lab.down()


def measure(chosen: set[str], folder: Path) -> Iterator[Row]:
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


def main() -> None:
    known = ["placement", "commandline", "units", "passes", "peers"]
    chosen = set(sys.argv[1:]) or set(known)
    if unknown := chosen.difference(known):
        sys.exit(f"there is no {', '.join(sorted(unknown))}: {', '.join(known)}")
    if os.geteuid() != 0 and chosen - {"placement", "commandline"}:
        sys.exit("needs root: the lab makes real machines")
    if "peers" in chosen:
        os.environ.setdefault(MORE_PACKAGES, "python3")  # ansible needs it on every machine
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        rows = list(measure(chosen, Path(folder)))
    print_table(rows)


main()
