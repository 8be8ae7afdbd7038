"""What judging machines guarantees, whatever was seen."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import event, given, settings
from hypothesis import strategies as st

from fleetssh.core.health import Judgement, Patience, judge
from fleetssh.core.model import Health, MachineRecord
from fleetssh.core.sighting import Facts, Failure, Opinion, Reached, Sighting, Unreached

HOSTS = [f"h{number}" for number in range(7)]
AT = 1000.0
FAILURES = [Failure.TIMEOUT] * 4 + list(Failure)


@dataclass(frozen=True)
class Pass:
    """What was known, and what one pass saw at ``AT``."""

    records: dict[str, MachineRecord]
    sightings: dict[str, Sighting]
    patience: Patience
    believe: bool
    leaving: frozenset[str]

    def judge(self, patience: Patience | None = None) -> Judgement:
        return judge(
            self.records,
            self.sightings,
            patience or self.patience,
            AT,
            believe=self.believe,
            leaving=self.leaving,
        )

    def newly_lost(self, judgement: Judgement) -> set[str]:
        return {host for host, one in judgement.records.items() if one.lost and not self.records[host].lost}

    def opinions(self, host: str) -> set[Opinion]:
        return {
            seen.opinions[host]
            for seen in self.sightings.values()
            if isinstance(seen, Reached) and seen.host != host and host in seen.opinions
        }


@st.composite
def records(draw: st.DrawFn, host: str) -> MachineRecord:
    missed = draw(st.sampled_from([0, 1, 2, 3, 9]))
    failure = f"{draw(st.sampled_from(FAILURES))}: why" if missed or draw(st.booleans()) else ""
    return MachineRecord(
        host,
        f"m{host}",
        "b1",
        silent_since=AT - draw(st.sampled_from([1.0, 59.0, 61.0, 301.0])) if missed else None,
        missed=missed,
        failure=failure,
        lost=draw(st.sampled_from([False] * 5 + [True])),
    )


@st.composite
def sightings(draw: st.DrawFn, host: str) -> Sighting:
    if draw(st.booleans()):
        opinions = st.dictionaries(
            st.sampled_from(HOSTS), st.sampled_from([Opinion.NOTHING] * 6 + list(Opinion))
        )
        return Reached(host, "", Facts(f"m{host}", "b1"), opinions=draw(opinions), seen_at=AT)
    looks = draw(st.integers(1, 2))
    return Unreached(
        host, draw(st.sampled_from(FAILURES)), "why", AT, looks, draw(st.sampled_from([0, 70.0]))
    )


patiences = st.builds(
    Patience,
    looks=st.integers(1, 4),
    seconds=st.sampled_from([0.0, 2.0, 60.0, 100.0]),
    share=st.sampled_from([0.0, 1 / 3, 1.0]),
    at_least=st.integers(1, 4),
    stalled_times=st.integers(1, 6),
)


@st.composite
def passes(draw: st.DrawFn) -> Pass:
    return Pass(
        {host: draw(records(host)) for host in HOSTS if draw(st.integers(0, 6))},
        {host: draw(sightings(host)) for host in HOSTS if draw(st.integers(0, 6))},
        draw(patiences),
        draw(st.sampled_from([False, False, True])),
        frozenset(draw(st.lists(st.sampled_from(HOSTS), max_size=1))),
    )


many = settings(max_examples=400, deadline=None)


@many
@given(passes())
def test_the_order_of_hosts_never_matters(made: Pass) -> None:
    other = replace(
        made,
        records=dict(reversed(made.records.items())),
        sightings=dict(reversed(made.sightings.items())),
    )
    assert repr(made.judge()) == repr(other.judge())


@many
@given(passes(), patiences)
def test_more_patience_never_loses_more_machines(made: Pass, other: Patience) -> None:
    one = made.patience
    patient = Patience(
        looks=max(one.looks, other.looks),
        seconds=max(one.seconds, other.seconds),
        share=min(one.share, other.share),
        at_least=min(one.at_least, other.at_least),
        stalled_times=max(one.stalled_times, other.stalled_times),
    )
    lost = made.newly_lost(made.judge())
    event(f"{len(lost)} lost")
    assert made.newly_lost(made.judge(patient)) <= lost


@many
@given(passes())
def test_a_machine_is_lost_only_by_long_silence_that_others_meet_too(made: Pass) -> None:
    judgement = made.judge()
    for host in made.newly_lost(judgement):
        sighting = made.sightings[host]
        assert isinstance(sighting, Unreached)
        if made.believe and host in made.leaving:
            continue
        after = judgement.records[host]
        assert sighting.failure.is_silence
        assert after.missed >= made.patience.looks
        assert after.silent_since is not None
        assert AT - after.silent_since >= made.patience.seconds
        assert made.opinions(host)  # so another machine answers in this pass
        assert Opinion.HELLO not in made.opinions(host)
        assert sighting.failure is Failure.STALLED or Opinion.CONNECTED not in made.opinions(host)


@many
@given(passes())
def test_health_says_what_was_seen(made: Pass) -> None:
    judgement = made.judge()
    known = made.records.keys() | {h for h, s in made.sightings.items() if isinstance(s, Reached)}
    assert judgement.health.keys() == judgement.records.keys() == made.sightings.keys() & known
    for host, health in judgement.health.items():
        assert (health is Health.UP) is isinstance(made.sightings[host], Reached)
        if health is not Health.UP:
            assert judgement.records[host].failure
            assert judgement.records[host].lost is (health is Health.LOST)
            assert judgement.records[host].lost or not made.records[host].lost


@many
@given(passes())
def test_an_alarm_gives_nobody_up(made: Pass) -> None:
    judgement = made.judge()
    if judgement.alarm:
        assert not made.newly_lost(judgement)
        assert not made.believe
