"""The whole table of faults, each row at its full length on real machines, with what was seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.table import tell
from tests.live.faults.lane import LEASE
from tests.live.faults.playing import playing
from tests.live.faults.rows import Fate, Seen, faults
from tests.live.faults.table import SCENES

HEAD = (
    "fault",
    "its units",
    "ordinary unit ran twice",
    f"leased ({LEASE} s) ran twice",
    "lost",
    "healthy stopped",
    "away: ordinary, leased",
    "passes to converge",
    "",
)


def lines(folder: Path, chosen: str = "") -> Iterator[Sequence[str]]:
    """The table's lines; ``chosen`` is a part of the names of the rows that are played."""
    yield HEAD
    scenes = [scene for scene in SCENES if chosen in scene.name]
    with playing(scenes, "faults", folder, folder, whole=True) as futures:
        for scene in scenes:
            try:
                seen = futures[scene.name].result()
            except AssertionError as error:
                tell(f"{scene.name}: {error}")
                yield (scene.name, *[""] * (len(HEAD) - 2), "NOT OVER")
                continue
            tell(f"{scene.name}: blind for {seen.blind:.2f} s at most\n{seen.told}")
            for fault in faults(seen):
                tell(f"  {fault}")
            yield _line(seen)


def _line(seen: Seen) -> Sequence[str]:
    after = f", {seen.twice_after:.1f} s of it after its return" if seen.twice_after else ""
    return (
        seen.name,
        "move" if seen.fate is Fate.MOVE else "stay",
        f"{seen.twice:.1f} s{after}" if seen.twice else "no",
        f"{seen.twice_leased:.2f} s" if seen.twice_leased else "no",
        str(len(seen.lost)),
        str(len(seen.stopped)),
        f"{seen.away:.1f} s, {seen.away_leased:.1f} s",
        str(seen.passes_to_converge),
        "FAULTS" if faults(seen) else "",
    )
