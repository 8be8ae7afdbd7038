"""Running seeds: one with its transcript, or many on all processors until one breaks."""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from tests.sim.world import World

CHUNK = 20


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a seed ended: ``rule`` names what it broke, or is empty."""

    seed: int
    rule: str
    what: str
    story: str


def run_seed(
    seed: int, levers: frozenset[str] = frozenset(), about: str = "", *, whole: bool = False
) -> Verdict:
    """Tells one seed's story."""
    world = World(seed, levers, about)
    rule = what = ""
    try:
        world.tell()
    except Exception as error:
        rule = getattr(error, "rule", "the program has no defects")
        what = f"{type(error).__name__}: {error}"
        if not hasattr(error, "rule"):
            import traceback

            what += "\n" + "".join(traceback.format_exception(error)[-8:])
    story = world.transcript.text(10**9) if whole else world.transcript.text() if rule else ""
    return Verdict(seed, rule, what, story)


def explain(verdict: Verdict) -> str:
    """What a person needs to see of a broken seed."""
    again = f"make sim SEED={verdict.seed}"
    return f"{verdict.story}\n\nseed {verdict.seed}: {verdict.what}\nagain, with the whole story: {again}"


def _tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _run_chunk(first: int, last: int) -> list[Verdict]:
    return [verdict for seed in range(first, last) if (verdict := run_seed(seed)).rule]


def main() -> int:
    """``python -m tests.sim.run``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--go-on", action="store_true", help="count what breaks instead of stopping at the first"
    )
    options = parser.parse_args()
    if options.seed is not None:
        verdict = run_seed(options.seed, whole=True)
        _tell(
            explain(verdict)
            if verdict.rule
            else f"{verdict.story}\n\nseed {options.seed}: all rules were kept"
        )
        return 1 if verdict.rule else 0
    return _run_many(options.first, options.seeds, options.jobs, go_on=options.go_on)


def _run_many(first: int, seeds: int, jobs: int, *, go_on: bool) -> int:
    began = time.monotonic()
    starts = range(first, first + seeds, CHUNK)
    ends = [min(start + CHUNK, first + seeds) for start in starts]
    broken: list[Verdict] = []
    with ProcessPoolExecutor(max_workers=jobs) as pool:
        for end, verdicts in zip(ends, pool.map(_run_chunk, starts, ends), strict=True):
            broken += verdicts
            for verdict in verdicts:
                sys.stderr.write(f"\rseed {verdict.seed}: {verdict.what.splitlines()[0]}\n")
            rate = (end - first) / (time.monotonic() - began)
            done = f"{end - first} of {seeds} seeds, {len(broken)} broken, {rate:.0f} a second"
            sys.stderr.write(f"\r{done}")
            if broken and not go_on:
                pool.shutdown(wait=False, cancel_futures=True)
                break
    sys.stderr.write("\n")
    if broken:
        _tell(explain(broken[0]))
        for verdict in broken:
            _tell(f"seed {verdict.seed}: {verdict.what.splitlines()[0]}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
