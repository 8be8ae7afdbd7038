"""Starting, hearing and killing other processes at a state file (tests/store/child.py)."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def start(verb: str, path: Path, *before: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*before, sys.executable, "-m", "tests.store.child", verb, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def finish(child: subprocess.Popen[str]) -> list[str]:
    output, _ = child.communicate(timeout=120)
    assert child.returncode == 0
    return output.splitlines()


def kill(child: subprocess.Popen[str]) -> str:
    """Kill a child and return what it had still said."""
    assert child.stdout is not None
    with child.stdout as output:
        child.send_signal(signal.SIGKILL)
        rest = output.read()  # communicate() would forget what readline() has read ahead
    child.wait(60)
    return rest


def in_small_disk(verb: str, folder: Path, mounts: str) -> list[str]:
    """Run a child whose ``folder`` is a file system of its own, seen by nobody else."""
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
        pytest.skip("needs mount namespaces")
    shell = ["unshare", "-rm", "sh", "-ec", f'cd {ROOT}; {mounts}; exec "$@"', "sh"]
    return finish(start(verb, folder / "state.db", *shell))
