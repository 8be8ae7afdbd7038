from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetssh.core.gathering import REASON, Finding, Gathering, gather
from fleetssh.core.health import Patience, judge
from fleetssh.core.model import Claim, Health, Machine, MachineRecord, Placement, Seen, State, TargetState
from fleetssh.core.ownership import fence_of, is_unread, keep_unread, owner, unread
from fleetssh.core.placement import place
from fleetssh.core.planning import make_plan
from fleetssh.core.sighting import Failure, Reached, Sighting, Unreached
from tests.core.holding import CLUSTER, Copy, blocked, copy, machine, seen, text
from tests.core.world import INACTIVE, LAUNCHED, LOADED

A, B = "a.service", "b.service"
EVERYWHERE = text("first", "Global=true")


def shape(found: Gathering) -> dict[str, tuple[TargetState, int, str]]:
    """Unit -> target state, generation and machine (empty for a global one)."""
    return {
        name: (
            wanted.target,
            wanted.generation,
            found.placements[name].machine if name in found.placements else "",
        )
        for name, wanted in found.wanted.items()
    }


# ---------------------------------------------------------------- what goes together


def test_every_unit_is_found_with_its_text_target_generation_and_place() -> None:
    found = gather(
        seen(
            machine(1, copy(A, generation=3), copy("every.service", EVERYWHERE)),
            machine(2, copy(B, text("second"), LOADED), copy("every.service", EVERYWHERE)),
        ),
        CLUSTER,
    )
    assert shape(found) == {
        A: (LAUNCHED, 3, "m1"),
        B: (LOADED, 0, "m2"),
        "every.service": (LAUNCHED, 0, ""),
    }
    assert found.wanted[B].unit.text == text("second")
    assert found.wanted["every.service"].unit.requirements.is_global
    assert found.placements[A] == Placement(A, "m1", REASON)
    assert (found.findings, found.lost) == ((), {})


def test_machines_of_other_clusters_and_names_that_a_machine_had_taken_say_nothing() -> None:
    found = gather(
        seen(blocked(machine(1, copy(A)), B), machine(2, copy(B), cluster="c2"), machine(3)), CLUSTER
    )
    assert shape(found) == {A: (LAUNCHED, 0, "m1")}
    assert found.findings == ()


def test_the_greatest_fence_is_that_of_any_manifest_or_holder_of_the_cluster() -> None:
    machines = seen(
        machine(1, copy(A), fence=5, holder=Claim(CLUSTER, 7, "a@b")),
        machine(2, copy(B), fence=9),
        machine(3, holder=Claim("c2", 99, "x@y")),
    )
    assert gather(machines, CLUSTER).fence == 9
    assert fence_of(machines["h1"][0], CLUSTER) == 7
    assert fence_of(machines["h3"][0], CLUSTER) == 0
    assert [owner(looked) for looked, _ in machines.values()] == [CLUSTER, CLUSTER, ""]


def test_a_machine_on_which_only_names_are_blocked_has_no_owner() -> None:
    assert owner(blocked(machine(1), A)[0]) == ""


# ---------------------------------------------------------------- what does not


@pytest.mark.parametrize(
    ("one", "other", "keeper"),
    [
        (copy(A, active="inactive"), copy(A), "m2"),
        (copy(A, generation=1), copy(A, generation=2), "m2"),
        (copy(A, active="inactive", generation=9), copy(A), "m2"),
        (copy(A), copy(A), "m1"),
        (copy(A, active="failed"), copy(A, active="inactive"), "m1"),
    ],
)
def test_of_two_copies_the_running_one_keeps_its_place_then_the_newest_then_the_first(
    one: Copy, other: Copy, keeper: str
) -> None:
    found = gather(seen(machine(1, one), machine(2, other)), CLUSTER)
    assert found.placements[A].machine == keeper
    [finding] = found.findings
    assert (finding.unit, finding.host) == (A, "h2" if keeper == "m1" else "h1")


def test_of_two_running_copies_that_of_the_newer_controller_stays_and_the_other_end_is_said() -> None:
    found = gather(seen(machine(1, copy(A), fence=1), machine(2, copy(A), fence=2)), CLUSTER)
    assert found.placements[A].machine == "m2"
    assert found.findings == (
        Finding(A, "h1", "runs there too", "h2 keeps it, and the next pass stops it there"),
    )


def test_the_generation_of_a_copy_that_goes_away_restarts_nothing() -> None:
    found = gather(
        seen(machine(1, copy(A, generation=1)), machine(2, copy(A, active="inactive", generation=5))), CLUSTER
    )
    assert shape(found) == {A: (LAUNCHED, 1, "m1")}


def test_two_texts_of_one_name_are_told_and_the_kept_copys_text_stays() -> None:
    found = gather(seen(machine(1, copy(A)), machine(2, copy(A, text("second"), generation=1))), CLUSTER)
    assert found.wanted[A].unit.text == text("second")
    assert found.placements[A].machine == "m2"
    assert [(f.host, f.what) for f in found.findings] == [("h1", "runs there too")]


def test_a_global_unit_with_two_texts_gets_the_newest_and_says_where_it_restarts() -> None:
    newer = text("second", "Global=true")
    found = gather(seen(machine(1, copy(A, EVERYWHERE)), machine(2, copy(A, newer, generation=1))), CLUSTER)
    assert found.wanted[A].unit.text == newer
    assert found.findings == (
        Finding(A, "h1", "has another text than on h2", "the next pass replaces it and restarts it"),
        Finding(
            A, "h1", "a restart that was asked for has not reached it", "the next pass restarts it there"
        ),
    )


def test_a_global_unit_of_two_target_states_gets_the_greater_one() -> None:
    found = gather(seen(machine(1, copy(A, EVERYWHERE, LOADED)), machine(2, copy(A, EVERYWHERE))), CLUSTER)
    assert found.wanted[A].target is LAUNCHED
    assert found.findings == (
        Finding(A, "h1", "is only loaded there", "it is launched elsewhere, and starts there"),
    )


def test_a_file_that_is_gone_everywhere_is_a_loss_and_what_follows_is_said() -> None:
    found = gather(
        seen(machine(1, copy(A, there=None)), machine(2, copy(B, there=b"nonsense", active="inactive"))),
        CLUSTER,
    )
    assert found.wanted == {}
    assert found.lost == {A: ("h1",), B: ("h2",)}
    assert found.findings[0] == Finding(
        A, "h1", "its file is gone", "it is not taken in, and the next pass stops it and takes it off"
    )
    assert found.findings[1].what.startswith("its file cannot be read (")
    assert found.findings[1].then == "it is not taken in, and the next pass takes it off"


def test_a_file_that_is_gone_here_is_taken_from_where_it_is() -> None:
    found = gather(
        seen(machine(1, copy(A, EVERYWHERE, there=None)), machine(2, copy(A, EVERYWHERE))), CLUSTER
    )
    assert found.wanted[A].unit.text == EVERYWHERE
    assert found.findings == (Finding(A, "h1", "its file is gone", "the next pass writes it anew, from h2"),)


def test_a_running_copy_without_its_file_keeps_its_place_when_another_has_the_same_text() -> None:
    found = gather(seen(machine(1, copy(A, active="inactive")), machine(2, copy(A, there=None))), CLUSTER)
    assert found.placements[A].machine == "m2"
    assert found.wanted[A].unit.text == text()


def test_a_file_changed_by_hand_is_taken_in_as_it_is_where_no_other_is_left() -> None:
    found = gather(seen(machine(1, copy(A, there=text("by hand")))), CLUSTER)
    assert found.wanted[A].unit.text == text("by hand")
    assert found.findings == (
        Finding(A, "h1", "its file is not the one that was written there", "it is taken in as it is now"),
    )


def test_a_file_as_we_wrote_it_goes_before_one_that_was_changed_by_hand() -> None:
    changed = copy(A, EVERYWHERE, there=text("by hand", "Global=true"))
    found = gather(seen(machine(1, changed), machine(2, copy(A, EVERYWHERE, active="failed"))), CLUSTER)
    assert found.wanted[A].unit.text == EVERYWHERE
    assert [(f.host, f.what) for f in found.findings] == [("h1", "has another text than on h2")]


# ---------------------------------------------------------------- machines that were not read yet


def test_a_machine_that_was_not_read_and_holds_units_is_as_if_it_had_not_been_looked_at() -> None:
    (looked, _), (empty, _), (known, _) = machine(1, copy(A)), machine(2), machine(3, copy(B))
    silent = Unreached("h4", Failure.TIMEOUT)
    stored = {record.host: record for record in unread({"h1": "m1", "h2": "", "h4": ""})}
    b_was_there = Seen(B, TargetState.LAUNCHED, "loaded", "active", "running")
    stored["h3"] = MachineRecord("h3", "m3", "b3", seen=(b_was_there,))
    sightings: dict[str, Sighting] = {"h1": looked, "h2": empty, "h3": known, "h4": silent}
    kept = keep_unread(stored, sightings, {})
    hidden = kept.pop("h1")
    assert isinstance(hidden, Unreached)
    assert hidden.failure is Failure.UNREAD
    assert not hidden.failure.is_silence
    assert "fleetssh adopt" in hidden.why
    assert kept == {"h2": empty, "h3": known, "h4": silent}


def test_a_unit_that_was_never_sent_to_its_machine_was_put_there_by_somebody_else() -> None:
    """Who goes on from an old copy of the state must not take for destroyed what was started since."""
    (looked, _) = machine(1, copy(A))
    known = {"h1": MachineRecord("h1", "m1", "b1")}
    for stored in ({}, known):
        hidden = keep_unread(stored, {"h1": looked}, {})["h1"]
        assert isinstance(hidden, Unreached) and hidden.failure is Failure.UNREAD
        wanted = gather(seen(machine(1, copy(A))), CLUSTER).wanted
        assert keep_unread(stored, {"h1": looked}, wanted) == {"h1": looked}


def test_a_machine_is_known_by_its_id_whatever_its_host_is_called_by_now() -> None:
    """A unit that was destroyed while its machine got another name, or names were swapped, is not strange."""
    looked, _ = machine(1, copy(A))
    a_was_there = (Seen(A, TargetState.LAUNCHED, "loaded", "active", "running"),)
    before, other = MachineRecord("before", "m1", "b1", seen=a_was_there), MachineRecord("h1", "m2", "b2")
    for stored in ({"before": before}, {"before": before, "h1": other}):
        assert keep_unread(stored, {"h1": looked}, {}) == {"h1": looked}
    there = replace(other, seen=a_was_there)
    hidden = keep_unread({"h1": there}, {"h1": looked}, {})["h1"]
    assert isinstance(hidden, Unreached)  # another machine had it


def test_a_machine_that_was_not_read_under_another_name_is_not_read_under_this_one() -> None:
    looked, _ = machine(1, copy(A))
    wanted = gather(seen(machine(1, copy(A))), CLUSTER).wanted
    a_is_there = (Seen(A, TargetState.LAUNCHED, "loaded", "active", "running"),)
    before, here = (MachineRecord(host, "m1", seen=a_is_there) for host in ("before", "h1"))
    read = MachineRecord("older", "m1", "b1", seen=a_is_there)
    for stored in ({"before": before}, {"h1": here}, {"older": read, "h1": here}):
        assert isinstance(keep_unread(stored, {"h1": looked}, wanted)["h1"], Unreached)
    # Read once, and overheard since with what somebody else put there.
    stored = {"older": replace(read, seen=()), "before": before}
    assert isinstance(keep_unread(stored, {"h1": looked}, {})["h1"], Unreached)
    assert keep_unread(stored, {"h1": looked}, wanted) == {"h1": looked}


def test_what_is_placed_on_an_unread_machine_stays_there() -> None:
    """A controller that is killed while it rebuilds leaves places on machines that no pass may touch yet."""
    stored = {record.host: record for record in unread({"h1": "m1"})}
    assert is_unread(stored["h1"])
    looked, _ = machine(1, copy(A))
    judgement = judge(stored, keep_unread(stored, {"h1": looked}, {}), Patience(), 0.0)
    assert judgement.health == {"h1": Health.DOUBTFUL}
    assert is_unread(judgement.records["h1"])
    silent = judge(judgement.records, {"h1": Unreached("h1", Failure.TIMEOUT)}, Patience(), 1.0)
    assert is_unread(silent.records["h1"])
    again = keep_unread(silent.records, {"h1": looked}, {})["h1"]
    assert isinstance(again, Unreached)
    empty, _ = machine(1)
    seen_empty = judge(silent.records, keep_unread(silent.records, {"h1": empty}, {}), Patience(), 2.0)
    assert not is_unread(seen_empty.records["h1"])


# ---------------------------------------------------------------- properties


unhurried = settings(deadline=None)
names = st.sampled_from([f"u{number}.service" for number in range(5)])
copies = st.builds(
    copy,
    names,
    st.sampled_from([text("first"), text("second"), EVERYWHERE]),
    st.sampled_from([LAUNCHED, LOADED]),
    there=st.sampled_from([b"as noted", b"as noted", b"as noted", None, text("by hand"), b"nonsense"]),
    generation=st.integers(0, 3),
    active=st.sampled_from(["active", "inactive", "failed"]),
)
clusters = st.lists(st.lists(copies, max_size=5, unique_by=lambda item: item.name), min_size=1, max_size=4)


@unhurried
@given(clusters, st.randoms(use_true_random=False))
def test_the_order_of_machines_never_matters(held: list[list[Copy]], chance: random.Random) -> None:
    machines = [machine(number, *items, fence=len(items)) for number, items in enumerate(held)]
    once = gather(seen(*machines), CLUSTER)
    chance.shuffle(machines)
    assert gather(seen(*machines), CLUSTER) == once


@unhurried
@given(clusters)
def test_every_unit_that_any_machine_lists_is_wanted_or_told_to_be_lost(held: list[list[Copy]]) -> None:
    machines = seen(*(machine(number, *items) for number, items in enumerate(held)))
    found = gather(machines, CLUSTER)
    listed = {item.name for items in held for item in items}
    assert found.wanted.keys() | found.lost.keys() == listed
    assert found.wanted.keys().isdisjoint(found.lost)
    assert found.lost.keys() <= {finding.unit for finding in found.findings}
    for name, wanted in found.wanted.items():
        assert wanted.target is not INACTIVE
        assert (name in found.placements) is not wanted.unit.requirements.is_global


@unhurried
@given(clusters)
def test_what_the_next_pass_stops_or_changes_was_told(held: list[list[Copy]]) -> None:
    """Whatever is not in a finding goes on as it is."""
    machines = seen(*(machine(number, *items) for number, items in enumerate(held)))
    found = gather(machines, CLUSTER)
    state = State(CLUSTER, 1, found.wanted, found.placements)
    known = [Machine(held.machine_id, held.host) for _, held in machines.values()]
    layout = place(state.wanted, known, state.placements)
    sightings = {host: looked for host, (looked, _) in machines.items()}
    plan = make_plan(state, layout, known, sightings)
    steps = {
        (visit.host, step.unit)
        for wave in plan.waves
        for visit in wave
        for step in visit.steps
        if step.unit and step.action.value != "note"
    }
    told = {(finding.host, finding.unit) for finding in found.findings}
    new = {
        (host, name)
        for name, wanted in found.wanted.items()
        if wanted.unit.requirements.is_global
        for host, (looked, _) in machines.items()
        if name not in {item.entry.name for item in looked.found}
    }
    assert steps <= told | new
    assert not [move for move in layout.moves if move.before is not None]


@unhurried
@given(st.lists(names, unique=True), st.integers(1, 3))
def test_a_cluster_that_is_as_it_should_be_gives_its_state_back_and_nothing_to_do(
    units: list[str], count: int
) -> None:
    held: list[list[Copy]] = [[copy("every.service", EVERYWHERE)] for _ in range(count)]
    for place_, name in enumerate(sorted(units)):
        held[place_ % count].append(copy(name, generation=place_))
    machines = seen(*(machine(number, *items) for number, items in enumerate(held)))
    found = gather(machines, CLUSTER)
    assert found.findings == ()
    state = State(CLUSTER, 1, found.wanted, found.placements)
    known = [Machine(held.machine_id, held.host) for _, held in machines.values()]
    layout = place(state.wanted, known, state.placements)
    sightings: dict[str, Reached] = {host: looked for host, (looked, _) in machines.items()}
    assert make_plan(state, layout, known, sightings).is_empty
