"""``kill -9`` of the controller between any two of its writes: the next pass finishes what was committed."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.live.aftermath import Wish, unit_text
from tests.live.conftest import Fleet, wait_for
from tests.live.killing import Done
from tests.live.plays import (
    Play,
    Round,
    Scenario,
    move,
    playing,
    replace_and_restart,
    side_by_side,
    start_and_destroy,
    stop_and_start,
)

EVERYWHERE = bool(os.environ.get("FLEETSSH_TEST_EVERYWHERE"))
"""Every write of every command, also those that are the same in all: minutes instead of one."""

pytestmark = pytest.mark.timeout(3600 if EVERYWHERE else 300)

SAMPLE = 1 if EVERYWHERE else 7
"""Of the writes of a command to three machines, every seventh: on some machine each kind has its turn."""


def kill_everywhere(play: Play, scenario: Scenario, fine: Collection[str] = (), stride: int = 1) -> None:
    """Kills every command before its first write, its second, and so on, until it ends unharmed. ``fine``
    names the verbs of which the writes are counted that are the same in all."""
    deaths = Counter[str]()
    unharmed: set[str] = set()
    for turn in scenario(play):
        verb = turn.arguments[0]
        if verb in unharmed:
            if len(unharmed) == len(deaths):
                break
            play.succeed(*turn.arguments)
            play.look(turn.wishes)
            continue
        last = kill(play, turn, deaths, stride, EVERYWHERE or verb in fine)
        if last.code is not None:
            unharmed.add(verb)
            assert last.code == 0, last.err
        assert play.lost(turn.wishes) == [], f"{turn.arguments}: killed before write {last.writes[-1]}"
    assert all(count > stride for count in deaths.values())


def kill(play: Play, turn: Round, deaths: Counter[str], stride: int, fine: bool) -> Done:
    """Kills a command at the next place, and again as long as it has committed nothing; then one pass."""
    before = play.committed()
    while True:
        deaths[turn.arguments[0]] += stride
        done = play.run(*turn.arguments, at=deaths[turn.arguments[0]], fine=fine)
        if done.code is not None:
            return done
        if play.committed() != before:
            play.wait()
            play.succeed("reconcile")
            return done


def test_a_command_is_killed_before_each_of_its_writes(fleet: Fleet, tmp_path: Path) -> None:
    def first() -> None:
        with playing(fleet, tmp_path / "m1", "m1") as play:
            kill_everywhere(play, start_and_destroy, fine=["start"])

    def second() -> None:
        with playing(fleet, tmp_path / "m2", "m2") as play:
            kill_everywhere(play, replace_and_restart)

    def third() -> None:
        with playing(fleet, tmp_path / "m3", "m3") as play:
            kill_everywhere(play, stop_and_start)

    side_by_side(first, second, third)


def test_a_move_is_killed_before_each_of_its_writes(fleet: Fleet, tmp_path: Path) -> None:
    with playing(fleet, tmp_path / "two", "m1", "m2") as play:
        kill_everywhere(play, move)


def test_a_first_start_on_three_machines_is_killed_among_its_writes(fleet: Fleet, tmp_path: Path) -> None:
    with playing(fleet, tmp_path / "three", "m1", "m2", "m3") as play:
        kill_everywhere(play, start_and_destroy, fine=["start", "destroy"], stride=SAMPLE)


def test_what_a_dead_controller_ordered_is_not_done_late(fleet: Fleet, tmp_path: Path) -> None:
    def queue() -> int:
        return int(fleet.lab.run_inside("m1", ["pgrep", "-fc", "^flock -w"]).stdout)

    with playing(fleet, tmp_path / "m1", "m1") as play:
        for unit in ("late.service", "new.service"):
            play.fleet.unit(unit, unit_text(1))
        with lock_held(fleet, "m1"):
            late = play.fleet.popen("start", "late.service")
            wait_for(lambda: queue() == 1, what="a visit that waits for the lock")
            late.kill()
            late.communicate()
            play.succeed("destroy", "late.service")
            new = play.fleet.popen("start", "new.service")
            wait_for(lambda: queue() == 2, what="another visit that waits for the lock")
        assert new.communicate() and new.returncode == 0
        play.wait()
        assert play.lost({"late.service": Wish(1, gone=True), "new.service": Wish(1)}) == []


@contextmanager
def lock_held(fleet: Fleet, machine: str) -> Iterator[None]:
    """As by another visit that takes its time."""
    held = (
        "mkdir -p /run/fleet; systemd-run -q --unit=holder --service-type=notify --property=NotifyAccess=all"
    )
    held += " flock /run/fleet/lock sh -c 'systemd-notify --ready; exec sleep infinity'"
    assert fleet.lab.run_inside(machine, ["sh", "-c", held]).returncode == 0
    try:
        yield
    finally:
        fleet.lab.run_inside(machine, ["systemctl", "stop", "holder"])
