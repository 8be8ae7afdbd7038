"""Leases by real shells: what acts write, what looks renew, and when the machine finds one has run out."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fleetssh.core.model import Action, Claim, MachinePlan
from fleetssh.core.sighting import Manifest, Reached
from fleetssh.wire.leases import read_leases
from tests.wire.machine import Machine
from tests.wire.visits import CLUSTER, LOADED, WHO, act, install, look, plan, want

A, B, C = want("a.service"), want("b.service"), want("c.service", LOADED)
CLAIM = Claim(CLUSTER, 0, WHO)
DROP_IN = "50-fleetssh-lease.conf"


def leased(steps: MachinePlan, **leases: int) -> MachinePlan:
    """The plan with a table of leases: ``a=30`` is that of a.service."""
    return replace(steps, leases={f"{name}.service": seconds for name, seconds in leases.items()})


def of_leases(machine: Machine) -> set[str]:
    """The files of leases below /run/systemd/system."""
    found = (path.relative_to(machine.links) for path in machine.links.rglob("*") if path.is_file())
    return {str(path) for path in found if path.name == DROP_IN or path.name.startswith("fleetssh-lease-")}


def files(*seconds: int, units: tuple[str, ...]) -> set[str]:
    endings = (".target", ".timer", ".service", "-over.service", ".due")
    made = {f"fleetssh-lease-{number}{ending}" for number in seconds for ending in endings}
    return made | {f"{unit}.service.d/{DROP_IN}" for unit in units}


def uptime() -> float:
    return float(Path("/proc/uptime").read_text().split()[0])


def deadline(machine: Machine, seconds: int = 30) -> int:
    return int((machine.links / f"fleetssh-lease-{seconds}.due").read_text())


def set_deadline(machine: Machine, due: float, seconds: int = 30) -> None:
    (machine.links / f"fleetssh-lease-{seconds}.due").write_text(f"{int(due):<12}\n")


def failures(seen: Reached) -> str:
    return "\n".join(outcome.message for outcome in seen.outcomes if not outcome.ok)


# ---------------------------------------------------------------- acting


def test_an_act_begins_leases_before_it_starts_what_lives_by_them(machine: Machine) -> None:
    seen = machine.reached(act(leased(install(A, B, C), a=30, c=60)))
    assert failures(seen) == ""
    assert of_leases(machine) == files(30, 60, units=("a", "c"))
    text = (machine.links / "a.service.d" / DROP_IN).read_text()
    unit = "fleetssh-lease-30.target"
    assert text == f"[Unit]\nRequisite={unit}\nPartOf={unit}\nAfter={unit}\n"
    calls = [line.split()[0] for line in (machine.sim / "calls").read_text().splitlines()]
    assert [call for call in calls if call == "daemon-reload"] == ["daemon-reload"] * 2
    timers = ["fleetssh-lease-30.timer", "fleetssh-lease-60.timer"]
    assert machine.asked("start") == [*timers, "a.service", "b.service"]
    assert {entry.name: entry.lease for entry in seen.manifest.entries} == {
        "a.service": 30,
        "b.service": 0,
        "c.service": 60,
    }
    assert uptime() + 28 < deadline(machine) <= uptime() + 30


def test_an_act_that_changes_no_lease_renews_them_and_reads_no_unit_anew(machine: Machine) -> None:
    first = machine.reached(act(leased(install(A), a=30)))
    (machine.sim / "calls").unlink()
    set_deadline(machine, uptime() + 3)
    machine.reached(act(leased(plan([A], restart=["a.service"]), a=30), first.manifest))
    assert machine.calls("daemon-reload") == []
    assert machine.asked("start") == ["fleetssh-lease-30.timer"]
    assert deadline(machine) > uptime() + 20


def test_what_was_deleted_by_hand_is_written_and_read_again(machine: Machine) -> None:
    first = machine.reached(act(leased(install(A), a=30)))
    (machine.sim / "calls").unlink()
    (machine.links / "a.service.d" / DROP_IN).unlink()
    machine.reached(act(leased(plan([A], restart=["a.service"]), a=30), first.manifest))
    assert of_leases(machine) == files(30, units=("a",))
    assert len(machine.calls("daemon-reload")) == 1


def test_a_lease_is_changed_in_place_and_the_old_one_ended_after_the_reload(machine: Machine) -> None:
    first = machine.reached(act(leased(install(A, B), a=30, b=30)))
    (machine.sim / "calls").unlink()
    steps = plan([A, B], lease=["a.service", "b.service"], reload=[""])
    seen = machine.reached(act(leased(steps, a=60), first.manifest))
    assert failures(seen) == ""
    assert of_leases(machine) == files(60, units=("a",))
    assert "60.target" in (machine.links / "a.service.d" / DROP_IN).read_text()
    assert not (machine.links / "b.service.d").exists()
    lines = (machine.sim / "calls").read_text().splitlines()
    stop = next(i for i, line in enumerate(lines) if " stop " in line)
    assert max(i for i, line in enumerate(lines) if line == "daemon-reload") < stop
    assert machine.asked("stop") == [f"fleetssh-lease-30.{kind}" for kind in ("timer", "service", "target")]
    assert machine.state("a.service") == "loaded active running"
    assert [entry.lease for entry in seen.manifest.entries] == [60, 0]


def test_a_unit_that_does_not_stop_keeps_its_lease(machine: Machine) -> None:
    first = machine.reached(act(leased(install(A), a=30)))
    (machine.sim / "stubborn").write_text("a.service\n")
    steps = plan([], stop=["a.service"], remove=["a.service"], reload=[""])
    machine.reached(act(steps, first.manifest))
    assert of_leases(machine) == files(30, units=("a",))
    (machine.sim / "stubborn").unlink()
    machine.reached(act(steps, first.manifest))
    assert of_leases(machine) == set()


def test_a_unit_that_does_not_stop_is_known_to_live_by_the_lease_that_it_was_given(machine: Machine) -> None:
    """Else nobody would take it away again, and the unit could not be started for want of it."""
    first = machine.reached(act(install(A)))
    (machine.sim / "stubborn").write_text("a.service\n")
    new = want("a.service", text=b"[Service]\nExecStart=/bin/true\n")
    steps = plan([new], stop=["a.service"], write=["a.service"], reload=[""], start=["a.service"])
    seen = machine.reached(act(leased(steps, a=30), first.manifest))
    (before,), (entry,) = first.manifest.entries, seen.manifest.entries
    assert entry == replace(before, lease=30)
    assert of_leases(machine) == files(30, units=("a",))
    (machine.sim / "stubborn").unlink()
    machine.reached(act(plan([A], lease=["a.service"], reload=[""]), seen.manifest))
    assert of_leases(machine) == set()


def test_units_of_the_machines_own_are_given_no_lease(machine: Machine) -> None:
    """Rule 6: its own ``a.service`` gets no drop-in of ours; other people's drop-ins stay."""
    (machine.own / "a.service").write_text("[Service]\nExecStart=/bin/true\n")
    theirs = machine.links / "b.service.d" / "10-theirs.conf"
    theirs.parent.mkdir()
    theirs.write_text("[Unit]\nDescription=theirs\n")
    first = machine.reached(act(leased(install(A, B), a=30, b=30)))
    assert of_leases(machine) == files(30, units=("b",))
    machine.reached(act(plan([], stop=["b.service"], remove=["b.service"], reload=[""]), first.manifest))
    assert of_leases(machine) == set()
    assert theirs.read_text() == "[Unit]\nDescription=theirs\n"


@pytest.mark.parametrize(
    ("mount", "problem"),
    [
        ("mount -t tmpfs -o ro none /run/systemd/system", "read-only"),
        ("mount -t tmpfs -o size=4k none /run/systemd/system", "full"),
    ],
)
def test_where_no_lease_can_be_written_nothing_is_touched(
    new_machine: Callable[..., Machine], shell: str, mount: str, problem: str
) -> None:
    machine = new_machine(shell=shell, extra=mount)
    machine.set_state("old.service", "active", "running")
    steps = plan([A], stop=["old.service"], write=["a.service"], reload=[""], start=["a.service"])
    seen = machine.reached(act(leased(steps, a=30)))
    assert problem in failures(seen)
    assert machine.state("old.service") == "loaded active running"
    assert (machine.asked("start"), machine.asked("stop")) == ([], [])
    assert (machine.files(), seen.manifest) == ({}, Manifest())


def test_a_lease_that_systemd_will_not_begin_ends_the_act(machine: Machine) -> None:
    (machine.sim / "broken").write_text("fleetssh-lease-30.timer\n")
    seen = machine.reached(act(leased(install(A), a=30)))
    assert "Job failed" in failures(seen)
    assert machine.asked("start") == ["fleetssh-lease-30.timer"]
    assert machine.files() == {}


def test_a_lease_that_is_just_running_out_is_begun_anew_when_it_has(machine: Machine) -> None:
    (machine.sim / "ending").write_text("once\ntwice\n")
    seen = machine.reached(act(leased(install(A), a=30)))
    assert failures(seen) == ""
    assert machine.asked("start") == ["fleetssh-lease-30.timer"] * 3 + ["a.service"]
    assert uptime() + 28 < deadline(machine) <= uptime() + 30


def test_a_lease_that_does_not_end_is_waited_for_as_long_as_the_visit_is_valid(machine: Machine) -> None:
    (machine.sim / "ending").write_text("again\n" * 100)
    seen = machine.reached(act(leased(install(A), a=30), valid_until=uptime() + 2))
    assert "a lease is still running out there; the next pass goes on" in failures(seen)
    assert "a.service" not in machine.asked("start")
    assert 2 <= len(machine.asked("start")) <= 4


def test_nothing_starts_by_a_lease_that_took_too_long_to_begin(machine: Machine) -> None:
    """A machine that freezes after the clock was read writes a deadline that has passed when it thaws, and
    another one may run the unit by then: nothing starts here in the moment before systemd notices."""
    (machine.sim / "slow").write_text("3")
    seen = machine.reached(act(leased(install(A), a=30), valid_until=uptime() + 1))
    assert "it took too long to begin a lease; the next pass goes on" in failures(seen)
    assert machine.asked("start") == ["fleetssh-lease-30.timer"]
    assert machine.files() == {}


def test_what_becomes_of_leases_is_told(machine: Machine) -> None:
    told = (Action.LEASE, True)
    first = machine.reached(act(install(A)))
    assert told not in {(o.action, o.ok) for o in first.outcomes}
    steps = plan([A], lease=["a.service"], reload=[""])
    second = machine.reached(act(leased(steps, a=30), first.manifest))
    assert told in {(o.action, o.ok) for o in second.outcomes}
    third = machine.reached(act(steps, second.manifest))
    assert told in {(o.action, o.ok) for o in third.outcomes}


# ---------------------------------------------------------------- looking


def test_only_a_look_of_a_pass_that_comes_in_time_renews(machine: Machine) -> None:
    machine.reached(act(leased(install(A), a=30)))
    soon = uptime() + 5
    for visit in (
        look(),
        look(claim=CLAIM, valid_until=uptime() - 2),
        look(claim=Claim("another", 9, WHO)),
        look(claim=Claim(CLUSTER, 0, "else@where")),
    ):
        set_deadline(machine, soon)
        machine.reached(visit)
        assert deadline(machine) == int(soon)
    machine.reached(look(claim=CLAIM))
    assert uptime() + 28 < deadline(machine) <= uptime() + 30


def test_what_has_run_out_is_not_renewed(machine: Machine) -> None:
    machine.reached(act(leased(install(A), a=30)))
    for due in (0, uptime() - 1):
        set_deadline(machine, due)
        machine.reached(look(claim=CLAIM))
        assert deadline(machine) == int(due)


def test_a_look_asks_systemd_nothing_more_for_a_lease(machine: Machine) -> None:
    machine.reached(act(leased(install(A), a=30)))
    before = machine.reached(look())
    plain = len((machine.sim / "calls").read_text().splitlines())
    (machine.sim / "calls").unlink()
    machine.reached(look(claim=CLAIM, known_boot=before.facts.boot_id))
    assert len((machine.sim / "calls").read_text().splitlines()) <= plain


def test_a_lease_is_said_to_run_while_its_target_and_its_timer_do(machine: Machine) -> None:
    machine.reached(act(leased(install(A), a=30)))
    assert machine.reached(look()).leases == frozenset()  # this systemd starts no targets by itself
    machine.set_state("fleetssh-lease-30.target", "active", "active")
    assert machine.reached(look()).leases == {30}
    machine.set_state("fleetssh-lease-30.timer", "inactive", "dead")
    assert machine.reached(look()).leases == frozenset()


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["fleetssh-lease-5.target", "fleetssh-lease-5.timer", "fleetssh-lease-5.service"], {5}),
        (["fleetssh-lease-5.target", "fleetssh-lease-6.timer"], set()),
        (["fleetssh-lease-x.target", "fleetssh-lease-x.timer"], set()),
        (["fleetssh-lease-\u0665.target", "fleetssh-lease-\u0665.timer"], set()),
        (["fleetssh-lease-.target", "fleetssh-lease-.timer"], set()),
        ([f"fleetssh-lease-{'9' * 5000}{kind}" for kind in (".target", ".timer")], set()),
    ],
)
def test_only_names_of_leases_are_taken_for_leases(names: list[str], expected: set[int]) -> None:
    lines = [f"{name} loaded active active what it is" for name in names]
    assert read_leases(["", "odd", *lines]) == expected


# ---------------------------------------------------------------- what systemd runs


def has_run_out(machine: Machine) -> bool:
    """Runs the looking service's program as systemd would: whether it fails."""
    text = (machine.links / "fleetssh-lease-30.service").read_text()
    (script,) = re.findall(r"^ExecStart=/bin/sh -c '([^'\\]*)'$", text, re.MULTILINE)
    return machine.enter(f"/bin/sh -c '{script.replace('$$', '$').replace('%%', '%')}'").status != 0


def test_the_service_fails_when_the_deadline_has_passed_or_cannot_be_read(machine: Machine) -> None:
    machine.reached(act(leased(install(A), a=30)))
    assert not has_run_out(machine)
    for due in (0, uptime() - 1, uptime()):
        set_deadline(machine, due)
        assert has_run_out(machine)
    for text in ("", "\n", "soon\n"):
        (machine.links / "fleetssh-lease-30.due").write_text(text)
        assert has_run_out(machine)
    (machine.links / "fleetssh-lease-30.due").unlink()
    assert has_run_out(machine)


def test_the_service_waits_for_a_near_deadline_and_reads_it_again(machine: Machine) -> None:
    machine.reached(act(leased(install(A), a=30)))
    set_deadline(machine, uptime() + 2)
    began = uptime()
    assert has_run_out(machine)
    assert uptime() - began >= 1
