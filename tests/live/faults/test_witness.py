"""The witness itself: it sees what happens on machines, and its sums are right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetssh import clock
from fleetssh.lab import Lab
from tests.live.conftest import wait_for
from tests.live.faults.witness import Account, Life, Span, Witness

PIDS = frozenset({"1"})


def saw(*lives: tuple[str, float, float | None], began: float = 0.0) -> Account:
    """What a unit did on machines until second 100."""
    found = tuple(Life("a.service", machine, PIDS, since, until) for machine, since, until in lives)
    return Account(found, began, 100.0, 0.0)


def test_two_machines_at_once_are_twice() -> None:
    seen = saw(("m1", 0, 50), ("m2", 40, None))
    assert seen.twice("a.service") == 10
    assert seen.twice("b.service") == 0
    assert saw(("m1", 0, 50), ("m2", 40, None), began=45).twice("a.service") == 5


def test_one_after_the_other_is_not_twice_but_away() -> None:
    seen = saw(("m1", 0, 40), ("m2", 47, None))
    assert (seen.twice("a.service"), seen.away("a.service")) == (0, 7)


def test_what_a_frozen_machine_holds_does_not_run() -> None:
    seen = saw(("m1", 0, 72), ("m2", 40, None))
    assert seen.twice("a.service", [Span("m1", 30, 70)]) == 2
    assert seen.twice("a.service", [Span("m3", 30, 70)]) == 32


def test_a_unit_that_never_came_back_is_lost() -> None:
    seen = saw(("m1", 0, 40))
    assert (seen.running("a.service"), seen.away("a.service")) == ([], 60)
    assert seen.running("a.service", 39) == ["m1"]


def test_a_restart_on_one_machine_is_two_lives() -> None:
    seen = saw(("m1", 0, 40), ("m1", 40, None))
    assert (seen.twice("a.service"), seen.away("a.service"), len(seen.of("a.service"))) == (0, 0, 2)


@pytest.fixture
def unit(lab: Lab) -> Iterator[str]:
    """A unit that is nobody's; what is left of it is taken away."""
    name = "witnessed.service"
    yield name
    for machine in lab.machines():
        if machine.pid is None:
            lab.boot(machine.name)
        lab.run_inside(machine.name, ["systemctl", "stop", name])


def test_starts_stops_restarts_and_power_cuts_are_seen(lab: Lab, unit: str) -> None:
    def run(machine: str) -> None:
        lab.run_inside(machine, ["systemd-run", f"--unit={unit}", "sleep", "infinity"])

    def homes() -> list[str]:
        return witness.homes()[unit]

    for machine in lab.machines():
        if machine.pid is None:
            lab.boot(machine.name)
    with Witness(lab, [unit]) as witness:
        run("m1")
        wait_for(lambda: homes() == ["m1"])
        run("m2")
        wait_for(lambda: homes() == ["m1", "m2"])
        both = clock.monotonic()
        lab.run_inside("m1", ["systemctl", "stop", unit])
        wait_for(lambda: homes() == ["m2"])
        run("m1")
        wait_for(lambda: homes() == ["m1", "m2"])
        lab.kill("m1")
        wait_for(lambda: homes() == ["m2"])
        lab.boot("m1")
        run("m1")
        wait_for(lambda: homes() == ["m1", "m2"])
    seen = witness.testify()
    assert [life.machine for life in seen.of(unit)] == ["m1", "m2", "m1", "m1"]
    assert [life.ended is None for life in seen.of(unit)] == [False, True, False, True]
    assert seen.running(unit, both) == ["m1", "m2"]
    assert len(witness.testify(since=both).of(unit)) == 4


def test_a_lab_that_is_not_there_runs_nothing(tmp_path: Path) -> None:
    with Witness(Lab.open("nowhere", tmp_path), ["a.service"]) as witness:
        wait_for(lambda: witness.testify().ended > witness.testify().began)
    assert witness.homes() == {"a.service": []}
