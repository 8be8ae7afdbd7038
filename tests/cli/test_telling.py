"""The words for what a pass saw and did, from passes that the real placing and planning made."""

from dataclasses import replace

import pytest

from fleetssh.cli.exits import Exit
from fleetssh.cli.standing import lingering, problem
from fleetssh.cli.telling import (
    done_lines,
    refusal_lines,
    touched_units,
    trouble_lines,
    unreached_lines,
    work_lines,
)
from fleetssh.control.waiting import reports_of
from fleetssh.core.doubt import UNANSWERED, Doubt
from fleetssh.core.model import Action, Health, Machine, Refusal, Wanted
from fleetssh.core.requirements import read_unit
from fleetssh.core.sighting import Detail, Failure, Outcome, Unreached
from tests.cli.passmaking import IDS, INACTIVE, LAUNCHED, LOADED, after, found, look, make_pass, unit


def told(done, name, waited=0.0):
    (report,) = reports_of(done, (name,))
    return problem(report, done, waited)


A, B = unit("a.service"), unit("b.service")
SILENT = Unreached("m2", Failure.TIMEOUT, "no answer")


# ---------------------------------------------------------------- steps


def test_a_plan_and_the_same_pass_carried_out_are_told_alike():
    planned = make_pass(
        [A, B], look("m1", found(B, "inactive", "dead")), look("m2"), placed={"b.service": "m1"}
    )
    done = after(planned, look("m1", found(B)), look("m2", found(A)))
    assert done_lines(done) == work_lines(planned.plan)
    assert work_lines(planned.plan) == [
        "move a.service: nowhere -> 7c73a89b...: least loaded (0 units)",
        "m2: write a.service (least loaded (0 units))",
        "m2: reload (unit files change)",
        "m2: start a.service (least loaded (0 units))",
    ]
    assert touched_units(done) == {"a.service"}


def test_steps_of_a_machine_that_fell_silent_are_not_told_as_done():
    planned = make_pass([A], look("m1"))
    done = after(planned, Unreached("m1", Failure.HALF, "cut off"))
    assert done_lines(done) == ["move a.service: nowhere -> 0b2e8d25...: least loaded (0 units)"]


def test_of_starts_that_failed_together_those_that_run_are_told_as_done():
    planned = make_pass([A, B], look("m1"))
    said = Outcome(Action.START, "", False, "Job for b.service failed")
    done = after(planned, look("m1", found(A), found(B, "failed", "failed"), outcomes=(said,)))
    starts = [line for line in done_lines(done) if ": start" in line]
    assert starts == ["m1: start a.service (least loaded (0 units))"]
    assert trouble_lines(done) == ["m1: start failed: Job for b.service failed"]
    assert trouble_lines(done, {"b.service"}) == []


@pytest.mark.parametrize(
    ("action", "line"), [(Action.NOTE, "m1: no space"), (Action.STOP, "m1: stop failed: no space")]
)
def test_a_visit_that_ended_early_did_nothing_that_could_be_told(action, line):
    planned = make_pass([A], look("m1"))
    done = after(planned, look("m1", outcomes=(Outcome(action, "", False, "no space"),)))
    assert [line for line in done_lines(done) if line.startswith("m1:")] == []
    assert trouble_lines(done) == [line]


def test_a_start_that_was_kept_back_is_told_as_such():
    moving = make_pass([unit("a.service", "MachineID=" + IDS["m2"])], look("m1", found(A)), look("m2"),
                       placed={"a.service": "m1"})  # fmt: skip
    failed = Outcome(Action.REMOVE, "", False, "busy")
    done = after(moving, look("m1", found(A), outcomes=(failed,)), withheld={"a.service"})
    assert "m2: start" in "\n".join(work_lines(moving.plan))
    assert not [line for line in done_lines(done) if line.startswith("m2:")]
    assert trouble_lines(done)[-1].startswith("Unit a.service was not started anew: its old copy")
    assert told(done, "a.service")[1] is Exit.UNIT


# ---------------------------------------------------------------- machines


def test_what_is_known_of_a_machine_in_doubt_has_an_age():
    done = make_pass([A], look("m1"), replace(SILENT, seen_at=135.0), placed={"a.service": "m2"},
                     health=Health.DOUBTFUL)  # fmt: skip
    records = {**done.records, "m2": replace(done.records["m2"], last_good=100.0)}
    done = replace(done, records=records)
    assert unreached_lines(done.sightings, done.survey.machines, records) == [
        "m2 (7c73a89b...): timed out: no answer; doubtful, it keeps its units; last answered 35s ago"
    ]
    reached = {"m2": replace(records["m2"], failure="timed out: no answer; m1 reaches its SSH port")}
    assert unreached_lines(done.sightings, done.survey.machines, reached) == [
        (
            "m2 (7c73a89b...): timed out: no answer; m1 reaches its SSH port; "
            "doubtful, it keeps its units; last answered 35s ago"
        )
    ]
    (line, _), code = told(done, "a.service")
    assert code is Exit.MACHINE
    assert line == (
        "Unit a.service belongs on 7c73a89b.../10.0.0.2, which does not answer (timed out: no answer); "
        "last answered 35s ago"
    )
    (line,), _ = lingering("a.service", done, {IDS["m2"]})
    assert line.endswith("; last answered 35s ago")


def test_unreached_machines_and_what_that_means():
    doubtful = make_pass([A], look("m1", found(A)), SILENT, health=Health.DOUBTFUL)
    lines = unreached_lines(doubtful.sightings, doubtful.survey.machines, doubtful.records)
    assert lines == ["m2 (7c73a89b...): timed out: no answer; doubtful, it keeps its units"]
    lost = make_pass([A], look("m1", found(A)), SILENT, health=Health.LOST)
    lines = unreached_lines(lost.sightings, lost.survey.machines, lost.records)
    assert lines == ["m2 (7c73a89b...): timed out: no answer; lost, its units move"]
    never = Unreached("m9", Failure.REFUSED)
    assert unreached_lines({"m9": never}, (), {}) == [
        "m9: connection refused; never seen, so nothing is placed on it"
    ]


def test_refusals_name_the_machine_by_host_and_id():
    machines = (Machine(IDS["m1"], "m1"),)
    lines = refusal_lines([Refusal(IDS["m1"], "is full"), Refusal(IDS["m2"], "is gone")], machines)
    assert lines == ["  m1 (0b2e8d25...): is full", "  7c73a89b...: is gone"]
    assert refusal_lines([], machines) == ["  no machine has ever been seen"]


# ---------------------------------------------------------------- units


def test_a_unit_that_runs_is_no_problem():
    done = make_pass([A], look("m1", found(A)), placed={"a.service": "m1"})
    assert told(done, "a.service") == ([], Exit.DONE)


def test_a_failed_unit_shows_status_and_last_lines():
    detail = Detail("exit-code", "exited", 203, log=tuple(f"line {n}" for n in range(12)))
    done = make_pass([A], look("m1", found(A, "failed", "failed", detail=detail)), placed={"a.service": "m1"})
    lines, code = told(done, "a.service")
    assert code is Exit.UNIT
    assert lines[0] == "Unit a.service failed on 0b2e8d25.../10.0.0.1: exit-code, status 203"
    assert lines[1:] == [f"  line {n}" for n in range(2, 12)]


def test_a_unit_that_cannot_be_loaded_shows_systemds_words():
    detail = Detail(load_error="bad-setting (x)")
    done = make_pass([A], look("m1", found(A, "failed", "failed", detail=detail)), placed={"a.service": "m1"})
    assert told(done, "a.service")[0] == ["Unit a.service failed on 0b2e8d25.../10.0.0.1: bad-setting (x)"]


def test_a_unit_that_is_slow():
    done = make_pass([A], look("m1", found(A, "activating", "start")), placed={"a.service": "m1"})
    (line,), code = told(done, "a.service", 31.6)
    assert code is Exit.UNIT
    assert line.startswith(
        "Unit a.service is still starting on 0b2e8d25.../10.0.0.1 after 32 s; 'fleetssh status"
    )


def test_a_unit_that_no_machine_can_take():
    done = make_pass([unit("a.service", "MachineMetadata=disk=ssd")], look("m1"), look("m2"))
    lines, code = told(done, "a.service")
    assert (code, lines[0]) == (Exit.UNIT, "Unit a.service is not placed: no machine can take it")
    assert [line.partition(":")[0] for line in lines[1:]] == ["  m1 (0b2e8d25...)", "  m2 (7c73a89b...)"]


def test_a_global_unit_that_fits_nowhere_is_a_note_and_no_failure():
    done = make_pass([unit("a.service", "Global=true\nMachineMetadata=disk=ssd")], look("m1"))
    assert told(done, "a.service") == (["Unit a.service is global and fits no machine now"], Exit.DONE)


def test_a_unit_on_a_machine_that_does_not_answer():
    done = make_pass([A], look("m1"), SILENT, placed={"a.service": "m2"}, health=Health.DOUBTFUL)
    lines, code = told(done, "a.service")
    assert code is Exit.MACHINE
    assert lines[0] == (
        "Unit a.service belongs on 7c73a89b.../10.0.0.2, which does not answer (timed out: no answer)"
    )


def test_a_unit_that_is_not_there_with_what_the_machine_said():
    planned = make_pass([A], look("m1"))
    done = after(planned, look("m1", outcomes=(Outcome(Action.WRITE, "", False, "no space"),)))
    assert told(done, "a.service") == (
        ["Unit a.service is not on 0b2e8d25.../10.0.0.1 as it should be: write failed: no space"],
        Exit.UNIT,
    )
    assert told(after(planned), "a.service")[0] == ["Unit a.service is missing on 0b2e8d25.../10.0.0.1"]


def test_a_unit_that_is_told_to_stop_and_does_not():
    loaded = unit("a.service", target=LOADED)
    planned = make_pass([loaded], look("m1", found(A)), placed={"a.service": "m1"})
    # The visit gave up waiting before it wrote the manifest.
    done = after(planned, look("m1", found(A, "deactivating", "stop-sigterm")))
    lines, code = told(done, "a.service")
    assert code is Exit.UNIT
    assert lines[0] == "Unit a.service has not stopped on 0b2e8d25.../10.0.0.1 yet: it is deactivating"
    assert lines[1].endswith("at once: fleetssh ssh m1 -- systemctl kill -s KILL a.service")
    assert told(after(planned, look("m1", found(loaded, "inactive", "dead"))), "a.service")[1] is Exit.DONE


def test_a_new_file_that_waits_for_the_end_of_the_old_unit():
    changed = Wanted(read_unit("a.service", b"[Service]\nExecStart=/bin/false\n"), LAUNCHED)
    planned = make_pass([changed], look("m1", found(A)), placed={"a.service": "m1"})
    lines, code = told(after(planned, look("m1", found(A, "deactivating", "stop"))), "a.service")
    assert code is Exit.UNIT
    assert lines[0].endswith("it is deactivating, and its new file waits for that")
    full = Outcome(Action.NOTE, "", False, "no space")
    done = after(planned, look("m1", found(A), outcomes=(full,)))
    lines, code = told(done, "a.service")
    assert lines == ["Unit a.service is not on 0b2e8d25.../10.0.0.1 as it should be: no space"]
    # The fault of the whole visit is told once.
    assert trouble_lines(done, {"a.service"}, lines) == []
    assert trouble_lines(done, {"a.service"}) == ["m1: no space"]


def test_a_unit_that_must_wait_for_a_machine_that_had_it_last():
    planned = make_pass([A], look("m1"), SILENT, placed={"a.service": "m1"}, health=Health.DOUBTFUL)
    doubt = Doubt("a.service", "m2", UNANSWERED)
    done = replace(planned, survey=replace(planned.survey, in_doubt={"a.service": doubt}))
    (line, advice), code = told(done, "a.service")
    assert code is Exit.MACHINE
    assert line == "Unit a.service waits: m2, which had it last, does not answer, and it may still run there"
    assert advice == "  it is started on 0b2e8d25.../10.0.0.1 when m2 answers or is lost"


def test_where_a_unit_still_is_or_may_be():
    gone = unit("a.service", target=INACTIVE)
    planned = make_pass([gone], look("m1", found(A)), SILENT, health=Health.DOUBTFUL)
    assert lingering("a.service", after(planned, look("m1")), {IDS["m1"]}) == ([], Exit.DONE)
    lines, code = lingering("a.service", planned, {IDS["m1"]})
    assert (lines, code) == (["Unit a.service could not be removed from 0b2e8d25.../10.0.0.1"], Exit.UNIT)
    lines, code = lingering("a.service", after(planned, look("m1")), {IDS["m2"]})
    assert code is Exit.MACHINE
    assert lines[0].startswith("Unit a.service may still run on 7c73a89b.../10.0.0.2, which does not answer")
    slow = after(planned, look("m1", found(A, "deactivating", "stop-sigterm")))
    assert lingering("a.service", slow, {IDS["m1"]})[0][0] == (
        "Unit a.service has not stopped on 0b2e8d25.../10.0.0.1 yet, so it is still there"
    )
    lost = make_pass([gone], look("m1"), SILENT, health=Health.LOST)
    assert lingering("a.service", lost, {IDS["m2"]}) == ([], Exit.DONE)
