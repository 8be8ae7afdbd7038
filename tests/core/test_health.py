from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetssh.core.health import Judgement, Patience, judge
from fleetssh.core.model import Health, MachineRecord, Seen, TargetState
from fleetssh.core.sighting import Facts, Failure, Reached, Sighting, Unreached
from tests.core.world import LOADED, find, reach, up

PATIENCE = Patience(looks=3, seconds=60.0)
SILENCE = [failure for failure in Failure if failure.is_silence]
NOT_DEATH = [failure for failure in Failure if not failure.is_silence]


def record(number: int = 1, *, last_good: float = 0.0, missed: int = 0, lost: bool = False) -> MachineRecord:
    """A machine whose silence, if any, began right after its last good look."""
    return MachineRecord(
        f"h{number}",
        f"m{number}",
        "b1",
        last_good=last_good,
        silent_since=last_good if missed else None,
        missed=missed,
        failure="timed out" if missed or lost else "",
        lost=lost,
    )


def answer(number: int, at: float) -> Reached:
    return replace(reach(up(number)), seen_at=at)


def failing(number: int, at: float, failure: Failure = Failure.TIMEOUT) -> Unreached:
    return Unreached(f"h{number}", failure, "why", at)


def after(records: list[MachineRecord], *sightings: Sighting, patience: Patience = PATIENCE) -> Judgement:
    return judge({one.host: one for one in records}, {one.host: one for one in sightings}, patience)


# ---------------------------------------------------------------- one machine


def test_only_these_failures_are_silence() -> None:
    assert set(SILENCE) == {Failure.REFUSED, Failure.NO_ROUTE, Failure.TIMEOUT}


def test_a_machine_that_answers_is_up_and_remembered_as_it_is() -> None:
    """F-127, F-178: with systemd's words for each unit."""
    found = (find("a.service"), find("b.service", LOADED, "inactive"))
    facts = Facts("m1", "b2", architecture="x86-64", metadata={"disk": "ssd"})
    seen = replace(reach(up(1), *found), facts=facts, address="10.1.1.1", seen_at=7.0)
    judgement = after([record(missed=2, last_good=1.0)], seen)
    assert judgement.health == {"h1": Health.UP}
    assert judgement.records == {
        "h1": MachineRecord(
            host="h1",
            machine_id="m1",
            boot_id="b2",
            address="10.1.1.1",
            metadata={"disk": "ssd", "fleet.arch": "x86-64"},
            last_good=7.0,
            seen=(
                Seen("a.service", TargetState.LAUNCHED, "loaded", "active", "running"),
                Seen("b.service", TargetState.LOADED, "loaded", "inactive", "dead"),
            ),
        )
    }


def test_what_a_machine_no_longer_has_is_not_remembered() -> None:
    """F-090, F-119; F-178: a look that gave nothing leaves what is remembered."""
    both = after([], reach(up(1), find("a.service"), find("b.service"))).records["h1"]
    silent = after([both], failing(1, 101.0)).records["h1"]
    assert silent.seen == both.seen
    later = after([silent], reach(up(1), find("b.service"))).records["h1"]
    assert [unit.name for unit in later.seen] == ["b.service"]


@pytest.mark.parametrize("failure", Failure)
def test_the_first_failure_of_any_kind_is_doubt(failure: Failure) -> None:
    judgement = after([record()], failing(1, 1000.0, failure))
    assert judgement.health == {"h1": Health.DOUBTFUL}
    kept = judgement.records["h1"]
    assert kept.failure == f"{failure}: why"
    assert (kept.missed, kept.lost, kept.last_good) == (int(failure.is_silence), False, 0.0)


@pytest.mark.parametrize("failure", SILENCE)
def test_silence_for_long_enough_is_loss(failure: Failure) -> None:
    judgement = after([record(missed=2)], failing(1, 60.0, failure))
    assert judgement.health == {"h1": Health.LOST}
    assert judgement.records["h1"].lost


@pytest.mark.parametrize("failure", NOT_DEATH)
def test_what_is_not_silence_is_never_loss(failure: Failure) -> None:
    one = record(missed=99)
    for look in range(20):
        judgement = after([one], failing(1, 1e6 + look, failure))
        assert judgement.health == {"h1": Health.DOUBTFUL}
        one = judgement.records["h1"]
    assert one.missed == 0


@pytest.mark.parametrize(
    ("missed_before", "at", "health"),
    [
        (2, 60.0, Health.LOST),
        (2, 59.9, Health.DOUBTFUL),  # looks enough, time not
        (1, 1e6, Health.DOUBTFUL),  # time enough, looks not
        (1, 59.9, Health.DOUBTFUL),
        (50, 59.9, Health.DOUBTFUL),
        (50, 1e6, Health.LOST),
    ],
)
def test_loss_takes_both_looks_and_seconds(missed_before: int, at: float, health: Health) -> None:
    assert after([record(missed=missed_before)], failing(1, at)).health == {"h1": health}


def test_a_failure_that_is_no_silence_begins_the_count_anew() -> None:
    one = record(missed=2)
    one = after([one], failing(1, 100.0, Failure.LOGIN)).records["h1"]
    for at in (101.0, 102.0):
        judgement = after([one], failing(1, at))
        assert judgement.health == {"h1": Health.DOUBTFUL}
        one = judgement.records["h1"]
    assert after([one], failing(1, 161.0)).health == {"h1": Health.LOST}


def test_the_time_runs_from_the_first_silent_look_and_not_from_the_last_good_one() -> None:
    """Nobody looked all night, then somebody types three commands while the machine reboots."""
    one = record(last_good=0.0)
    for at in (36000.0, 36002.0, 36004.0):
        judgement = after([one], failing(1, at))
        assert judgement.health == {"h1": Health.DOUBTFUL}
        one = judgement.records["h1"]
    assert (one.missed, one.silent_since) == (3, 36000.0)
    assert after([one], failing(1, 36060.0)).health == {"h1": Health.LOST}


def test_a_lost_machine_stays_lost_until_it_answers() -> None:
    lost = record(missed=5, lost=True)
    for failure in Failure:
        assert after([lost], failing(1, 1.0, failure)).health == {"h1": Health.LOST}
    back = after([lost], answer(1, 2.0))
    assert back.health == {"h1": Health.UP}
    assert (back.records["h1"].lost, back.records["h1"].missed, back.records["h1"].failure) == (False, 0, "")


def test_a_host_that_was_never_seen_has_no_health() -> None:
    judgement = after([], failing(1, 1e6))
    assert (judgement.health, judgement.records) == ({}, {})


def test_a_host_that_is_another_machine_now_is_remembered_as_that() -> None:
    judgement = after([record(lost=True)], replace(answer(1, 5.0), facts=Facts("m9", "b9")))
    assert judgement.health == {"h1": Health.UP}
    assert (judgement.records["h1"].machine_id, judgement.records["h1"].boot_id) == ("m9", "b9")


def test_a_host_that_left_the_inventory_is_not_judged() -> None:
    assert after([record(1), record(2)], answer(1, 5.0)).records.keys() == {"h1"}


def test_a_failure_without_a_message_is_told_plainly() -> None:
    judgement = after([record()], Unreached("h1", Failure.NO_ROUTE, "", 1.0))
    assert judgement.records["h1"].failure == "no route"


# ---------------------------------------------------------------- many at once (rule 2)


def crowd(up_count: int, silent: int, *, missed: int = 9) -> Judgement:
    records = [record(number) for number in range(up_count)]
    records += [record(number, missed=missed) for number in range(up_count, up_count + silent)]
    sightings: list[Sighting] = [answer(number, 1000.0) for number in range(up_count)]
    sightings += [failing(number, 1000.0) for number in range(up_count, up_count + silent)]
    return after(records, *sightings)


@pytest.mark.parametrize(
    ("up_count", "silent", "are_lost"),
    [
        (0, 1, True),  # one machine is never "many"
        (1, 1, True),
        (0, 2, False),
        (1, 2, False),
        (3, 2, False),
        (4, 2, True),  # a third, not more
        (3, 3, False),
        (6, 3, True),
        (5, 3, False),
        (0, 50, False),
    ],
)
def test_many_at_once_are_not_lost_and_it_is_said_loudly(up_count: int, silent: int, are_lost: bool) -> None:
    judgement = crowd(up_count, silent)
    judged = list(judgement.health.values())
    assert judged.count(Health.LOST) == (silent if are_lost else 0)
    assert judged.count(Health.UP) == up_count
    assert bool(judgement.alarm) is not are_lost
    if judgement.alarm:
        assert f"{silent} of {up_count + silent} machines went silent together" in judgement.alarm


def test_those_that_were_silent_for_a_short_time_count_as_silent_together() -> None:
    records = [record(1, missed=9), record(2, missed=0), record(3)]
    judgement = after(records, failing(1, 1000.0), failing(2, 1000.0), answer(3, 1000.0))
    assert judgement.health == {"h1": Health.DOUBTFUL, "h2": Health.DOUBTFUL, "h3": Health.UP}
    assert "h1, h2" in judgement.alarm


def test_no_alarm_before_anything_would_be_lost() -> None:
    assert crowd(1, 2, missed=0).alarm == ""


def test_the_lost_and_the_unfit_do_not_count_among_the_silent() -> None:
    records = [record(1, missed=9), record(2, lost=True), record(3), record(4), record(5)]
    sightings = [failing(1, 1000.0), failing(2, 1000.0), failing(3, 1000.0, Failure.LOGIN)]
    judgement = after(records, *sightings, answer(4, 1000.0), answer(5, 1000.0))
    assert judgement.alarm == ""
    assert [host for host, health in judgement.health.items() if health is Health.LOST] == ["h1", "h2"]


def test_machines_that_die_one_after_another_are_all_lost() -> None:
    records = {f"h{number}": record(number) for number in range(3)}
    for round_number in range(1, 9):
        dead = min(round_number // 3, 2)
        sightings: dict[str, Sighting] = {
            f"h{number}": failing(number, 100.0 * round_number)
            if number < dead
            else answer(number, 100.0 * round_number)
            for number in range(3)
        }
        judgement = judge(records, sightings, PATIENCE)
        assert judgement.alarm == ""
        records = dict(judgement.records)
    assert [records[f"h{number}"].lost for number in range(3)] == [True, True, False]


# ---------------------------------------------------------------- properties

RECORDS = st.builds(
    record,
    st.integers(1, 6),
    last_good=st.floats(0, 500),
    missed=st.integers(0, 5),
    lost=st.booleans(),
)
SIGHTINGS = st.builds(answer, st.integers(1, 6), st.floats(0, 1000)) | st.builds(
    failing, st.integers(1, 6), st.floats(0, 1000), st.sampled_from(Failure)
)


@given(st.lists(RECORDS), st.lists(SIGHTINGS))
def test_only_long_silence_makes_a_machine_lost(
    records: list[MachineRecord], sightings: list[Sighting]
) -> None:
    before = {one.host: one for one in records}
    seen = {one.host: one for one in sightings}
    judgement = judge(before, seen, PATIENCE)
    assert judgement.records.keys() == judgement.health.keys()
    shuffled = judge(dict(reversed(before.items())), dict(reversed(seen.items())), PATIENCE)
    assert shuffled == judgement
    for host, health in judgement.health.items():
        sighting = seen[host]
        if isinstance(sighting, Reached):
            assert health is Health.UP
        elif health is Health.LOST and not before[host].lost:
            assert sighting.failure.is_silence
            assert judgement.records[host].missed >= PATIENCE.looks
            assert sighting.seen_at - before[host].last_good >= PATIENCE.seconds
    if judgement.alarm:
        lost = {host for host, health in judgement.health.items() if health is Health.LOST}
        assert lost == {
            host
            for host in judgement.health
            if before.get(host) and before[host].lost and isinstance(seen[host], Unreached)
        }
