"""Records follow machines, whatever the inventory calls them now."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from fleetssh.core.health import Patience
from fleetssh.core.identity import MOST_GHOSTS, follow, ghosts, homes, is_ghost, many_left
from fleetssh.core.model import MachineRecord, Seen, TargetState
from fleetssh.core.ownership import keep_unread
from fleetssh.core.sighting import Facts, Failure, Manifest, ManifestEntry, Reached, Sighting, Unreached

U = Seen("u.service", TargetState.LAUNCHED, "loaded", "active", "running", 30)
ENTRY = ManifestEntry("u.service", "d", TargetState.LAUNCHED, 0)


def known(host: str, machine: str, *seen: Seen, good: float = 1.0) -> MachineRecord:
    return MachineRecord(host, machine, "b", last_good=good, seen=seen, armed_at=5.0, way={"address": host})


def answers(host: str, machine: str) -> Reached:
    return Reached(host, host, Facts(machine, "b"))


def silent(host: str) -> Unreached:
    return Unreached(host, Failure.TIMEOUT)


def after(*records: MachineRecord, looks: list[Sighting], inventory: set[str]) -> dict[str, MachineRecord]:
    return follow(
        {one.host: one for one in records}, {look.host: look for look in looks}, frozenset(inventory)
    )


def test_nothing_changes_while_names_lead_where_they_did() -> None:
    a, b = known("m1", "A", U), known("m2", "B")
    assert after(a, b, looks=[answers("m1", "A"), silent("m2")], inventory={"m1", "m2"}) == {"m1": a, "m2": b}


def test_a_renamed_machine_keeps_what_is_known_of_it() -> None:
    old = known("z1", "A", U)
    looks = [answers("a1", "A"), answers("z1", "A")]
    (name, record), *others = after(old, looks=looks, inventory={"a1"}).items()
    assert (name, record.host, record.seen, record.armed_at, others) == ("a1", "a1", (U,), 5.0, [])
    assert homes({look.host: look for look in looks}, {"a1"}) == {"A": "a1"}


def test_names_that_were_exchanged_exchange_what_is_known() -> None:
    a, b = known("m1", "A", U), known("m2", "B")
    looks = [answers("m1", "B"), answers("m2", "A")]
    found = after(a, b, looks=looks, inventory={"m1", "m2"})
    assert {name: record.machine_id for name, record in found.items()} == {"m1": "B", "m2": "A"}


def test_of_names_that_were_exchanged_the_silent_one_is_the_machine_that_is_missing() -> None:
    a, b = known("m1", "A", U), known("m2", "B")
    found = after(a, b, looks=[answers("m1", "B"), silent("m2")], inventory={"m1", "m2"})
    assert {name: record.machine_id for name, record in found.items()} == {"m1": "B", "m2": "A"}
    assert found["m2"].seen == (U,)
    assert not found["m2"].lost


def test_a_replaced_machine_is_lost_and_its_leases_are_not_forgotten() -> None:
    found = after(known("m1", "A" * 32, U), looks=[answers("m1", "C")], inventory={"m1"})
    (ghost,) = found.values()
    assert (ghost.host, ghost.lost, ghost.seen, ghost.armed_at, ghost.way) == (
        "m1~AAAAAAAA",
        True,
        (U,),
        5.0,
        {},
    )
    assert is_ghost(ghost)


def test_a_replaced_machine_that_ran_nothing_is_forgotten() -> None:
    assert after(known("m1", "A"), looks=[answers("m1", "C")], inventory={"m1"}) == {}


def test_a_replaced_machine_that_answers_again_is_itself() -> None:
    ghost = MachineRecord("m1~AAAAAAAA", "A", "b", lost=True, seen=(U,))
    found = after(
        known("m1", "C"), ghost, looks=[answers("m1", "C"), answers("m9", "A")], inventory={"m1", "m9"}
    )
    assert set(found) == {"m1", "m9"}
    assert found["m9"].seen == (U,)


HOSTS = ["m1", "m2", "m3", "m4"]
IDS = ["A", "B", "C", "D"]


@given(st.permutations(IDS), st.permutations(IDS), st.sets(st.sampled_from(HOSTS)))
def test_no_machine_is_known_twice_and_none_that_runs_something_is_forgotten(
    before: list[str], now: list[str], away: set[str]
) -> None:
    records = [known(host, machine, U) for host, machine in zip(HOSTS, before, strict=True)]
    looks = [
        silent(host) if host in away else answers(host, machine)
        for host, machine in zip(HOSTS, now, strict=True)
    ]
    found = after(*records, looks=looks, inventory=set(HOSTS))
    assert sorted(record.machine_id for record in found.values()) == IDS
    assert all(record.host == name for name, record in found.items())
    assert not any(is_ghost(record) for record in found.values())  # all were exchanged among themselves
    for look in looks:
        if isinstance(look, Reached):
            assert found[look.host].machine_id == look.facts.machine_id


# ---------------------------------------------------------------- many at once


def test_many_machines_that_leave_at_once_are_a_mistake() -> None:
    records = {f"m{n}": known(f"m{n}", str(n), U) for n in range(6)}
    two, three = {"m0", "m1"}, {"m0", "m1", "m2"}
    assert many_left(records, two, Patience()) == ""
    assert many_left(records, three, Patience()).startswith("3 of 6 machines are no longer in the inventory")
    assert "--believe-silence" in many_left(records, three, Patience())


def test_machines_that_run_nothing_leave_as_they_please() -> None:
    records = {f"m{n}": known(f"m{n}", str(n)) for n in range(6)}
    assert many_left(records, set(records), Patience()) == ""


def test_a_machine_that_left_without_an_answer_is_remembered_for_the_day_on_which_it_comes_back() -> None:
    """Its unit was destroyed meanwhile: what runs there when it answers again is known to be this state's."""
    lost = replace(known("m1", "A" * 32, U), lost=True, failure="fenced once")
    (ghost,) = ghosts({"m1": lost, "m2": known("m2", "B", U)}, {"m2": known("m2", "B", U)}, {"m2"}).values()
    assert (ghost.host, ghost.seen, ghost.lost, ghost.way) == ("m1~AAAAAAAA", (U,), True, {})
    assert "fenced" not in ghost.failure  # else no lease would be renewed for as long as it is remembered
    assert ghosts({ghost.host: ghost}, {}, {"m2"}) == {ghost.host: ghost}
    back = Reached("m1", "m1", Facts("A" * 32, "b"), manifest=Manifest("c", 1, (ENTRY,)))
    assert keep_unread({ghost.host: ghost}, {"m1": back}, {}) == {"m1": back}
    assert keep_unread({}, {"m1": back}, {}) != {"m1": back}


def test_who_answers_again_is_no_ghost_and_what_held_nothing_leaves_none() -> None:
    lost = replace(known("m1", "A", U), lost=True)
    assert ghosts({"m1": lost}, {"m9": known("m9", "A", U)}, {"m9"}) == {}
    assert ghosts({"m1": replace(lost, seen=())}, {}, {"m9"}) == {}


def test_of_many_ghosts_the_latest_stay() -> None:
    many = {f"h{n:03}": replace(known(f"h{n:03}", f"M{n:03}", U), read_at=float(n)) for n in range(150)}
    found = ghosts(many, {}, frozenset())
    assert len(found) == MOST_GHOSTS
    assert min(record.read_at for record in found.values()) == 50.0
