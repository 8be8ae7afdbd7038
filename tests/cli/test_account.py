"""What a verb answers, from passes that the real placing and planning made; printed as people see it."""

from dataclasses import replace

import pytest

from fleetssh.cli.account import Account, Course, Work
from fleetssh.cli.exits import Exit
from fleetssh.control.commands import Change
from fleetssh.control.unitfiles import Resolution
from fleetssh.core.model import Action, Health, State, Wanted
from fleetssh.core.requirements import read_unit
from fleetssh.core.sighting import Ending, Failure, Outcome, Unreached
from tests.cli.passmaking import INACTIVE, LAUNCHED, LOADED, after, found, look, make_pass, unit

A = unit("a.service")
M1 = "0b2e8d25.../10.0.0.1"
NAMES = ("a.service",)
START = Work("start", block=True, limit=120.0)


def change(new, old=None, changed=NAMES):
    states = [State("c", 1, {w.unit.name: w} if w else {}) for w in (new, old)]
    return Change(states[0], Resolution(NAMES), changed, states[1])


def tell(capsys, edit, work, *passes, records=None, waits=()):
    """Exit code, standard output and standard error of a command with these passes."""
    account = Account(edit, work, records or {})
    course = Course(passes[0], 7.0, frozenset(waits))
    for done in passes[1:]:
        course.add(done)
    account.tell(course)
    code = account.close()
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_a_started_unit_is_told_with_its_machine(capsys):
    done = after(make_pass([A], look("m1")), look("m1", found(A)))
    code, out, err = tell(capsys, change(A), START, done)
    assert (code, out, err) == (Exit.DONE, f"Unit a.service launched on {M1}\n", "")


def test_a_unit_that_was_as_it_should_be_is_told_with_silence(capsys):
    done = make_pass([A], look("m1", found(A)), placed={"a.service": "m1"})
    assert tell(capsys, change(A, A, changed=()), START, done) == (Exit.DONE, "", "")


def test_without_blocking_one_line_is_told_and_no_more(capsys):
    """fleet printed it twice (A5)."""
    done = after(make_pass([A], look("m1")), look("m1", found(A, "activating", "start")))
    work = replace(START, block=False)
    assert tell(capsys, change(A), work, done) == (Exit.DONE, "Triggered unit a.service start\n", "")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"outcomes": (Outcome(Action.NOTE, "", False, "no space left"),)}, "no space left"),
        ({"occupied": {"a.service": "/etc/a"}}, "it has a unit of its own, /etc/a"),
        ({"strangers": ("a.service",)}, "a file of that name is not ours"),
    ],
)
def test_what_a_machine_refused_needs_no_waiting(capsys, answer, why):
    done = after(make_pass([A], look("m1")), look("m1", **answer))
    code, _, err = tell(capsys, change(A), replace(START, block=False), done)
    assert (code, err.count("\n")) == (Exit.UNIT, 1)
    assert why in err


def test_nothing_is_launched_on_a_machine_that_was_not_reached(capsys):
    """fleet answered ``launched on`` a dead machine for as long as its presence lasted."""
    silent = Unreached("m1", Failure.TIMEOUT, seen_at=135.0)
    done = make_pass([A], silent, placed={"a.service": "m1"}, health=Health.DOUBTFUL)
    done = replace(done, records={"m1": replace(done.records["m1"], last_good=100.0)})
    code, out, err = tell(capsys, change(A), START, done)
    assert (code, out) == (Exit.MACHINE, "")
    assert f"Unit a.service belongs on {M1}, which does not answer (timed out); last answered 35s ago" in err


def test_the_fault_of_a_whole_visit_is_told_once(capsys):
    full = Outcome(Action.NOTE, "", False, "no space left")
    done = after(make_pass([A], look("m1")), look("m1", outcomes=(full,)))
    code, out, err = tell(capsys, change(A), START, done)
    assert (code, out) == (Exit.UNIT, "")
    assert err == f"Unit a.service is not on {M1} as it should be: no space left\n"


def test_stopping_a_unit_without_a_machine_succeeds(capsys):
    """fleet: ``Unable to stop unit ... in state inactive``, and nothing was changed (A14)."""
    loaded = unit("a.service", "MachineMetadata=disk=ssd", target=LOADED)
    work = Work("stop", block=True, limit=120.0, done="stopped")
    code, out, err = tell(capsys, change(loaded, A), work, make_pass([loaded], look("m1")))
    assert (code, out) == (Exit.DONE, "")
    assert err.splitlines() == [
        (
            "Unit a.service is on no machine; it is loaded when one can take it, "
            "'fleetssh unload a.service' makes that inactive"
        ),
        "Successfully stopped units [a.service].",
    ]


def test_restarted_global_units_are_triggered_and_not_counted(capsys):
    everywhere = unit("a.service", "Global=true")
    newer = replace(everywhere, generation=1)
    done = after(make_pass([newer], look("m1", found(everywhere))), look("m1", found(newer)))
    work = Work("restart", block=True, limit=120.0, done="restarted")
    code, out, err = tell(capsys, change(newer, everywhere), work, done)
    assert (code, out) == (Exit.DONE, "Triggered global unit a.service restart\n")
    assert err == "Successfully restarted units [].\n"


def test_a_restart_that_was_not_carried_out_is_no_success(capsys):
    newer = replace(A, generation=1)
    full = Outcome(Action.NOTE, "", False, "no space left")
    planned = make_pass([newer], look("m1", found(A)), placed={"a.service": "m1"})
    done = after(planned, look("m1", found(A), outcomes=(full,)))
    work = Work("restart", block=True, limit=120.0, done="restarted")
    code, out, err = tell(capsys, change(newer, A), work, done)
    assert (code, out) == (Exit.UNIT, "")
    assert err == f"Unit a.service is not on {M1} as it should be: no space left\n"


def test_what_earlier_passes_found_and_did_is_told_too(capsys):
    taken = replace(look("m1"), occupied={"a.service": "/etc/systemd/system/a.service"})
    first = after(make_pass([A], look("m1"), look("m2")), taken)
    machines = tuple(
        replace(m, occupied=frozenset(NAMES)) if m.host == "m1" else m for m in first.survey.machines
    )
    last = after(make_pass([A], taken, look("m2"), placed={"a.service": "m2"}), look("m2", found(A)))
    last = replace(last, survey=replace(last.survey, machines=machines))
    code, out, err = tell(capsys, change(A), START, first, last)
    assert (code, out) == (Exit.DONE, "Unit a.service launched on 7c73a89b.../10.0.0.2\n")
    assert (
        err == f"Unit a.service cannot go on {M1}: it has a unit of its own, /etc/systemd/system/a.service\n"
    )


def test_what_a_unit_waits_for_is_told_once(capsys):
    done = make_pass([unit("a.service", "MachineMetadata=disk=ssd")], look("m1"))
    code, out, err = tell(capsys, change(A), replace(START, wait=True), done, waits=NAMES)
    assert (code, out, err) == (Exit.UNIT, "", "Unit a.service waits still, after 7 s\n")


@pytest.mark.parametrize(
    ("now", "told"), [(None, "it was destroyed"), (LOADED, "its target state is loaded now")]
)
def test_a_unit_that_somebody_else_changed_meanwhile(capsys, now, told):
    done = make_pass([unit("a.service", target=now)] if now else [], look("m1"))
    code, out, err = tell(capsys, change(A), START, done)
    assert (code, out) == (Exit.UNIT, "")
    assert err == f"Unit a.service was changed by somebody else meanwhile: {told}\n"


def test_a_destroyed_unit_that_is_gone_is_told_and_one_that_may_run_is_not(capsys):
    work = Work("destroy", block=True, limit=120.0)
    gone = after(make_pass([], look("m1", found(A))), look("m1"))
    assert tell(capsys, change(None, A), work, gone) == (Exit.DONE, "Destroyed a.service\n", "")
    there = after(make_pass([], look("m1", found(A))), look("m1", found(A)))
    code, out, _ = tell(capsys, change(None, A), work, there)
    assert (code, out) == (Exit.UNIT, "")


def test_unloading_what_has_no_machine_makes_it_inactive(capsys):
    """fleet left it launched and said nothing (A14)."""
    inactive = unit("a.service", target=INACTIVE)
    work = Work("unload", block=True, limit=120.0, done="unloaded")
    done = make_pass([inactive], look("m1"))
    assert tell(capsys, change(inactive, A), work, done) == (
        Exit.DONE,
        "Unit a.service inactive\n",
        "Successfully unloaded units [a.service].\n",
    )


def test_flags_of_a_verb_come_after_it(fleetssh):
    """fleet's own examples had them before it, and were misread (A12)."""
    ran = fleetssh("--no-block", "start", "hello")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("unknown flag: --no-block\n")
    assert fleetssh("start", "--no-block").err == "No units given\n"


def test_waiting_and_not_waiting_contradict_each_other(fleetssh):
    ran = fleetssh("start", "--wait", "--no-block", "hello")
    assert (ran.code, ran.err) == (2, "--wait and --no-block contradict each other\n")


def test_a_service_that_is_through_already_is_said_to_be(capsys):
    done = after(
        make_pass([A], look("m1")), look("m1", found(A, "inactive", "dead", ending=Ending.BY_ITSELF))
    )
    code, out, err = tell(capsys, change(A), START, done)
    assert (code, out) == (Exit.DONE, f"Unit a.service launched on {M1}\n")
    assert err == f"Unit a.service has ended by itself on {M1}, with success: nothing of it runs now\n"


def test_a_job_that_is_done_needs_no_remark(capsys):
    job = Wanted(read_unit("a.service", b"[Service]\nType=oneshot\nExecStart=/bin/true\n"), LAUNCHED)
    done = after(
        make_pass([job], look("m1")), look("m1", found(job, "inactive", "dead", ending=Ending.BY_ITSELF))
    )
    assert tell(capsys, change(job), START, done) == (Exit.DONE, f"Unit a.service launched on {M1}\n", "")


def test_what_was_started_by_somebody_else_and_does_not_stop_is_not_said_to_be_loaded(capsys):
    loaded = unit("a.service", target=LOADED)
    slow = Outcome(Action.STOP, "a.service", False, "still deactivating after 30 s")
    planned = make_pass([loaded], look("m1", found(loaded)), placed={"a.service": "m1"})
    done = after(planned, look("m1", found(loaded, "deactivating", "stop-sigterm"), outcomes=(slow,)))
    work = Work("stop", block=True, limit=120.0, done="stopped")
    code, out, err = tell(capsys, change(loaded, loaded, changed=()), work, done)
    assert (code, out) == (Exit.UNIT, "")
    assert err.startswith(f"Unit a.service has not stopped on {M1} yet: it is deactivating\n")
    assert "Successfully" not in err


def test_a_number_of_attempts_may_be_as_large_as_anybody_likes(fleetssh):
    assert fleetssh("start", f"--block-attempts={'9' * 400}").err == "No units given\n"
    assert fleetssh("start", f"--block-attempts={'9' * 400}", "nowhere").code == 1
