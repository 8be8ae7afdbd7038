"""CPU of the verbs that touch no machine, beside a Python that does nothing."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

RUNS = 7
UNITS = 1000


def cpu(*argv: str, env: dict[str, str]) -> float:
    """Median CPU seconds of a whole process."""
    seconds = []
    for _ in range(RUNS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *argv], check=True, capture_output=True, env=env)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return sorted(seconds)[RUNS // 2]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "FLEETSSH_STATE": f"{folder}/state.db"}
        for number in range(UNITS):
            Path(folder, f"n{number}.service").write_text("[Service]\nExecStart=/bin/true\n")
        files = [f"{folder}/n{number}.service" for number in range(UNITS)]
        floor = cpu("-c", "pass", env=env)
        print(f"{'python -c pass':34} {floor * 1000:7.0f} ms CPU")
        for title, words in {
            "--help": ["--help"],
            "list-unit-files, empty": ["list-unit-files"],
            f"submit {UNITS} units": ["submit", *files],
            f"list-unit-files, {UNITS} units": ["list-unit-files"],
        }.items():
            spent = cpu("-m", "fleetssh", *words, env=env)
            print(f"fleetssh {title:25} {spent * 1000:7.0f} ms CPU  {spent / floor:5.1f} x")


if __name__ == "__main__":
    main()
