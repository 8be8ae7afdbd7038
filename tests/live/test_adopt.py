"""Machines change hands: ``adopt`` on real machines, with the controllers that they refuse from then on."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

import pytest

from tests.live.aftermath import forget_lives
from tests.live.conftest import Fleet, wait_for
from tests.live.outside import main_pid, pinned, service, traces
from tests.live.plays import playing

UNITS = ("one.service", "two.service", "every.service", "later.service")


def pids(fleet: Fleet) -> dict[str, dict[str, int]]:
    """Machine -> unit -> main process, as systemd says."""
    return {
        machine: {unit: main_pid(host, unit) for unit in UNITS} for machine, host in fleet.witnesses().items()
    }


def copy_state(fleet: Fleet, name: str) -> str:
    """A sound copy of the state, as by hand while nobody is at work."""
    fleet.run("state", "backup", name)
    return name


class Operator(Fleet):
    """Another person at the same machines, with a state file of his own."""

    def __init__(self, fleet: Fleet, user: str, state: str) -> None:
        super().__init__(fleet.lab, fleet.folder, fleet._sockets)
        self.env |= {"USER": user, "FLEETSSH_STATE": str(fleet.folder / state)}
        self.env.pop("SUDO_USER", None)


def watching(fleet: Fleet, err: IO[str]) -> subprocess.Popen[str]:
    """The loop, left to itself."""
    command = [sys.executable, "-m", "fleetssh", "run", "--interval", "0.5"]
    return subprocess.Popen(command, cwd=fleet.folder, env=fleet.env, stdout=err, stderr=err, text=True)


@pytest.fixture
def busy(fleet: Fleet) -> Fleet:
    """Alice's cluster: a unit on each of two machines, and a global one."""
    fleet.env["USER"] = "alice"
    fleet.env.pop("SUDO_USER", None)
    fleet.unit("one.service", pinned("m1"))
    fleet.unit("two.service", pinned("m2"))
    fleet.unit("every.service", service(fleet=["Global=true"]))
    fleet.unit("later.service", pinned("m3"))
    fleet.run("start", "one", "two", "every")
    return fleet


def headers(fleet: Fleet) -> dict[str, list[str]]:
    """Machine -> cluster and fence in the manifest, and the holder, as they lie there."""
    command = "head -n 1 /run/fleet/manifest | cut -d' ' -f3-; cat /run/fleet/holder"
    return {name: host.check_output(command).splitlines() for name, host in fleet.witnesses().items()}


def test_a_new_state_takes_another_clusters_machines_over_with_all_that_runs(busy: Fleet) -> None:
    before, files = pids(busy), busy.files()
    bob = Operator(busy, "bob", "new.db")
    bob.unit("other.service", pinned("m1"))
    refused = bob.run("start", "other.service", code=4)
    assert "'fleetssh adopt'" in refused.err
    marks = traces(busy)

    shown = bob.run("adopt", code=5)
    assert "m1 (" in shown.out
    assert "alice@" in shown.out
    assert "  one.service (launched): not known here; taken in as it is" in shown.out
    assert traces(busy) == marks
    assert set(bob.files()) == {"other.service"}

    done = bob.run("adopt", "--yes")
    assert [line for line in done.out.splitlines() if "taken over" in line] == [
        "m1: taken over", "m2: taken over", "m3: taken over",
    ]  # fmt: skip
    for cluster, holder in headers(bob).values():
        assert holder.startswith(f"{cluster.partition(' ')[0]} ")
        assert " bob@" in holder
    assert pids(bob) == before
    planned = bob.run("plan").out.splitlines()
    assert {line.split(": ")[0] for line in planned} == {"m1", "move other.service"}
    assert not any("one.service" in line for line in planned)
    bob.run("reconcile")
    assert pids(bob) == before
    for name, row in files.items():
        assert bob.files()[name] == row
    told = bob.run("events", "--machine", "m2").out
    assert "m2: taken over from alice@" in told

    # The old controller is alive, and refused.
    refused = busy.run("reconcile", code=4)
    assert "'fleetssh adopt'" in refused.err
    assert pids(bob) == before
    assert bob.run("plan").err == "nothing to do\n"


def test_two_controllers_of_one_state_take_the_machines_from_each_other_only_on_purpose(busy: Fleet) -> None:
    bob = Operator(busy, "bob", copy_state(busy, "bob.db"))
    bob.run("start", "later.service")
    before = pids(busy)
    assert before["m3"]["later.service"]

    for words in (["reconcile"], ["plan"], ["restart", "one"], ["destroy", "two"]):
        refused = busy.run(*words, code=6)
        assert "bob@" in refused.err
        assert "'fleetssh adopt'" in refused.err
    assert busy.run("reconcile", code=6).out == ""
    assert pids(busy) == before

    shown = busy.run("adopt", code=5)
    assert "bob@" in shown.out
    assert (
        "  one.service (launched): known here; a restart was asked for: the next pass restarts it"
        in shown.out
    )
    assert "  two.service (launched): not known here; taken in as it is" in shown.out
    assert "  later.service (launched): not known here; taken in as it is" in shown.out
    busy.run("adopt", "--yes")
    assert pids(busy) == before
    refused = bob.run("reconcile", code=6)
    assert "alice@" in refused.err

    busy.run("reconcile")
    after = pids(busy)
    assert 0 != after["m1"]["one.service"] != before["m1"]["one.service"]
    for machine, unit in (("m2", "two.service"), ("m3", "later.service"), ("m1", "every.service")):
        assert after[machine][unit] == before[machine][unit]

    bob.run("adopt", "--yes")
    bob.run("reconcile")
    assert pids(busy) == after
    assert "bob@" in busy.run("reconcile", code=6).err


@pytest.mark.parametrize("way", ["restored", "copied by hand"])
def test_a_backup_of_yesterday_goes_on_after_it_has_adopted(busy: Fleet, way: str) -> None:
    backup = copy_state(busy, "yesterday.db")
    busy.run("start", "later.service")
    busy.run("restart", "one")
    before = pids(busy)
    for file in busy.folder.glob("state.db*"):
        file.unlink()
    if way == "restored":
        busy.run("state", "restore", backup)
        refused = busy.run("reconcile", code=4)
        assert "'fleetssh adopt' takes them in" in refused.err
    else:
        shutil.copy(busy.folder / backup, busy.folder / "state.db")
        refused = busy.run("plan", code=6)
        assert "alice@" in refused.err
    assert pids(busy) == before

    shown = busy.run("adopt", "--yes")
    assert "  later.service (launched): not known here; taken in as it is" in shown.out
    assert "  one.service (launched): known here; stays as it is" in shown.out
    assert busy.run("plan").err == "nothing to do\n"
    assert busy.run("reconcile").out == ""
    assert pids(busy) == before
    busy.run("restart", "one")
    assert 0 != pids(busy)["m1"]["one.service"] != before["m1"]["one.service"]


def test_what_was_not_shown_is_not_touched_by_later_passes(busy: Fleet) -> None:
    """Only one machine is adopted, and one is silent: both others may hold what is not known here."""
    bob = Operator(busy, "bob", copy_state(busy, "bob.db"))
    busy.run("start", "later.service")
    before = pids(busy)
    busy.lab.cut("m2")
    bob.run("adopt", "m1", "--yes")
    bob.run("reconcile", code=4)
    busy.lab.heal("m2")
    found = bob.run("reconcile", code=4)
    assert found.err.count("'fleetssh adopt' takes them in") == 2
    assert pids(busy) == before

    shown = bob.run("adopt", "--yes")
    assert "later.service (launched): not known here; taken in as it is" in shown.out
    assert shown.out.count(", and it was not read yet\n") == 2
    assert bob.run("plan").err == "nothing to do\n"
    assert bob.run("adopt").err.splitlines() == [
        f"{name} obeys this controller already" for name in ("m1", "m2", "m3")
    ]
    assert pids(busy) == before


def test_a_copy_of_the_state_in_other_hands_takes_nothing_down_that_it_does_not_know(busy: Fleet) -> None:
    """A greater fence is not enough: who copied the file yesterday does not know what was started since."""
    bob = Operator(busy, "bob", copy_state(busy, "bob.db"))
    busy.run("start", "later.service")
    before = pids(busy)
    for words, code in ((["reconcile"], 4), (["restart", "every"], None), (["plan"], 4)):
        found = bob.run(*words, code=code)
        assert "'fleetssh adopt' takes them in" in found.err
    assert pids(busy)["m3"]["later.service"] == before["m3"]["later.service"]
    shown = bob.run("adopt", "--yes")
    assert "  later.service (launched): not known here; taken in as it is" in shown.out
    bob.run("reconcile")
    assert pids(busy)["m3"]["later.service"] == before["m3"]["later.service"]
    assert bob.run("plan").err == "nothing to do\n"
    bob.run("destroy", "later")
    assert pids(busy)["m3"]["later.service"] == 0


def test_a_loop_that_was_superseded_acts_no_more_and_says_whom_the_machines_obey(busy: Fleet) -> None:
    bob = Operator(busy, "bob", copy_state(busy, "bob.db"))
    said = busy.folder / "said"
    fence = headers(busy)["m1"][1]
    with said.open("w") as err, watching(busy, err) as loop:
        try:
            wait_for(lambda: headers(busy)["m1"][1] != fence, what="a pass of the loop")
            bob.run("adopt", "--yes")
            wait_for(lambda: "bob@" in said.read_text(), what="the loop to be refused")
            # What it would have mended a moment ago is no longer its business.
            busy.witness("m1").run("systemctl stop one.service")
            bob.run("plan")
            busy.run("reconcile", code=6)
            assert pids(busy)["m1"]["one.service"] == 0
            assert loop.poll() is None
        finally:
            loop.send_signal(signal.SIGTERM)
    assert "m1: start one.service" in bob.run("reconcile").out
    assert pids(busy)["m1"]["one.service"]


def test_killed_while_it_adopts_it_leaves_what_can_be_finished(fleet: Fleet, tmp_path: Path) -> None:
    """Before each write to the state file, and between the machines: what runs goes on, and adopting again
    ends it."""
    units = ("job.service", "two.service")
    with playing(fleet, tmp_path / "two", "m1", "m2") as play:
        own = play.fleet
        for name, machine in zip(units, play.machines, strict=True):
            own.unit(name, pinned(machine))
        own.env["USER"] = "alice"
        own.env.pop("SUDO_USER", None)
        play.succeed("start", *units)

        def processes() -> Mapping[str, Sequence[int]]:
            return {m: [main_pid(own.witness(m), unit) for unit in units] for m in play.machines}

        before = processes()
        for machine in play.machines:
            forget_lives(own.lab, machine)  # the witness stays connected
        turn = 0
        own.env["FLEETSSH_STATE"] = str(own.folder / f"state{turn}.db")
        whole = play.run("adopt", "--yes", at=10_000, fine=False)
        assert whole.code == 0
        closes = [n for n, what in enumerate(whole.writes, 1) if what == "ssh after channel-eof"]
        commits = [n for n, what in enumerate(whole.writes, 1) if what == "COMMIT"]
        for at in [*commits[2:], *closes[-2:]]:
            turn += 1
            # A new state every time, and so another cluster to be adopted from.
            own.env["FLEETSSH_STATE"] = str(own.folder / f"state{turn}.db")
            assert play.run("adopt", "--yes", at=at, fine=False).code is None
            play.wait()
            play.run("reconcile")
            assert processes() == before, whole.writes[at - 1]
            play.succeed("adopt", "--yes")
            assert play.succeed("plan").err == "nothing to do\n"
            assert set(play.committed()[0]) == set(units)
            assert processes() == before
