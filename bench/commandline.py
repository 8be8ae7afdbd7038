"""CPU of the verbs that touch no machine, beside a Python that does nothing."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.table import Row, tell

RUNS = 7
UNITS = 1000
CPU_AIM = 150.0


def cpu(*argv: str, env: dict[str, str]) -> float:
    """Median CPU milliseconds of a whole process."""
    seconds = []
    for _ in range(RUNS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *argv], check=True, capture_output=True, env=env)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return sorted(seconds)[RUNS // 2] * 1000


def rows() -> Iterator[Row]:
    tell("commands that touch no machine")
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "FLEETSSH_STATE": f"{folder}/state.db"}
        for number in range(UNITS):
            Path(folder, f"n{number}.service").write_text("[Service]\nExecStart=/bin/true\n")
        files = [f"{folder}/n{number}.service" for number in range(UNITS)]
        floor = cpu("-c", "pass", env=env)
        for title, words, aim in (
            ("--help", ["--help"], CPU_AIM),
            ("list-unit-files, no unit", ["list-unit-files"], CPU_AIM),
            (f"submit of {UNITS} units", ["submit", *files], None),
            (f"list-unit-files, {UNITS} units", ["list-unit-files"], CPU_AIM),
            (f"list-unit-files -o json, {UNITS} units", ["list-unit-files", "-o", "json"], CPU_AIM),
        ):
            spent = cpu("-m", "fleetssh", *words, env=env)
            yield Row(f"fleetssh {title}: CPU", spent, "ms", "python -c pass", floor, aim)
