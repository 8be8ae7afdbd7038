"""What is shipped for cron and systemd calls commands and sets variables that there are."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from fleetssh.cli.flags import GLOBAL_FLAGS
from fleetssh.cli.main import program

CONTRIB = Path(__file__).parents[2] / "contrib"
FILES = sorted(path for path in CONTRIB.rglob("*") if path.is_file() and path.suffix != ".timer")
VARIABLES = {name for flag in GLOBAL_FLAGS for name in flag.envvar or ()}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_calls_a_command_that_there_is_with_settings_that_there_are(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    calls = [found for line in lines for found in re.findall(r"\bfleetssh ([a-z-]+)$", line)]
    assert len(calls) == 1, lines
    assert isinstance(program, click.Group)
    assert program.get_command(click.Context(program), calls[0]) is not None
    assert set(re.findall(r"\bFLEETSSH_[A-Z_]+(?==)", "\n".join(lines))) <= VARIABLES


def test_every_timer_has_its_service() -> None:
    for timer in CONTRIB.rglob("*.timer"):
        assert timer.with_suffix(".service").exists()
