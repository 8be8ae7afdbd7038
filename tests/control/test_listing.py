from __future__ import annotations

from dataclasses import replace

from fleetssh.control.listing import MachineRow, UnitRow, machine_rows, unit_file_rows, unit_rows
from fleetssh.control.survey import Survey
from fleetssh.core.model import Health, Machine, MachineRecord, Placement, Seen, State, TargetState
from fleetssh.core.sighting import Failure, Sighting, Unreached
from tests.core.world import LOADED, find, reach, up, want

M1, M2 = up(1, address="10.1.1.1"), up(2, address="10.1.1.2")
A, B = "a.service", "b.service"


def record(machine: Machine, *seen: str, failure: str = "", lost: bool = False) -> MachineRecord:
    """What is remembered of a machine; its last good look was at 100 s."""
    return MachineRecord(
        machine.host,
        machine.id,
        address=machine.address,
        last_good=100.0,
        failure=failure,
        lost=lost,
        seen=tuple(Seen(name, TargetState.LAUNCHED, "loaded", "active", "running") for name in seen),
    )


def survey(*known: tuple[Machine, MachineRecord, Sighting | None]) -> Survey:
    return Survey(
        sightings={machine.host: sighting for machine, _, sighting in known if sighting},
        records={machine.host: kept for machine, kept, _ in known},
        machines=tuple(machine for machine, _, _ in known),
    )


SILENT = Unreached("h2", Failure.TIMEOUT, "no answer")
DOUBTFUL = replace(M2, health=Health.DOUBTFUL)
LOST = replace(M2, health=Health.LOST)


def test_machines_show_what_people_said_and_what_was_probed_apart() -> None:
    one = replace(M1, metadata={"fleet.arch": "arm64", "region": "eu", "disk": "ssd"})
    (row,) = machine_rows(survey((one, record(one), reach(one))), now=250.0)
    assert row == MachineRow(
        "m1", "h1", "10.1.1.1", {"disk": "ssd", "region": "eu"}, {"arch": "arm64"}, Health.UP, 0.0, ""
    )


def test_a_machine_that_does_not_answer_shows_since_when_and_why() -> None:
    seen = survey((M1, record(M1), reach(M1)), (DOUBTFUL, record(M2, failure="timed out"), SILENT))
    assert [(row.id, row.health, row.age_seconds, row.problem) for row in machine_rows(seen, 250.0)] == [
        ("m1", Health.UP, 0.0, ""),
        ("m2", Health.DOUBTFUL, 150.0, "timed out"),
    ]


def test_units_stand_in_systemds_words_by_name_then_machine() -> None:
    state = State("c1", 1, {A: want(A), B: want(B, LOADED)})
    failed = find(B, LOADED, "failed", text="by hand")
    seen = survey(
        (M1, record(M1), reach(M1, failed, find(A))),
        (M2, record(M2), reach(M2, find(A), find("old.service"))),
    )
    digest = want(A).unit.hash
    assert unit_rows(state, seen, 250.0) == [
        UnitRow(A, M1, "loaded", "active", "running", digest, 0.0, "active", "running"),
        UnitRow(A, M2, "loaded", "active", "running", digest, 0.0, "active", "running"),
        UnitRow(B, M1, "loaded", "failed", "failed", digest, 0.0, "failed", "failed"),
        UnitRow("old.service", M2, "loaded", "active", "running", "", 0.0, "active", "running"),
    ]


def test_a_unit_of_an_older_text_shows_no_hash_of_the_new_one() -> None:
    state = State("c1", 1, {A: want(A, text="second")})
    (row,) = unit_rows(state, survey((M1, record(M1), reach(M1, find(A)))), 250.0)
    assert row.hash == ""


def test_units_of_a_machine_in_doubt_are_unknown_and_say_what_was_last_known_and_when() -> None:
    seen = survey((DOUBTFUL, record(M2, A, B, failure="timed out"), SILENT))
    assert unit_rows(State("c1"), seen, 250.0) == [
        UnitRow(name, DOUBTFUL, "unknown", "unknown", "unknown", "", 150.0, "active", "running")
        for name in (A, B)
    ]


def test_units_of_a_lost_machine_are_not_shown() -> None:
    lost = survey((LOST, record(M2, A, failure="x", lost=True), SILENT))
    assert unit_rows(State("c1"), lost, 250.0) == []


def test_unit_files_come_from_the_store_alone_sorted_by_name() -> None:
    state = State(
        "c1",
        1,
        {
            "d.service": want("d.service"),
            "g.service": want("g.service", is_global=True),
            A: replace(want(A), unit=replace(want(A).unit, description="An A")),
            B: want(B, LOADED),
        },
        {
            A: Placement(A, "m1", "why"),
            B: Placement(B, "m2", "why"),
            "d.service": Placement("d.service", "gone", "why"),
        },
    )
    records = {"h1": record(M1, A, "g.service"), "h2": record(M2, B, failure="x", lost=True)}
    digest = want(A).unit.hash
    rows = [
        (r.name, r.hash, r.target, r.state, r.machine_id, r.host, r.address, r.is_global, r.description)
        for r in unit_file_rows(state, records)
    ]
    assert rows == [
        (A, digest, "launched", "launched", "m1", "h1", "10.1.1.1", False, "An A"),
        (B, digest, "loaded", "inactive", "m2", "h2", "10.1.1.2", False, ""),
        ("d.service", digest, "launched", "inactive", "gone", "", "", False, ""),
        ("g.service", digest, "launched", "", "", "", "", True, ""),
    ]


def test_a_unit_that_is_not_placed_or_not_seen_yet_is_inactive() -> None:
    state = State("c1", 1, {A: want(A), B: want(B)}, {B: Placement(B, "m1", "why")})
    rows = unit_file_rows(state, {"h1": record(M1, A)})
    assert [(row.state, row.machine_id) for row in rows] == [("inactive", ""), ("inactive", "m1")]
