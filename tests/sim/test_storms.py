"""Storms over simulated clusters: seeded faults and operators, and no rule is broken."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sim.run import explain, run_seed

SEEDS = 300
"""In a usual run; ``make sim SEEDS=10000`` takes more of them."""

FORMER = (582, 1105, 2028, 2642, 3246, 3651, 3659, 3691, 5337, 5506, 8568, 8629, 8684, 9581, 30537, 31312)
"""Storms beyond those that once broke a rule, or of which a rule said so wrongly."""

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("seed", (*range(SEEDS), *FORMER))
def test_a_storm_breaks_no_rule(seed: int) -> None:
    verdict = run_seed(seed)
    assert not verdict.rule, explain(verdict)


@pytest.mark.parametrize("seed", range(0, 40, 7))
def test_a_seed_tells_one_story(seed: int) -> None:
    assert run_seed(seed, whole=True) == run_seed(seed, whole=True)


def test_a_seed_tells_the_same_story_in_another_process() -> None:
    """Sets iterate in another order there."""
    stories = {
        subprocess.run(
            [sys.executable, "-m", "tests.sim.run", "--seed", "11"],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": number},
            capture_output=True,
            check=True,
        ).stdout
        for number in ("1", "2")
    }
    assert len(stories) == 1
