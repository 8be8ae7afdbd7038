"""What may still run where nobody can look, and for how long that keeps it from starting elsewhere."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetssh.core.doubt import NAMESAKE, UNANSWERED, Doubt, doubts, expecting, is_done_with, namesakes
from fleetssh.core.leases import runs_out
from fleetssh.core.model import Action, Health, MachinePlan, MachineRecord, Seen, Step
from tests.core.world import LAUNCHED, LOADED, find, reach, up

A, B = "a.service", "b.service"
ARMED = 1000.0


def seen(name: str, *, lease: int = 0, target: object = LAUNCHED, active: str = "active") -> Seen:
    return Seen(name, target, "loaded", active, "running", lease)  # type: ignore[arg-type]


def record(number: int, *units: Seen, health: Health = Health.DOUBTFUL, armed: bool = True) -> MachineRecord:
    return MachineRecord(
        f"h{number}",
        f"m{number}",
        failure="" if health is Health.UP else "timed out",
        lost=health is Health.LOST,
        seen=units,
        armed_at=ARMED if armed else None,
    )


def doubted(*records: MachineRecord, at: float = ARMED) -> dict[str, Doubt]:
    machines = [
        up(
            int(one.host[1:]),
            health=Health.LOST if one.lost else Health.DOUBTFUL if one.failure else Health.UP,
        )
        for one in records
    ]
    return doubts({one.host: one for one in records}, machines, at)


def test_what_a_machine_in_doubt_had_last_may_run_there() -> None:
    units = (seen(A), seen(B, lease=10), seen("idle.service", target=LOADED, active="inactive"))
    units += (seen("by-hand.service", target=LOADED), seen("failed.service", active="failed"))
    found = doubted(record(1, *units), at=1e9)
    assert list(found) == [A, B, "by-hand.service", "failed.service"]
    assert found[A] == Doubt(A, "h1", UNANSWERED)
    assert found[A].sentence == (
        f"Unit {A} waits: h1, which had it last, does not answer, and it may still run there"
    )


def test_another_clusters_units_hold_back_what_was_never_seen_here_by_their_names() -> None:
    found = [find(A), find(B), find("idle.service", LOADED), find("held.service")]
    foreign = [replace(reach(up(number), *found), host=f"f{number}") for number in (2, 1)]
    known = {"h1": record(1, seen(B), health=Health.UP)}
    assert namesakes(foreign, known) == {name: Doubt(name, "f1", NAMESAKE) for name in (A, "held.service")}
    assert namesakes([], known) == {}


def test_nothing_is_in_doubt_on_a_machine_that_answers() -> None:
    assert doubted(record(1, seen(A, lease=10), health=Health.UP)) == {}


def test_on_a_lost_machine_only_leases_are_waited_for_and_only_until_they_run_out() -> None:
    lost = record(1, seen(A), seen(B, lease=10), health=Health.LOST)
    end = runs_out(lost, 10)
    assert doubted(lost, at=end - 12.5) == {
        B: Doubt(B, "h1", "is lost, and its lease there runs for at most 13 s more")
    }
    assert B in doubted(lost, at=end - 0.001)
    assert doubted(lost, at=end) == {}


def test_the_lease_that_counts_is_that_of_the_machine() -> None:
    """Whatever the unit's file says by now."""
    short, long = (record(1, seen(A, lease=lease), health=Health.LOST) for lease in (10, 100))
    at = runs_out(short, 10)
    assert doubted(short, at=at) == {}
    assert A in doubted(long, at=at)


def test_a_lost_machine_that_never_got_a_lease_is_not_waited_for() -> None:
    assert doubted(record(1, seen(A, lease=10), health=Health.LOST, armed=False)) == {}


def test_of_several_machines_one_in_doubt_is_told_before_a_lost_one() -> None:
    lost, doubtful = record(1, seen(A, lease=10), health=Health.LOST), record(2, seen(A))
    assert doubted(lost, doubtful)[A].host == "h2"
    assert doubted(record(3, seen(A)), doubtful)[A].host == "h2"


def test_a_machine_that_left_is_forgotten_when_nothing_of_ours_can_run_there() -> None:
    lost = record(1, seen(A), seen(B, lease=10), health=Health.LOST)
    assert is_done_with(lost, runs_out(lost, 10))
    assert not is_done_with(lost, runs_out(lost, 10) - 1)
    assert is_done_with(record(1, seen(A), health=Health.LOST), ARMED)
    assert not is_done_with(record(1, seen(A, target=LOADED, active="inactive"), health=Health.UP), ARMED)
    assert is_done_with(record(1, health=Health.UP), ARMED)


# ---------------------------------------------------------------- what a visit may have done


def plan(*steps: tuple[Action, str], **leases: int) -> MachinePlan:
    made = tuple(Step(action, unit, "a test") for action, unit in steps)
    return MachinePlan(
        "h1", "m1", made, leases={f"{name}.service": seconds for name, seconds in leases.items()}
    )


def test_a_start_whose_answer_was_lost_is_not_forgotten() -> None:
    before = record(1, seen(B), health=Health.UP, armed=False)
    sent = plan((Action.WRITE, A), (Action.RELOAD, ""), (Action.START, A), a=10)
    after = expecting(before, sent, 2000.0)
    assert [(one.name, one.target, one.lease) for one in after.seen] == [(A, LAUNCHED, 10), (B, LAUNCHED, 0)]
    assert after.armed_at == 2000.0
    assert replace(after, seen=before.seen, armed_at=None) == before
    lost = replace(after, failure="timed out", lost=True)
    assert doubted(lost, at=2000.0).keys() == {A}


def test_a_unit_that_was_only_loaded_and_is_told_to_start_may_run() -> None:
    before = record(1, seen(A, target=LOADED, active="inactive"), armed=False)
    after = expecting(before, plan((Action.START, A)), 2000.0)
    assert doubted(after).keys() == {A}
    assert after.armed_at is None


@pytest.mark.parametrize(("old", "new"), [(10, 30), (30, 10), (0, 10), (10, 0)])
@pytest.mark.parametrize("action", [Action.LEASE, Action.RESTART])
def test_the_longer_of_two_leases_is_waited_for(action: Action, old: int, new: int) -> None:
    after = expecting(record(1, seen(A, lease=old)), plan((action, A), a=new), 2000.0)
    assert [one.lease for one in after.seen] == [max(old, new)]


def test_what_a_visit_takes_away_may_be_there_still() -> None:
    before = record(1, seen(A, lease=10))
    after = expecting(before, plan((Action.STOP, A), (Action.REMOVE, A), (Action.RELOAD, "")), 2000.0)
    assert after == replace(before, armed_at=2000.0)  # a visit renews what it finds, too


# ---------------------------------------------------------------- properties

UNITS = st.lists(
    st.builds(
        seen,
        st.sampled_from([A, B, "c.service"]),
        lease=st.sampled_from([0, 10, 60]),
        target=st.sampled_from([LAUNCHED, LOADED]),
        active=st.sampled_from(["active", "inactive", "failed"]),
    ),
    unique_by=lambda one: one.name,
).map(tuple)


@given(st.lists(st.tuples(UNITS, st.sampled_from(Health)), max_size=4), st.floats(0, 200), st.floats(0, 200))
def test_doubt_only_fades_and_never_depends_on_order(
    made: list[tuple[tuple[Seen, ...], Health]], one: float, other: float
) -> None:
    records = [record(number, *units, health=health) for number, (units, health) in enumerate(made)]
    early, late = sorted((ARMED + one, ARMED + other))
    assert doubted(*records, at=late).keys() <= doubted(*records, at=early).keys()
    assert doubted(*records, at=late) == doubted(*reversed(records), at=late)
    for name, doubt in doubted(*records, at=late).items():
        (holder,) = [r for r in records if r.host == doubt.host]
        assert name in {one.name for one in holder.seen}
        assert holder.failure
