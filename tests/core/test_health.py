from __future__ import annotations

from dataclasses import replace

import pytest

from fleetssh.core.health import LOOP_PATIENCE, Judgement, Patience, judge, reboot_of
from fleetssh.core.model import Health, MachineRecord, Seen, TargetState
from fleetssh.core.sighting import Facts, Failure, Opinion, Reached, Sighting, Unreached
from tests.core.world import LOADED, find, reach, up

PATIENCE = Patience(looks=3, seconds=60.0)
SILENCE = [failure for failure in Failure if failure.is_silence]
NOT_DEATH = [failure for failure in Failure if not failure.is_silence]
NOTHING, HELLO, CONNECTED, UNKNOWN = Opinion.NOTHING, Opinion.HELLO, Opinion.CONNECTED, Opinion.UNKNOWN


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


def after(
    records: list[MachineRecord], *sightings: Sighting, patience: Patience = PATIENCE, at: float | None = None
) -> Judgement:
    """What follows from these sightings alone."""
    at = max(one.seen_at for one in sightings) if at is None else at
    return judge({one.host: one for one in records}, {one.host: one for one in sightings}, patience, at)


def beside(
    records: list[MachineRecord], *sightings: Sighting, met: Opinion = NOTHING, patience: Patience = PATIENCE
) -> Judgement:
    """The same beside four machines that answer, one of which met ``met`` at every other one's port."""
    at = max(one.seen_at for one in sightings)
    witness = replace(answer(90, at), opinions={one.host: met for one in sightings})
    others = [answer(number, at) for number in (91, 92, 93)]
    judgement = after(records, *sightings, witness, *others, patience=patience)
    mine = {one.host for one in sightings}
    return Judgement(
        {host: one for host, one in judgement.records.items() if host in mine},
        {host: one for host, one in judgement.health.items() if host in mine},
        judgement.alarm,
    )


# ---------------------------------------------------------------- one machine


def test_only_these_failures_are_silence() -> None:
    assert set(SILENCE) == {Failure.REFUSED, Failure.NO_ROUTE, Failure.TIMEOUT, Failure.STALLED}


def test_a_machine_that_answers_is_up_and_remembered_as_it_is() -> None:
    """F-127, F-178: with systemd's words for each unit."""
    found = (find("a.service"), find("b.service", LOADED, "inactive"))
    facts = Facts("m1", "b2", architecture="x86-64", metadata={"disk": "ssd"}, uptime=33.0)
    seen = replace(reach(up(1), *found), facts=facts, address="10.1.1.1", seen_at=7.0)
    known = replace(record(missed=2, last_good=1.0), way={"user": "core"}, armed_at=3.0)
    judgement = after([known], seen, at=70.0)
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
            uptime=33.0,
            read_at=70.0,
            armed_at=None,  # no unit with a lease is there, and no lease runs
            way={"user": "core"},
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
    seconds = 300.0 if failure in (Failure.STALLED, Failure.REFUSED) else 60.0
    judgement = beside([record(missed=2)], failing(1, seconds, failure))
    assert judgement.health == {"h1": Health.LOST}
    assert judgement.records["h1"].lost
    assert beside([record(missed=2)], failing(1, seconds - 0.1, failure)).health == {"h1": Health.DOUBTFUL}


@pytest.mark.parametrize("failure", NOT_DEATH)
def test_what_is_not_silence_is_never_loss(failure: Failure) -> None:
    one = record(missed=99)
    for look in range(20):
        judgement = beside([one], failing(1, 1e6 + look, failure))
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
    assert beside([record(missed=missed_before)], failing(1, at)).health == {"h1": health}


def test_a_failure_that_is_no_silence_begins_the_count_anew() -> None:
    one = record(missed=2)
    one = after([one], failing(1, 100.0, Failure.LOGIN)).records["h1"]
    for at in (101.0, 102.0):
        judgement = beside([one], failing(1, at))
        assert judgement.health == {"h1": Health.DOUBTFUL}
        one = judgement.records["h1"]
    assert beside([one], failing(1, 161.0)).health == {"h1": Health.LOST}


def test_the_time_runs_from_the_first_silent_look_and_not_from_the_last_good_one() -> None:
    """Nobody looked all night, then somebody types three commands while the machine reboots."""
    one = record(last_good=0.0)
    for at in (36000.0, 36002.0, 36004.0):
        judgement = beside([one], failing(1, at))
        assert judgement.health == {"h1": Health.DOUBTFUL}
        one = judgement.records["h1"]
    assert (one.missed, one.silent_since) == (3, 36000.0)
    assert beside([one], failing(1, 36060.0)).health == {"h1": Health.LOST}


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


def test_no_clock_but_the_stores_decides() -> None:
    one = record()
    for at, wall in ((1000.0, 5e9), (1030.0, 0.0), (1059.9, 9e9)):
        judgement = judge({"h1": one}, {"h1": failing(1, wall), "w": witnessing(h1=NOTHING)}, PATIENCE, at)
        assert judgement.health["h1"] is Health.DOUBTFUL
        one = judgement.records["h1"]
    assert one.silent_since == 1000.0
    judgement = judge({"h1": one}, {"h1": failing(1, 0.0), "w": witnessing(h1=NOTHING)}, PATIENCE, 1060.0)
    assert judgement.health["h1"] is Health.LOST


def test_a_kept_connection_that_went_silent_counts_as_a_look_and_as_time() -> None:
    broken = replace(failing(1, 100.0), looks=2, silent_seconds=2.5)
    judgement = beside([record()], broken, patience=LOOP_PATIENCE)
    assert judgement.health == {"h1": Health.LOST}
    assert (judgement.records["h1"].missed, judgement.records["h1"].silent_since) == (2, 97.5)
    for short in (replace(broken, looks=1), replace(broken, silent_seconds=1.9)):
        assert beside([record()], short, patience=LOOP_PATIENCE).health == {"h1": Health.DOUBTFUL}


# ---------------------------------------------------------------- kinds of silence that alternate


@pytest.mark.parametrize(
    ("before", "now", "seconds"),
    [
        (Failure.TIMEOUT, Failure.NO_ROUTE, 60.0),
        (Failure.TIMEOUT, Failure.REFUSED, 300.0),
        (Failure.TIMEOUT, Failure.STALLED, 300.0),
        (Failure.STALLED, Failure.TIMEOUT, 300.0),
        (Failure.STALLED, Failure.STALLED, 300.0),
    ],
)
def test_a_machine_that_stalled_a_look_ago_is_given_longer(
    before: Failure, now: Failure, seconds: float
) -> None:
    one = replace(record(missed=5), failure=f"{before}: why")
    assert beside([one], failing(1, seconds, now)).health == {"h1": Health.LOST}
    assert beside([one], failing(1, seconds - 0.1, now)).health == {"h1": Health.DOUBTFUL}


def test_silence_is_one_silence_whatever_its_kinds() -> None:
    """A frozen machine that is switched off then is not given the whole time once more."""
    one = record()
    for at, failure in ((0.0, Failure.STALLED), (50.0, Failure.STALLED), (70.0, Failure.NO_ROUTE)):
        judgement = beside([one], failing(1, at, failure))
        assert judgement.health == {"h1": Health.DOUBTFUL}
        one = judgement.records["h1"]
    assert beside([one], failing(1, 72.0, Failure.NO_ROUTE)).health == {"h1": Health.LOST}


# ---------------------------------------------------------------- the second opinion


def witnessing(at: float = 1000.0, **opinions: Opinion) -> Reached:
    return Reached("w", "", Facts("mw", "bw"), opinions=opinions, seen_at=at)


@pytest.mark.parametrize(
    ("failure", "opinions", "health", "told"),
    [
        (Failure.TIMEOUT, (NOTHING,), Health.LOST, ""),
        (Failure.TIMEOUT, (NOTHING, UNKNOWN), Health.LOST, ""),
        (Failure.TIMEOUT, (), Health.DOUBTFUL, ""),
        (Failure.TIMEOUT, (HELLO,), Health.DOUBTFUL, "; h2 reaches its SSH port"),
        (Failure.REFUSED, (NOTHING, HELLO), Health.DOUBTFUL, "; h3 reaches its SSH port"),
        (Failure.NO_ROUTE, (HELLO, CONNECTED), Health.DOUBTFUL, "; h2, h3 reach its SSH port"),
        (Failure.TIMEOUT, (CONNECTED,), Health.DOUBTFUL, "; h2 reaches its SSH port"),
        (Failure.STALLED, (CONNECTED,), Health.LOST, ""),  # for both of us it stalls
        (Failure.STALLED, (CONNECTED, HELLO), Health.DOUBTFUL, "; h3 reaches its SSH port"),
        (Failure.STALLED, (NOTHING,), Health.LOST, ""),
    ],
)
def test_whom_another_machine_reaches_is_not_lost(
    failure: Failure, opinions: tuple[Opinion, ...], health: Health, told: str
) -> None:
    answers = [answer(number, 1000.0) for number in range(2, 6)]
    for place, opinion in enumerate(opinions):
        answers[place] = replace(answers[place], opinions={"h1": opinion})
    judgement = after([record(missed=9)], failing(1, 1000.0, failure), *answers)
    assert judgement.health["h1"] is health
    assert judgement.records["h1"].failure == f"{failure}: why{told}"
    assert judgement.alarm == ""


def test_the_count_begins_anew_when_somebody_reached_it() -> None:
    """One witness that loses a packet must not undo what it saw a moment ago."""
    one = record(missed=9)
    for at, met, health in (
        (1000.0, HELLO, Health.DOUBTFUL),
        (1060.0, NOTHING, Health.DOUBTFUL),
        (1120.0, NOTHING, Health.DOUBTFUL),
        (1180.0, NOTHING, Health.LOST),
    ):
        judgement = beside([one], failing(1, at), met=met)
        assert judgement.health == {"h1": health}, at
        one = judgement.records["h1"]
    assert one.missed == 3


def test_where_nobody_has_the_means_to_try_silence_is_given_longer() -> None:
    assert beside([record(missed=9)], failing(1, 299.9), met=UNKNOWN).health == {"h1": Health.DOUBTFUL}
    judgement = beside([record(missed=9)], failing(1, 300.0), met=UNKNOWN)
    assert judgement.health == {"h1": Health.LOST}
    assert judgement.records["h1"].failure == (
        "timed out: why; no other machine can reach SSH ports here (a firewall, or no bash), "
        "so its silence is given 5 times as long"
    )


def controlled(at: float, *met: dict[str, Opinion], control: Failure | None = None) -> Judgement:
    """A machine h1 that is silent, as others judge it, of which h2, h3 and so on met what ``met`` says;
    h9 failed with ``control``, if any. Its silence began at 0."""
    others: list[Sighting] = [
        replace(answer(number, at), opinions=ports) for number, ports in enumerate(met, 2)
    ]
    others += [answer(number, at) for number in (6, 7, 8)]
    others.append(failing(9, at, control) if control else answer(9, at))
    known = [record(number) for number in range(2, 10)]
    return after([record(1, missed=9), *known], failing(1, at), *others)


@pytest.mark.parametrize("met", [NOTHING, CONNECTED, UNKNOWN])
def test_who_gets_through_to_nobody_confirms_no_death(met: Opinion) -> None:
    """A firewall lets only the controller in, addresses are forwarded, names are known only to it."""
    blind = [{"h1": NOTHING, "h3": met}, {"h1": NOTHING, "h2": met}]
    waiting = controlled(299.9, *blind)
    assert waiting.health["h1"] is Health.DOUBTFUL
    assert "no other machine can reach SSH ports here" in waiting.records["h1"].failure
    assert controlled(300.0, *blind).health["h1"] is Health.LOST


def test_one_that_gets_through_to_its_control_is_enough() -> None:
    judgement = controlled(60.0, {"h1": NOTHING, "h3": NOTHING}, {"h1": NOTHING, "h2": HELLO})
    assert judgement.health["h1"] is Health.LOST
    assert judgement.records["h1"].failure == "timed out: why"


def test_a_control_that_answers_says_nothing_for_the_silent_one() -> None:
    unheard = controlled(60.0, {"h1": UNKNOWN, "h9": HELLO})
    assert unheard.health["h1"] is Health.DOUBTFUL
    assert "no other machine can reach" in unheard.records["h1"].failure
    assert "reaches its SSH port" not in unheard.records["h1"].failure


def test_a_control_that_went_silent_in_the_same_pass_is_no_control() -> None:
    """Neither is given up on the word of one that may reach nobody, even when both are silent for long."""
    met = {"h1": NOTHING, "h9": NOTHING}
    judgement = controlled(60.0, met, control=Failure.TIMEOUT)
    assert (judgement.health["h1"], judgement.health["h9"]) == (Health.DOUBTFUL, Health.DOUBTFUL)
    broken = replace(failing(9, 100.0), looks=3, silent_seconds=90.0)
    known = [record(number) for number in range(2, 10)]
    others = [replace(answer(2, 100.0), opinions=met), *(answer(number, 100.0) for number in range(3, 9))]
    judgement = after([record(1, missed=9), *known], failing(1, 100.0), broken, *others)
    assert (judgement.health["h1"], judgement.health["h9"]) == (Health.DOUBTFUL, Health.DOUBTFUL)
    assert judgement.alarm == ""


def test_whoever_a_machine_that_reaches_nobody_does_reach_is_there() -> None:
    assert "h2 reaches its SSH port" in controlled(900.0, {"h1": HELLO, "h9": NOTHING}).records["h1"].failure
    assert controlled(900.0, {"h1": HELLO, "h9": NOTHING}).health["h1"] is Health.DOUBTFUL


def test_of_two_machines_the_other_has_no_control_even_when_the_connection_broke_since() -> None:
    broken = replace(failing(1, 100.0), looks=2, silent_seconds=2.5)
    tried = replace(answer(2, 100.0), opinions={"h1": NOTHING})
    judgement = after([record(1), record(2)], broken, tried, patience=LOOP_PATIENCE)
    assert judgement.health == {"h1": Health.LOST, "h2": Health.UP}


def test_a_cluster_of_one_never_loses_its_machine() -> None:
    judgement = after([record(missed=99)], failing(1, 1e6))
    assert (judgement.health, judgement.alarm) == ({"h1": Health.DOUBTFUL}, "")


def test_a_cluster_of_two_loses_one_only_while_the_other_answers() -> None:
    records = [record(1, missed=99), record(2)]
    tried = replace(answer(2, 1e6), opinions={"h1": NOTHING})
    assert after(records, failing(1, 1e6), tried).health == {"h1": Health.LOST, "h2": Health.UP}
    for failure in (Failure.LOGIN, Failure.TIMEOUT):
        judgement = after(records, failing(1, 1e6), failing(2, 1e6, failure))
        assert set(judgement.health.values()) == {Health.DOUBTFUL}


def test_what_a_machine_says_of_itself_is_no_opinion() -> None:
    itself = replace(answer(1, 1000.0), opinions={"h1": HELLO, "h2": NOTHING})
    judgement = after([record(1), record(2, missed=9)], itself, failing(2, 1000.0))
    assert judgement.health == {"h1": Health.UP, "h2": Health.LOST}


def test_nobody_is_given_up_by_a_controller_that_finds_another_one() -> None:
    others = [replace(answer(2, 1000.0), opinions={"h1": NOTHING}), *(answer(n, 1000.0) for n in (3, 4))]
    fenced = failing(5, 1000.0, Failure.FENCED)
    judgement = after([record(1, missed=9), record(5)], failing(1, 1000.0), *others, fenced)
    assert (judgement.health["h1"], judgement.health["h5"]) == (Health.DOUBTFUL, Health.DOUBTFUL)


# ---------------------------------------------------------------- reboots, leases


@pytest.mark.parametrize(
    ("old", "new", "is_reboot"),
    [
        (("m1", "b1"), ("m1", "b2"), True),
        (("m1", "b1"), ("m1", "b1"), False),  # cut off, frozen, slow
        (("m1", "b1"), ("m2", "b2"), False),  # another machine by that name
        (("m1", ""), ("m1", "b2"), False),
    ],
)
def test_a_boot_id_tells_a_reboot(old: tuple[str, str], new: tuple[str, str], is_reboot: bool) -> None:
    assert reboot_of(MachineRecord("h1", *old), MachineRecord("h1", *new)) is is_reboot


def test_when_leases_were_renewed_is_kept_while_there_are_any() -> None:
    item = find("a.service")
    leased = reach(up(1), replace(item, entry=replace(item.entry, lease=30)))
    known = replace(record(), armed_at=5.0)
    kept = after([known], leased, at=50.0).records["h1"]
    assert (kept.armed_at, kept.seen[0].lease) == (5.0, 30)
    assert (
        after([known], replace(reach(up(1)), leases=frozenset({30})), at=50.0).records["h1"].armed_at == 5.0
    )
    assert after([known], reach(up(1), item), at=50.0).records["h1"].armed_at is None
    assert after([kept], failing(1, 99.0)).records["h1"].armed_at == 5.0


def test_leases_that_somebody_else_may_have_renewed_count_from_now() -> None:
    """As after the state was made anew from the machines."""
    leased = replace(reach(up(1)), leases=frozenset({30}))
    assert after([record()], leased, at=50.0).records["h1"].armed_at == 50.0
    assert after([], leased, at=50.0).records["h1"].armed_at == 50.0


# ---------------------------------------------------------------- many at once (rule 2)


def crowd(up_count: int, silent: int, *, missed: int = 9, believe: bool = False) -> Judgement:
    """Some machines that answer, each of which met nothing at the ports of those that are silent."""
    records = [record(number) for number in range(up_count)]
    records += [record(number, missed=missed) for number in range(up_count, up_count + silent)]
    met = {f"h{number}": NOTHING for number in range(up_count, up_count + silent)}
    sightings: dict[str, Sighting] = {
        f"h{number}": replace(answer(number, 1000.0), opinions=met) for number in range(up_count)
    }
    sightings |= {f"h{number}": failing(number, 1000.0) for number in range(up_count, up_count + silent)}
    return judge({one.host: one for one in records}, sightings, PATIENCE, 1000.0, believe=believe)


@pytest.mark.parametrize(
    ("up_count", "silent", "is_alarm"),
    [
        (0, 1, False),  # one machine is never "many"
        (1, 1, False),
        (0, 2, True),
        (1, 2, True),
        (3, 2, True),
        (4, 2, False),  # a third, not more
        (3, 3, True),
        (6, 3, False),
        (5, 3, True),
        (0, 50, True),
    ],
)
def test_many_at_once_are_not_lost_and_it_is_said_loudly(up_count: int, silent: int, is_alarm: bool) -> None:
    judgement = crowd(up_count, silent)
    judged = list(judgement.health.values())
    assert judged.count(Health.LOST) == (0 if is_alarm or not up_count else silent)
    assert judged.count(Health.UP) == up_count
    assert bool(judgement.alarm) is is_alarm
    if judgement.alarm:
        assert f"{silent} of {up_count + silent} machines went silent together" in judgement.alarm
        assert "--believe-silence" in judgement.alarm


@pytest.mark.parametrize(("up_count", "silent"), [(1, 2), (3, 3), (2, 40)])
def test_a_catastrophe_is_believed_on_demand(up_count: int, silent: int) -> None:
    judgement = crowd(up_count, silent, believe=True)
    assert list(judgement.health.values()).count(Health.LOST) == silent
    assert judgement.alarm == ""


def test_to_believe_silence_overrides_no_other_rule() -> None:
    assert set(crowd(0, 5, believe=True).health.values()) == {Health.DOUBTFUL}  # nobody else answers
    assert Health.LOST not in crowd(1, 5, missed=0, believe=True).health.values()
    records = {"h1": record(1, missed=9), "h2": record(2, missed=9)}
    seen: dict[str, Sighting] = {
        "h1": failing(1, 1000.0),
        "h2": failing(2, 1000.0),
        "w": witnessing(h1=HELLO, h2=NOTHING),
    }
    judgement = judge(records, seen, PATIENCE, 1000.0, believe=True)
    assert (judgement.health["h1"], judgement.health["h2"]) == (Health.DOUBTFUL, Health.LOST)


@pytest.mark.parametrize("failure", Failure)
def test_who_left_the_inventory_is_given_up_on_demand_whatever_the_reason(failure: Failure) -> None:
    """Somebody else has its address now, and its host key will never be the old one."""
    records = {"h1": record(1), "h2": record(2)}
    seen = {"h1": failing(1, 10.0, failure), "h2": failing(2, 10.0, failure)}
    leaving = frozenset({"h1", "never-seen"})
    waiting = judge(records, seen, PATIENCE, 10.0, leaving=leaving)
    assert set(waiting.health.values()) == {Health.DOUBTFUL}
    believed = judge(records, seen, PATIENCE, 10.0, leaving=leaving, believe=True)
    assert believed.health == {"h1": Health.LOST, "h2": Health.DOUBTFUL}
    there = judge(records, {"h1": answer(1, 10.0)}, PATIENCE, 10.0, leaving=leaving, believe=True)
    assert there.health == {"h1": Health.UP}


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
    tried = replace(answer(4, 1000.0), opinions={"h1": NOTHING})
    judgement = after(records, *sightings, tried, answer(5, 1000.0))
    assert judgement.alarm == ""
    assert [host for host, health in judgement.health.items() if health is Health.LOST] == ["h1", "h2"]


def test_machines_that_die_one_after_another_are_all_lost() -> None:
    records = {f"h{number}": record(number) for number in range(3)}
    for round_number in range(1, 9):
        dead, at = min(round_number // 3, 2), 100.0 * round_number
        sightings: dict[str, Sighting] = {
            f"h{number}": failing(number, at) if number < dead else answer(number, at) for number in range(2)
        }
        met = {f"h{number}": NOTHING if number < dead else HELLO for number in range(2)}
        sightings["h2"] = replace(answer(2, at), opinions=met)
        judgement = judge(records, sightings, PATIENCE, at)
        assert judgement.alarm == ""
        records = dict(judgement.records)
    assert [records[f"h{number}"].lost for number in range(3)] == [True, True, False]


@pytest.mark.parametrize("met", [NOTHING, UNKNOWN])
def test_who_is_back_last_after_all_were_silent_gets_patience_of_its_own(met: Opinion) -> None:
    """The controller's network was away for ten minutes. That time is nobody's silence."""
    records = [record(number, missed=300, last_good=0.0) for number in range(1, 5)]
    witness = replace(answer(2, 600.0), opinions={"h1": met, "h3": HELLO})
    back = [witness, answer(3, 600.0), answer(4, 600.0)]
    judgement = after(records, failing(1, 600.0), *back)
    assert judgement.health["h1"] is Health.DOUBTFUL
    assert (judgement.records["h1"].missed, judgement.records["h1"].silent_since) == (1, 600.0)


def test_what_cannot_be_reached_from_here_counts_when_many_fall_silent() -> None:
    """Six cannot be dialled for lack of file descriptors: the silence of three may be of that kind."""
    records = [record(number, missed=5) for number in (1, 2, 3)] + [record(n) for n in range(4, 11)]
    local = [failing(number, 100.0, Failure.LOCAL) for number in range(4, 10)]
    witness = replace(answer(10, 100.0), opinions={f"h{n}": NOTHING for n in (1, 2, 3)})
    judgement = after(records, *(failing(n, 100.0) for n in (1, 2, 3)), *local, witness)
    assert "3 of 10 machines went silent together (h1, h2, h3), and 6 cannot be reached" in judgement.alarm
    assert Health.LOST not in judgement.health.values()
