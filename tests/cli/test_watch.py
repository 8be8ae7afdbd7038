"""What the loop tells, and how often."""

from __future__ import annotations

import os
import sys
from dataclasses import replace

import pytest

from fleetssh import clock
from fleetssh.cli.notify import Notifier
from fleetssh.cli.watch import AGAIN_SECONDS, HELD_SECONDS, Watch
from fleetssh.control.result import Pass
from fleetssh.core.errors import StoreError, StoreHeld
from fleetssh.core.model import Health
from fleetssh.core.sighting import Failure, Unreached
from fleetssh.inventory import Host, Inventory
from tests.cli.passmaking import after, found, look, make_pass, unit

A = unit("a.service")
WELL = make_pass([A], look("m1", found(A)), look("m2"), placed={"a.service": "m1"})


def silent(failure: Failure = Failure.TIMEOUT, health: Health = Health.DOUBTFUL, ago: float = 5.0) -> Pass:
    """A pass in which m2 does not answer."""
    m2 = Unreached("m2", failure, seen_at=1000.0)
    done = make_pass([A], look("m1", found(A)), m2, placed={"a.service": "m1"}, health=health)
    record = replace(done.records["m2"], last_good=1000.0 - ago)
    return replace(done, records={**done.records, "m2": record})


def inventory(*names: str, warnings: tuple[str, ...] = ()) -> Inventory:
    hosts = tuple(Host(n, n, 22, None, None, False, None, {}, (), "hosts.yml:1") for n in names)
    return Inventory("hosts.yml", hosts, warnings)


class Said:
    """What was printed since the last question, without the time in front."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture

    def __call__(self) -> list[str]:
        out, err = self._capture.readouterr()
        return [line.split(" ", 1)[1] for line in (out + err).splitlines()]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    return Said(capsys)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock of deadlines, in a list that a test may change."""
    moment = [1000.0]
    monkeypatch.setattr(clock, "monotonic", lambda: moment[0])
    return moment


@pytest.fixture
def watch() -> Watch:
    return Watch(Notifier({}), {})


def test_nothing_is_told_of_what_is_well(watch: Watch, said: Said) -> None:
    for _ in range(3):
        watch.passed(WELL)
    assert said() == []


def test_a_trouble_is_told_when_it_begins_when_it_changes_and_when_it_is_over(
    watch: Watch, said: Said
) -> None:
    watch.passed(silent())
    (line,) = said()
    assert line.startswith("m2 (7c73a89b...): timed out; doubtful")
    watch.passed(silent(ago=7.0))
    watch.passed(silent(Failure.NO_ROUTE, ago=9.0))
    assert said() == []
    watch.passed(silent(health=Health.LOST))
    (line,) = said()
    assert "lost, its units move" in line
    watch.passed(silent(Failure.LOGIN))
    (line,) = said()
    assert "login refused" in line
    watch.passed(WELL)
    assert said() == ["m2: answers again"]
    watch.passed(silent())
    assert len(said()) == 1


def test_every_change_is_told_in_reconciles_words(watch: Watch, said: Said) -> None:
    planned = make_pass([A], look("m1"), look("m2"))
    done = after(planned, look("m1", found(A)))
    watch.passed(done)
    lines = said()
    assert lines[0].startswith("move a.service: nowhere -> 0b2e8d25...")
    assert any(line.startswith("m1: start a.service") for line in lines)


def test_what_keeps_failing_is_told_again_after_a_while(watch: Watch, said: Said, now: list[float]) -> None:
    full = StoreError("the disk is full, 12 bytes left", "make room")
    watch.failed(full)
    assert said() == ["no pass: the disk is full, 12 bytes left", "  make room"]
    now[0] += AGAIN_SECONDS / 2
    watch.failed(StoreError("the disk is full, 7 bytes left", "make room"))
    assert said() == []
    watch.failed(StoreError("the disk is gone"))
    assert said() == ["no pass: the disk is gone"]
    now[0] += AGAIN_SECONDS
    watch.failed(StoreError("the disk is gone"))
    assert said() == ["no pass: the disk is gone"]
    watch.passed(WELL)
    assert said() == ["passes go on"]
    watch.passed(WELL)
    assert said() == []


def test_who_holds_the_state_for_long_is_named_once_and_nobody_else(
    watch: Watch, said: Said, now: list[float]
) -> None:
    watch.failed(StoreHeld("another controller is at work: ann, for 1 s"))
    now[0] += HELD_SECONDS - 1
    watch.failed(StoreHeld("another controller is at work: ann, for 10 s"))
    watch.passed(WELL)
    assert said() == []
    for second in range(3 * int(AGAIN_SECONDS)):
        watch.failed(StoreHeld(f"another controller is at work: bob, for {second} s"))
        now[0] += 1
    (line,) = said()
    assert line.startswith("no pass: another controller is at work: bob")


def test_a_lease_that_may_run_out_between_passes_is_told_once(watch: Watch, said: Said) -> None:
    held = found(A)
    leased = look("m1", replace(held, entry=replace(held.entry, lease=30)))
    done = make_pass([A], leased, look("m2"), placed={"a.service": "m1"})
    done = replace(done, sightings={"m1": leased, "m2": done.sightings["m2"]})
    watch.started(inventory("m1", "m2"), "state.db", 2.0)
    watch.passed(done)
    assert not any("lease of" in line for line in said())
    watch.started(inventory("m1", "m2"), "state.db", 60.0)
    for _ in range(3):
        watch.passed(done)
    told = [line for line in said() if "lease of" in line]
    assert len(told) == 1
    assert told[0].startswith("WARNING: a lease of 30 s may run out between passes every 60 s (a.service)")


def test_what_has_changed_in_the_inventory_is_told(watch: Watch, said: Said) -> None:
    before = inventory("m1", "m2", warnings=("old",))
    watch.reread(before, inventory("m1", "m3", warnings=("old", "new")))
    assert said() == ["inventory hosts.yml read again: m3 is new, m2 is gone", "WARNING: new"]
    watch.reread(before, before)
    assert said() == ["inventory hosts.yml read again: 2 machines"]


def test_lines_carry_the_time_where_nobody_else_gives_them_one(capfd: pytest.CaptureFixture[str]) -> None:
    """The journal has a time for every line; it is told by the number of the stream that it reads."""
    ours = os.fstat(sys.stdout.fileno())
    for stream, is_stamped in ((f"{ours.st_dev}:{ours.st_ino}", False), ("1:2", True), ("", True)):
        Watch(Notifier({}), {"JOURNAL_STREAM": stream}).ended()
        line = capfd.readouterr().out
        assert line.endswith("not watching any more; every unit stays as it is\n")
        assert line[0].isdigit() is is_stamped
