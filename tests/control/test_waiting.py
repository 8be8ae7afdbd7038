"""When a command goes on with more passes: judged over passes that the real placing and planning made."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fleetssh.control.result import Pass
from fleetssh.control.waiting import needs_another_pass
from fleetssh.core.model import Action, Health
from fleetssh.core.sighting import Failure, Outcome, Unreached
from tests.cli.passmaking import INACTIVE, LOADED, after, found, look, make_pass, unit

A = unit("a.service")
ALONE = ("a.service",)
STUCK = (Outcome(Action.STOP, "a.service", False, "still deactivating after 30 s"),)
SILENT = Unreached("m1", Failure.TIMEOUT)


def goes_on(done: Pass, *, patient: bool = False) -> bool:
    return needs_another_pass(done, ALONE, patient=patient)


def test_a_unit_that_runs_has_arrived() -> None:
    done = make_pass([A], look("m1", found(A)), placed={"a.service": "m1"})
    assert not goes_on(done)
    assert not goes_on(done, patient=True)


def test_a_unit_without_a_place_is_waited_for_by_the_patient_alone() -> None:
    done = make_pass([unit("a.service", "MachineMetadata=disk=ssd")], look("m1"))
    assert not goes_on(done)
    assert goes_on(done, patient=True)


def test_a_unit_on_a_silent_machine_is_waited_for_by_the_patient_alone() -> None:
    done = make_pass([A], SILENT, placed={"a.service": "m1"}, health=Health.DOUBTFUL)
    assert not goes_on(done)
    assert goes_on(done, patient=True)


def test_nobody_waits_for_more_machines_for_a_global_unit() -> None:
    nowhere = unit("a.service", "Global=true\nMachineMetadata=disk=ssd")
    assert not goes_on(make_pass([nowhere], look("m1")), patient=True)
    silent = make_pass([unit("a.service", "Global=true")], SILENT, health=Health.DOUBTFUL)
    assert not goes_on(silent, patient=True)


def test_a_unit_that_has_failed_does_not_become_well_by_waiting() -> None:
    done = make_pass([A], look("m1", found(A, "failed", "failed")), placed={"a.service": "m1"})
    assert not goes_on(done, patient=True)


@pytest.mark.parametrize("target", [INACTIVE, None])
def test_a_removal_waits_for_the_end_of_a_slow_stop(target: object) -> None:
    wanted = [unit("a.service", target=target)] if target else []
    planned = make_pass(wanted, look("m1", found(A)))
    slow = look("m1", found(A, "deactivating", "stop-sigterm"), outcomes=STUCK)
    assert goes_on(after(planned, slow))
    assert not goes_on(after(planned, look("m1")))


def test_a_new_file_waits_for_the_end_of_a_slow_stop() -> None:
    planned = make_pass(
        [unit("a.service", command="/bin/false")], look("m1", found(A)), placed={"a.service": "m1"}
    )
    slow = look("m1", found(A, "deactivating", "stop-sigterm"), outcomes=STUCK)
    assert goes_on(after(planned, slow))


def test_a_slow_stop_in_place_needs_looks_and_no_pass() -> None:
    planned = make_pass([unit("a.service", target=LOADED)], look("m1", found(A)), placed={"a.service": "m1"})
    ended = look("m1", found(A, "inactive", "dead"), outcomes=STUCK)
    assert not goes_on(after(planned, ended))


def test_a_move_waits_for_the_end_of_a_slow_stop() -> None:
    moving = unit("a.service", "MachineID=7c73a89bc94e21ac5b3b794e7c9ee034")
    planned = make_pass([moving], look("m1", found(moving)), look("m2"), placed={"a.service": "m1"})
    slow = look("m1", found(moving, "deactivating", "stop-sigterm"), outcomes=STUCK)
    assert goes_on(after(planned, slow, withheld={"a.service"}))


def test_a_start_waits_for_the_end_of_the_unit_that_it_conflicts_with() -> None:
    planned = make_pass([A], look("m1"), placed={"a.service": "m1"})
    beside = Outcome(Action.START, "a.service", False, "it conflicts with b.service, which has not stopped")
    assert goes_on(after(planned, look("m1", outcomes=(beside,))))
    together = Outcome(Action.START, "", False, "Job failed")
    assert not goes_on(after(planned, look("m1", found(A, "failed", "failed"), outcomes=(together,))))


def test_a_machine_with_a_unit_of_its_own_is_left_out_at_once() -> None:
    planned = make_pass([A], look("m1"))
    taken = replace(look("m1"), occupied={"a.service": "/usr/lib/systemd/system/a.service"})
    assert goes_on(after(planned, taken))


def test_a_visit_that_failed_as_a_whole_is_tried_once_more() -> None:
    fault = (Outcome(Action.NOTE, "", False, "it was visited by another"),)
    starting = after(make_pass([A], look("m1")), look("m1", outcomes=fault))
    leaving = after(make_pass([], look("m1", found(A))), look("m1", found(A), outcomes=fault))
    done = after(make_pass([A], look("m1", found(A)), placed={"a.service": "m1"}), look("m1", found(A)))
    for passed in (starting, leaving):
        assert needs_another_pass(passed, ALONE, patient=False, again=True)
        assert not goes_on(passed)
    assert not needs_another_pass(done, ALONE, patient=False, again=True)
