"""A controller that is killed at any moment leaves what the next pass finishes."""

from __future__ import annotations

import random
import subprocess
from collections import Counter

import pytest

from tests.live.conftest import Fleet
from tests.live.outside import jobs, service

UNITS = [f"app@{number}" for number in range(1, 31)]
NAMES = {f"{unit}.service" for unit in UNITS}
LAST_MOMENT = 1.2
"""Seconds: by then a start of thirty units is over."""


@pytest.mark.parametrize("share", range(5))
def test_the_next_pass_finishes_what_a_killed_start_began(fleet: Fleet, share: int) -> None:
    moment = LAST_MOMENT * (share + random.random()) / 5
    fleet.unit("app@.service", service())
    killed = fleet.popen("start", *UNITS)
    try:
        killed.wait(moment)
    except subprocess.TimeoutExpired:
        killed.kill()
    killed.communicate()
    print(f"killed after {moment:.3f} s")  # noqa: T201 - shown when the test fails

    if fleet.files().keys() != NAMES:  # nothing was handed over yet: all or nothing
        assert fleet.files() == {}
        fleet.run("start", *UNITS)
    fleet.run("reconcile")
    assert fleet.run("reconcile").out == ""

    assert all(row[1:3] == ["launched", "launched"] for row in fleet.files().values())
    running, started = Counter[str](), Counter[str]()
    for name, host in fleet.witnesses().items():
        said = host.check_output("systemctl list-units --plain --no-legend 'app@*' | cut -d' ' -f1")
        running.update(said.split())
        started.update(job.unit for job in jobs(fleet, name, *NAMES) if job.kind == "start")
        ours = host.check_output("ls /run/fleet/units")
        manifest = host.file("/run/fleet/manifest").content_string
        assert set(ours.split()) == {line.split()[3] for line in manifest.splitlines()[1:]}
    assert set(running) == NAMES and set(running.values()) == {1}
    assert set(started) == NAMES and set(started.values()) == {1}
