"""The state is lost, the services are not: ``state rebuild`` on real machines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.live.conftest import Fleet
from tests.live.outside import main_pid, pinned, service, traces
from tests.live.plays import Play, playing

UNITS = ("first.service", "second.service", "every.service", "web@1.service", "leased.service")


LATER_THAN_ANY = 10_000
"""The number of no write at all, so that all are counted."""


def lose_state(fleet: Fleet) -> None:
    for file in fleet.folder.glob("state.db*"):
        file.unlink()


def pids(fleet: Fleet) -> dict[str, dict[str, int]]:
    """Machine -> unit -> main process, as systemd says."""
    return {
        machine: {unit: main_pid(host, unit) for unit in UNITS} for machine, host in fleet.witnesses().items()
    }


def processes(play: Play, units: Sequence[str]) -> dict[str, int]:
    """Unit -> main process, on whichever machine it runs."""
    hosts = [play.fleet.witness(machine) for machine in play.machines]
    return {unit: max(main_pid(host, unit) for host in hosts) for unit in units}


@pytest.fixture
def busy(fleet: Fleet) -> Fleet:
    """A cluster with an ordinary unit on each of two machines, a global one, an instance, one with a lease,
    one that is only loaded, and one that was restarted once."""
    fleet.unit("first.service", pinned("m1"))
    fleet.unit("second.service", pinned("m2"))
    fleet.unit("every.service", service(fleet=["Global=true"]))
    fleet.unit("web@.service", service())
    fleet.unit("leased.service", service(fleet=["MachineMetadata=name=m3", "Lease=600"]))
    fleet.unit("loaded.service", pinned("m3"))
    fleet.run("submit", "web@.service")
    fleet.run("start", *UNITS)
    fleet.run("restart", "first")
    fleet.run("load", "loaded")
    return fleet


def test_a_deleted_state_is_made_anew_and_no_unit_notices(busy: Fleet) -> None:
    before, files = pids(busy), busy.files()
    assert sum(bool(pid) for machine in before.values() for pid in machine.values()) == 7
    lose_state(busy)
    marks = traces(busy)

    shown = busy.run("state", "rebuild", code=5)
    assert "nothing was changed" in shown.err
    assert [row for row in shown.rows if row[0] == "first.service"] == [["first.service", "launched", "m1"]]
    assert busy.files() == {}
    assert busy.run("state", "rebuild", "--dry-run").out == shown.out

    done = busy.run("state", "rebuild", "--yes")
    assert done.out.startswith(shown.out)
    assert traces(busy) == marks
    assert busy.run("plan").err == "nothing to do\n"
    assert busy.run("reconcile").out == ""
    assert pids(busy) == before

    # Templates are on no machine; all else is as it was.
    del files["web@.service"]
    assert busy.files() == files
    # A restart restarts: the numbers go on from those of the machines.
    busy.run("restart", "first")
    assert 0 != pids(busy)["m1"]["first.service"] != before["m1"]["first.service"]
    again = busy.run("state", "rebuild", "--yes", code=1)
    assert "move the state file away first" in again.err


def test_a_new_state_touches_nothing_and_names_both_ways_out(busy: Fleet) -> None:
    lose_state(busy)
    marks = traces(busy)
    busy.unit("new.service", service())
    refused = busy.run("start", "new.service", code=4)
    assert "fleetssh state rebuild" in refused.err
    assert "fleetssh adopt" in refused.err
    busy.run("reconcile", code=4)
    assert traces(busy) == marks


def test_a_machine_that_was_silent_keeps_its_units_until_it_is_read(busy: Fleet) -> None:
    before = pids(busy)
    lose_state(busy)
    busy.lab.cut("m2")
    refused = busy.run("state", "rebuild", "--yes", code=4)
    assert "m2" in refused.err
    assert "--partial" in refused.err
    assert busy.files() == {}
    busy.run("state", "rebuild", "--yes", "--partial")
    assert "second.service" not in busy.files()
    busy.run("reconcile", code=4)

    busy.lab.heal("m2")
    for _ in range(2):
        found = busy.run("reconcile", code=4)
        assert "'fleetssh adopt' takes them in" in found.err
    assert pids(busy) == before

    busy.run("state", "rebuild", "--yes")
    assert busy.run("plan").err == "nothing to do\n"
    assert "second.service" in busy.files()
    assert pids(busy) == before


def test_what_does_not_go_together_is_shown_before_and_done_by_the_next_pass(busy: Fleet) -> None:
    busy.witness("m3").run("rm /run/fleet/units/loaded.service")
    # The same name on another machine, put there by hand as a stray controller would.
    manifest = busy.witness("m2").check_output("cat /run/fleet/manifest")
    line = next(text for text in manifest.splitlines() if text.endswith(" second.service"))
    host = busy.witness("m1")
    host.run(f"echo '{line}' >>/run/fleet/manifest")
    host.run("cp /run/fleet/units/first.service /run/fleet/units/second.service")
    lose_state(busy)
    before = pids(busy)
    shown = busy.run("state", "rebuild", "--yes")
    assert "m1: second.service: is there too; m2 keeps it, and the next pass takes it off there" in shown.err
    assert "m3: loaded.service: its file is gone; it is not taken in" in shown.err
    planned = busy.run("plan").out
    assert "m1: remove second.service" in planned
    busy.run("reconcile")
    assert pids(busy) == before
    assert not busy.witness("m1").file("/run/fleet/units/second.service").exists


def test_killed_while_it_makes_the_state_it_leaves_what_can_be_finished(fleet: Fleet, tmp_path: Path) -> None:
    """At each write to the state file: a pass that comes then must not take the units for destroyed ones."""
    units = ("job.service", "two.service", "three.service")
    with playing(fleet, tmp_path / "two", "m1", "m2") as play:
        for name in units:
            play.fleet.unit(name, service())
        play.succeed("start", *units)
        before = processes(play, units)
        lose_state(play.fleet)
        whole = play.run("state", "rebuild", "--yes", at=LATER_THAN_ANY, fine=False)
        assert whole.code == 0
        commits = [number for number, what in enumerate(whole.writes, 1) if what == "COMMIT"]
        assert len(commits) >= 6
        for at in commits[1:]:
            lose_state(play.fleet)
            assert play.run("state", "rebuild", "--yes", at=at, fine=False).code is None
            play.run("reconcile")
            assert processes(play, units) == before
            finished = play.run("state", "rebuild", "--yes")
            assert finished.code == 0 or at == commits[-1], finished.err
            assert play.succeed("plan").err == "nothing to do\n"
            assert set(play.committed()[0]) == set(units)
            assert processes(play, units) == before
