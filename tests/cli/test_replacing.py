"""What is said of a unit whose file was replaced, from passes that the real placing and planning made."""

from dataclasses import replace

from fleetssh.cli.replacing import changed_line, submitted_lines
from fleetssh.control.commands import Change
from fleetssh.control.unitfiles import Resolution
from fleetssh.core.editing import put_units
from fleetssh.core.model import Health, Placement, State
from fleetssh.core.sighting import Failure, Unreached
from tests.cli.passmaking import IDS, INACTIVE, LAUNCHED, LOADED, found, look, make_pass, unit

A, B = unit("a.service"), unit("b.service")
NEW = unit("a.service", command="/bin/false")
M1, M2 = "0b2e8d25.../10.0.0.1", "7c73a89b.../10.0.0.2"


def said(new, *sightings, old=A, on="m1", target=LAUNCHED, others=(), **more):
    """The line about ``new`` in place of ``old``, which was on the machine ``on``; ``b`` is there too."""
    names = {"a.service": on} | {other.unit.name: "m1" for other in others}
    placed = {name: Placement(name, IDS[host], "it was there") for name, host in names.items() if host}
    before = State("c", 1, {w.unit.name: w for w in (old, *others)}, placed)
    after = put_units(before, [new.unit])
    after = replace(after, wanted={**after.wanted, "a.service": replace(new, target=target)})
    change = Change(after, Resolution(("a.service",), (), (new.unit,)), (), before)
    hosts = {name: next(h for h, i in IDS.items() if i == p.machine) for name, p in after.placements.items()}
    done = make_pass(list(after.wanted.values()), *sightings, placed=hosts, **more)
    return changed_line(new.unit, change, done).removeprefix("Unit a.service changed: ")


def test_a_running_unit_restarts_where_it_is():
    assert said(NEW, look("m1", found(A)), look("m2")) == f"restarts now on {M1}"


def test_what_does_not_run_starts():
    failed = found(A, "failed", "failed")
    assert said(NEW, look("m1", failed), look("m2")) == f"starts now on {M1}"
    assert said(NEW, look("m1"), look("m2"), old=unit("a.service", target=INACTIVE), on="") == (
        f"starts now on {M1}"
    )


def test_a_loaded_unit_is_not_started():
    old = unit("a.service", target=LOADED)
    there = found(old, "inactive", "dead")
    assert said(NEW, look("m1", there), look("m2"), old=old, target=LOADED) == f"loaded on {M1}, not started"


def test_a_unit_that_does_not_fit_any_more_moves_and_the_reason_is_told():
    new = unit("a.service", f"MachineID={IDS['m2']}")
    assert said(new, look("m1", found(A)), look("m2")) == (
        f"moves from {M1} to {M2}: needs machine id {IDS['m2']}; asked for by MachineID"
    )


def test_it_is_the_changed_unit_that_moves_away_from_a_neighbour():
    new = unit("a.service", "Conflicts=b.service")
    line = said(new, look("m1", found(A), found(B)), look("m2"), others=(B,))
    assert line == f"moves from {M1} to {M2}: it conflicts with b.service"


def test_a_unit_that_no_machine_can_take_any_more():
    new = unit("a.service", "MachineMetadata=disk=ssd")
    assert said(new, look("m1", found(A)), look("m2")) == f"leaves {M1}, and no machine can take it"
    assert said(new, look("m1"), look("m2"), on="") == "no machine can take it"


def test_a_unit_on_a_machine_that_does_not_answer():
    silent = Unreached("m1", Failure.TIMEOUT)
    line = said(NEW, silent, look("m2"), health=Health.DOUBTFUL)
    assert line == f"{M1} does not answer, it takes effect there when it does"


def test_a_global_unit_restarts_everywhere():
    old, new = unit("a.service", "Global=true"), unit("a.service", "Global=true", command="/bin/false")
    assert said(new, look("m1", found(old)), look("m2", found(old)), old=old, on="") == (
        "restarts now on 2 machines"
    )


# ---------------------------------------------------------------- submit


def test_a_submitted_change_says_when_it_takes_effect():
    names = ("a.service", "t@.service", "t@1.service", "t@2.service", "tt@1.service")
    state = State("c", 1, {n: unit(n, target=INACTIVE) for n in names})
    new = [unit(n, command="/bin/false").unit for n in ("a.service", "t@.service")]
    assert submitted_lines(new, put_units(state, new)) == [
        "Unit a.service changed: takes effect when it is started",
        (
            "Unit t@.service changed: takes effect for new instances; 2 instances have the old text until "
            "fleetssh start --replace 't@*.service' changes and starts them"
        ),
    ]


def test_instances_that_changed_with_their_template_are_not_told_to_be_old():
    names = ("t@.service", "t@1.service")
    state = State("c", 1, {n: unit(n, target=INACTIVE) for n in names})
    new = [unit(n, command="/bin/false").unit for n in names]
    assert submitted_lines(new, put_units(state, new)) == [
        "Unit t@.service changed: takes effect for new instances",
        "Unit t@1.service changed: takes effect when it is started",
    ]
