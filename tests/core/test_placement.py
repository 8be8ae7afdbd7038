"""Fleet's scheduling rules, one by one. Numbers like F-019 name the fleet scenario that a test restates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytest

from fleetssh.core.model import (
    Health,
    Layout,
    Machine,
    Move,
    Placement,
    Requirements,
    TargetState,
    Unit,
    Wanted,
)
from fleetssh.core.placement import explain, place

A, B, C, D = (letter * 8 + "0" * 24 for letter in "abcd")


def want(name: str, target: TargetState = TargetState.LAUNCHED, **requirements: Any) -> Wanted:
    return Wanted(Unit(name, b"", "", "", requirements=Requirements(**requirements)), target)


def wants(*units: Wanted | str) -> dict[str, Wanted]:
    each = [want(unit) if isinstance(unit, str) else unit for unit in units]
    return {one.unit.name: one for one in each}


def machine(machine_id: str, health: Health = Health.UP, **metadata: str) -> Machine:
    return Machine(machine_id, f"host-{machine_id[0]}", metadata=metadata, health=health)


def up(*machine_ids: str) -> list[Machine]:
    return [machine(machine_id) for machine_id in machine_ids]


def doubtful(machine_id: str, **metadata: str) -> Machine:
    return machine(machine_id, Health.DOUBTFUL, **metadata)


def lost(machine_id: str) -> Machine:
    return machine(machine_id, Health.LOST)


def on(**names: Iterable[str]) -> dict[str, Placement]:
    """``on(a=["x.service"])``: x.service is on machine A."""
    ids = {"a": A, "b": B, "c": C, "d": D}
    return {
        name: Placement(name, ids[letter], "as before") for letter, units in names.items() for name in units
    }


def where(layout: Layout) -> dict[str, str]:
    """unit -> the letter of its machine."""
    return {name: placement.machine[0] for name, placement in layout.placements.items()}


def refusals(layout: Layout, name: str) -> dict[str, str]:
    return {refusal.machine[0]: refusal.reason for refusal in layout.unplaced[name]}


def move(layout: Layout, name: str) -> Move:
    (found,) = [one for one in layout.moves if one.unit == name]
    return found


SSD = (("disk", ("ssd",)),)


# ---------------------------------------------------------------- load


def test_f076_of_two_empty_machines_the_one_with_the_smaller_id_is_chosen():
    """F-076; F-077: equal loads are ordered by machine id."""
    assert where(place(wants("x.service"), up(B, A), {})) == {"x.service": "a"}


def test_f076_without_machines_a_unit_is_unplaced_and_no_machine_refuses_it():
    """F-076: no error, but a unit without a place; F-077: no machines are in order, too."""
    layout = place(wants("x.service"), [], {})
    assert (layout.placements, layout.unplaced, layout.moves) == ({}, {"x.service": ()}, ())


def test_four_units_spread_over_three_machines_in_name_order():
    units = wants("4.service", "3.service", "2.service", "1.service")
    assert where(place(units, up(A, B, C), {})) == {
        "1.service": "a",
        "2.service": "b",
        "3.service": "c",
        "4.service": "a",
    }


def test_f077_the_machine_with_fewer_units_is_chosen():
    """F-077"""
    previous = on(a=["1.service", "2.service"], b=["3.service"])
    layout = place(wants("1.service", "2.service", "3.service", "x.service"), up(A, B), previous)
    assert where(layout)["x.service"] == "b"
    assert layout.placements["x.service"].reason == "least loaded (1 unit)"


@pytest.mark.parametrize(
    ("other", "chosen"),
    [
        pytest.param(want("o.service", TargetState.LOADED), "b", id="F-078d-loaded-counts"),
        pytest.param(want("o.service", TargetState.INACTIVE), "a", id="F-078d-inactive-does-not"),
        pytest.param(want("o.service", is_global=True, metadata=SSD), "b", id="F-078f-global-where-it-fits"),
        pytest.param(want("o.service", is_global=True), "a", id="F-078e-global-everywhere"),
        pytest.param(
            want("o.service", TargetState.INACTIVE, is_global=True, metadata=SSD),
            "a",
            id="A21-inactive-global",
        ),
    ],
)
def test_what_counts_as_load(other: Wanted, chosen: str):
    """F-078 (d), (e) and (f); inactive global units do not count, unlike in fleet."""
    machines = [machine(A, disk="ssd"), machine(B)]
    previous = {} if other.unit.requirements.is_global else on(a=["o.service"])
    assert where(place(wants(other, "x.service"), machines, previous))["x.service"] == chosen


def test_f078_nothing_wanted_and_no_machines_give_nothing():
    """F-078 (a), F-075 (a): an empty cluster has nothing to do."""
    assert place({}, [], {}) == Layout({}, {}, {})


def test_f078_a_unit_on_a_machine_that_is_gone_counts_nowhere():
    """F-078 (b)"""
    units = wants(want("gone.service", machine_id=D), "x.service")
    layout = place(units, up(A, B), on(d=["gone.service"]))
    assert where(layout) == {"x.service": "a"}
    assert layout.placements["x.service"].reason == "least loaded (0 units)"


def test_f078_units_are_counted_where_they_are():
    """F-078 (c): a machine without units has its place, too. F-078 (g): several units on several machines."""
    previous = on(a=["1.service", "2.service"], b=["3.service"])
    units = wants("1.service", "2.service", "3.service", *(f"x{n}.service" for n in range(4)))
    layout = place(units, up(A, B, C), previous)
    found = {name: placement for name, placement in layout.placements.items() if name not in previous}
    assert {name: (one.machine[0], one.reason) for name, one in found.items()} == {
        "x0.service": ("c", "least loaded (0 units)"),
        "x1.service": ("b", "least loaded (1 unit)"),
        "x2.service": ("c", "least loaded (1 unit)"),
        "x3.service": ("a", "least loaded (2 units)"),
    }
    assert layout.globals_on == {A: frozenset(), B: frozenset(), C: frozenset()}


def test_there_is_no_rebalancing_when_an_empty_machine_joins():
    units = wants("1.service", "2.service")
    layout = place(units, up(A, B), on(a=["1.service", "2.service"]))
    assert where(layout) == {"1.service": "a", "2.service": "a"}
    assert layout.moves == ()


def test_there_is_no_fail_back_when_a_lost_machine_returns():
    units = wants("1.service")
    moved = place(units, [lost(A), machine(B)], on(a=["1.service"]))
    again = place(units, up(A, B), moved.placements)
    assert where(again) == {"1.service": "b"}
    assert again.moves == ()


# ---------------------------------------------------------------- who keeps its machine, and why not


@pytest.mark.parametrize(
    ("units", "machines", "reason", "after"),
    [
        pytest.param(
            wants(want("x.service", TargetState.INACTIVE)),
            up(A),
            "target state is inactive",
            None,
            id="F-075d",
        ),
        pytest.param({}, up(A), "unit was destroyed", None, id="destroyed"),
        pytest.param(
            wants("x.service"),
            [],
            "machine old (aaaaaaaa...) is no longer in the inventory",
            None,
            id="F-075c",
        ),
        pytest.param(
            wants("x.service"),
            up(B),
            "machine old (aaaaaaaa...) is no longer in the inventory; least loaded (0 units)",
            B,
            id="F-075c-another",
        ),
        pytest.param(
            wants("x.service"),
            [lost(A), machine(B)],
            "machine host-a (aaaaaaaa...) was lost; least loaded (0 units)",
            B,
            id="F-075c-lost",
        ),
        pytest.param(
            wants(want("x.service", metadata=SSD)),
            [machine(A, disk="hdd"), machine(B, disk="ssd")],
            "needs metadata disk=ssd, has disk=hdd; least loaded (0 units)",
            B,
            id="metadata-changed",
        ),
        pytest.param(
            wants(want("x.service", machine_id=B)),
            up(A, B),
            f"needs machine id {B}; asked for by MachineID",
            B,
            id="machine-id-changed",
        ),
        pytest.param(
            wants(want("x.service", machine_of=("p.service",))),
            up(A),
            "p.service is not on aaaaaaaa...",
            None,
            id="peer-destroyed",
        ),
        pytest.param(
            wants(want("x.service", is_global=True)),
            up(A),
            "it is a global unit now",
            None,
            id="became-global",
        ),
    ],
)
def test_a_unit_leaves_its_machine_with_a_reason(
    units: Mapping[str, Wanted], machines: Sequence[Machine], reason: str, after: str | None
):
    """F-075 (c) and (d), with reasons in words of our own."""
    layout = place(units, machines, on(a=["x.service"]), known={A: "old"})
    assert layout.moves == (Move("x.service", A, after, reason),)


def test_a_machine_that_nobody_knows_any_more_is_named_by_its_short_id():
    layout = place(wants("x.service"), up(B), on(a=["x.service"]))
    assert move(layout, "x.service").reason.startswith("machine aaaaaaaa... is no longer in the inventory; ")


def test_f075e_a_unit_without_a_machine_gets_one():
    """F-075 (e)"""
    layout = place(wants("x.service"), up(A), {})
    assert layout.moves == (Move("x.service", None, A, "least loaded (0 units)"),)


def test_f075b_a_unit_on_an_able_machine_keeps_it_and_its_reason():
    """F-075 (b)"""
    layout = place(wants("x.service"), up(A, B), on(b=["x.service"]))
    assert layout.placements == {"x.service": Placement("x.service", B, "as before")}
    assert layout.moves == ()


HERE = (("here", ("yes",)),)
PEERS = ("1.service", "2.service")
STAYS: list[tuple[str, dict[str, Any], bool]] = [
    ("no-requirement", {}, True),
    ("machine-id-equal", {"machine_id": A}, True),
    ("machine-id-different", {"machine_id": B}, False),
    ("metadata-equal", {"metadata": HERE}, True),
    ("metadata-different", {"metadata": (("here", ("no",)),)}, False),
    ("one-peer", {"machine_of": PEERS[:1]}, True),
    ("two-peers", {"machine_of": PEERS}, True),
    ("no-peer", {"machine_of": ("absent.service",)}, False),
    ("one-peer-of-two", {"machine_of": ("1.service", "absent.service")}, False),
    ("conflict-with-nobody", {"conflicts": ("absent.service",)}, True),
    ("conflict", {"conflicts": ("1.service",)}, False),
    ("conflict-with-one-of-two", {"conflicts": ("absent.service", "2.service")}, False),
    ("replaces-nobody", {"replaces": ("absent.service",)}, True),
]


@pytest.mark.parametrize(("requirements", "stays"), [row[1:] for row in STAYS], ids=[row[0] for row in STAYS])
def test_f082_whether_a_unit_may_stay(requirements: dict[str, Any], stays: bool):
    """F-082: "schedule" and "unschedule"."""
    units = wants(want("x.service", **requirements), *PEERS)
    layout = place(units, [machine(A, here="yes")], on(a=units))
    assert where(layout) == dict.fromkeys(units if stays else PEERS, "a")


def test_f082_a_unit_that_replaces_one_beside_it_stays_and_that_one_goes():
    """F-082: "reschedule"."""
    units = wants(want("x.service", replaces=("1.service",)), *PEERS)
    layout = place(units, up(A, B), on(a=units))
    assert where(layout) == {"1.service": "b", "2.service": "a", "x.service": "a"}


EVERYWHERE = want("everywhere.service", is_global=True)
ON_SSD = want("on-ssd.service", is_global=True, metadata=SSD)


@pytest.mark.parametrize(
    ("units", "metadata", "held"),
    [
        pytest.param((), {}, "", id="a-nothing"),
        pytest.param(("here",), {}, "here", id="b-here"),
        pytest.param(("nowhere",), {}, "", id="c-nowhere"),
        pytest.param(("elsewhere",), {}, "", id="d-elsewhere"),
        pytest.param((EVERYWHERE,), {}, "everywhere", id="e-global"),
        pytest.param((ON_SSD,), {"disk": "ssd"}, "on-ssd", id="f-global-that-fits"),
        pytest.param((ON_SSD,), {}, "", id="g-no-metadata"),
        pytest.param((ON_SSD,), {"rack": "ssd"}, "", id="h-another-key"),
        pytest.param(
            ("here", "elsewhere", "nowhere", EVERYWHERE, ON_SSD),
            {"disk": "ssd"},
            "everywhere here on-ssd",
            id="i-all-with",
        ),
        pytest.param(
            ("here", "elsewhere", "nowhere", EVERYWHERE, ON_SSD), {}, "everywhere here", id="i-all-without"
        ),
    ],
)
def test_f081_what_one_machine_should_hold(
    units: tuple[Wanted | str, ...], metadata: dict[str, str], held: str
):
    """F-081 (a) to (i)"""
    pinned = {"nowhere": want("nowhere.service", machine_id=C)}
    all_units = wants(*(pinned.get(u, f"{u}.service") if isinstance(u, str) else u for u in units))
    previous = on(a={"here.service"} & all_units.keys(), b={"elsewhere.service"} & all_units.keys())
    layout = place(all_units, [machine(A, **metadata), machine(B)], previous)
    on_a = {name for name, letter in where(layout).items() if letter == "a"} | layout.globals_on[A]
    assert " ".join(sorted(name.removesuffix(".service") for name in on_a)) == held


def test_a_unit_that_could_not_stay_but_can_be_put_back_does_not_move():
    """x goes because its peer is gone; only then the global unit comes that f waits for."""
    units = wants(
        want("f.service", machine_of=("g.service",)),
        want("g.service", is_global=True, conflicts=("x.service",)),
        want("x.service", machine_of=("gone.service",)),
    )
    layout = place(units, up(A), on(a=["f.service", "x.service"]))
    assert layout.placements == on(a=["f.service"])
    assert [one.unit for one in layout.moves] == ["x.service"]


def test_templates_and_inactive_units_are_never_placed_nor_listed_as_unplaced():
    units = wants("t@.service", want("x.service", TargetState.INACTIVE), "t@1.service")
    layout = place(units, up(A), on(a=["t@.service"]))
    assert where(layout) == {"t@1.service": "a"}
    assert layout.unplaced == {}
    assert move(layout, "t@.service").reason == "it is a template: only its instances are placed"


# ---------------------------------------------------------------- doubt


def test_a_doubtful_machine_keeps_units_whose_requirements_it_no_longer_meets():
    units = wants(
        want("conflict.1.service", conflicts=("conflict.*",)),
        want("conflict.2.service", conflicts=("conflict.*",)),
        want("follower.service", machine_of=("gone.service",)),
        want("metadata.service", metadata=SSD),
        want("pinned.service", machine_id=B),
    )
    layout = place(units, [doubtful(A), machine(B)], on(a=units))
    assert set(where(layout).values()) == {"a"}
    assert layout.moves == ()


def test_a_follower_stays_on_a_doubtful_machine_with_its_peer():
    units = wants("p.service", want("f.service", machine_of=("p.service",)))
    assert place(units, [doubtful(A), machine(B)], on(a=units)).moves == ()


def test_a_doubtful_machine_gives_up_what_is_inactive_or_destroyed():
    units = wants(want("x.service", TargetState.INACTIVE))
    layout = place(units, [doubtful(A)], on(a=["x.service", "gone.service"]))
    assert layout.placements == {}


def test_nothing_new_is_placed_on_a_doubtful_or_lost_machine():
    layout = place(wants("x.service"), [doubtful(A), lost(B)], {})
    assert refusals(layout, "x.service") == {
        "a": "in doubt: not answering",
        "b": "lost: it no longer answers",
    }


def test_units_on_a_doubtful_machine_still_count_for_conflicts_of_global_units():
    units = wants("o.service", want("g.service", is_global=True, conflicts=("o.service",)))
    layout = place(units, [doubtful(A), doubtful(B), lost(C)], on(a=["o.service"]))
    assert layout.globals_on == {A: frozenset(), B: frozenset({"g.service"}), C: frozenset()}


# ---------------------------------------------------------------- MachineID and MachineMetadata


@pytest.mark.parametrize("value", [B, B[:8]], ids=["full", "short"])
def test_machine_id_means_the_full_or_the_short_id(value: str):
    """F-203"""
    layout = place(wants(want("x.service", machine_id=value)), up(A, B), {})
    assert where(layout) == {"x.service": "b"}
    assert layout.placements["x.service"].reason == "asked for by MachineID"


@pytest.mark.parametrize("value", ["", B[:7], "nobody"])
def test_a_machine_id_that_nobody_has_leaves_the_unit_unplaced(value: str):
    """F-203: nor does an empty text match, or part of an id."""
    layout = place(wants(want("x.service", machine_id=value)), up(A), {})
    assert refusals(layout, "x.service") == {"a": f"needs machine id {value}"}


@pytest.mark.parametrize(
    ("metadata", "refusal"),
    [
        pytest.param(SSD, None, id="equal"),
        pytest.param((("disk", ("hdd", "ssd")),), None, id="one-of-the-values"),
        pytest.param((("disk", ("ssd",)), ("region", ("us",))), None, id="all-keys"),
        pytest.param((("disk", ("hdd",)),), "needs metadata disk=hdd, has disk=ssd", id="other-value"),
        pytest.param(
            (("disk", ("hdd", "tape")),), "needs metadata disk=hdd or disk=tape, has disk=ssd", id="no-value"
        ),
        pytest.param(
            (("disk", ("ssd",)), ("region", ("eu",))),
            "needs metadata region=eu, has region=us",
            id="one-of-two",
        ),
        pytest.param((("rack", ("7",)),), "needs metadata rack=7, has no rack", id="missing"),
    ],
)
def test_f199_metadata_keys_are_anded_and_values_ored(metadata: Any, refusal: str | None):
    """F-199"""
    layout = place(wants(want("x.service", metadata=metadata)), [machine(A, disk="ssd", region="us")], {})
    if refusal is None:
        assert where(layout) == {"x.service": "a"}
    else:
        assert refusals(layout, "x.service") == {"a": refusal}


def test_f015_each_instance_goes_to_the_machine_with_its_hostname_and_one_without_is_unplaced():
    machines = [machine(i, hostname=f"host-{i[0]}") for i in (A, B, C)]
    units = wants(*(want(f"m@{h}.service", metadata=(("hostname", (f"host-{h}",)),)) for h in "cbax"))
    layout = place(units, machines, {})
    assert where(layout) == {"m@a.service": "a", "m@b.service": "b", "m@c.service": "c"}
    assert refusals(layout, "m@x.service") == {
        h: f"needs metadata hostname=host-x, has hostname=host-{h}" for h in "abc"
    }


# ---------------------------------------------------------------- MachineOf


def pairs() -> dict[str, Wanted]:
    return wants(
        *(f"ping.{n}.service" for n in "123"),
        *(want(f"a-pong.{n}.service", machine_of=(f"ping.{n}.service",)) for n in "123"),
    )


def test_f018_followers_are_placed_with_their_peers_whatever_their_names():
    found = where(place(pairs(), up(A, B, C), {}))
    assert sorted(found) == sorted(pairs())
    assert {found[f"ping.{n}.service"] for n in "123"} == {"a", "b", "c"}
    assert all(found[f"ping.{n}.service"] == found[f"a-pong.{n}.service"] for n in "123")


def test_f018_when_the_machine_is_lost_the_pair_moves_together():
    before = place(pairs(), up(A, B, C), {})
    after = place(pairs(), [lost(A), machine(B), machine(C)], before.placements)
    assert len(after.moves) == 2
    assert {one.before for one in after.moves} == {A}
    assert len({one.after for one in after.moves}) == 1


def test_a_chain_of_followers_resolves_in_one_call():
    units = wants(
        want("a.service", machine_of=("b.service",)),
        want("b.service", machine_of=("c.service",)),
        want("c.service", machine_id=B),
    )
    layout = place(units, up(A, B), {})
    assert where(layout) == {"a.service": "b", "b.service": "b", "c.service": "b"}
    assert move(layout, "a.service").reason == "follows b.service"


def test_when_a_peer_moves_its_followers_follow_in_the_same_call():
    units = wants(
        want("p.service", machine_id=B),
        want("f.service", machine_of=("p.service",)),
        want("a.service", machine_of=("f.service",)),
    )
    layout = place(units, up(A, B), on(a=units))
    assert set(where(layout).values()) == {"b"}
    assert move(layout, "f.service").reason == "p.service is not on aaaaaaaa...; follows p.service"


@pytest.mark.parametrize(
    ("peer", "reason"),
    [
        pytest.param([], "waits for p.service, which is not on any machine", id="unknown"),
        pytest.param(
            [want("p.service", TargetState.INACTIVE)],
            "waits for p.service, which is not on any machine",
            id="inactive",
        ),
        pytest.param(
            [want("p.service", machine_id="nobody")],
            "waits for p.service, which is not on any machine",
            id="unplaceable",
        ),
        pytest.param([want("p.service", machine_id=B)], "p.service is on bbbbbbbb...", id="elsewhere"),
        pytest.param(
            [want("p.service", is_global=True, metadata=SSD)],
            "global unit p.service does not belong here",
            id="global-elsewhere",
        ),
        pytest.param(
            [want("p.service", machine_of=("f.service",))],
            "circular MachineOf: f.service -> p.service -> f.service",
            id="circular",
        ),
        pytest.param(
            [want("p.service", machine_of=("p.service",))],
            "waits for p.service, which is not on any machine",
            id="below-a-circle",
        ),
    ],
)
def test_f082_a_follower_without_its_peer_is_unplaced_and_says_whom_it_waits_for(
    peer: list[Wanted], reason: str
):
    """F-082"""
    units = wants(want("f.service", machine_of=("p.service",), metadata=(("here", ("yes",)),)), *peer)
    layout = place(units, [machine(A, here="yes"), machine(B)], {})
    assert refusals(layout, "f.service")["a"] == reason


def test_each_follower_names_its_own_peer():
    units = wants(want("1.service", machine_of=("a.service",)), want("2.service", machine_of=("b.service",)))
    layout = place(units, up(A), {})
    assert refusals(layout, "1.service") == {"a": "waits for a.service, which is not on any machine"}
    assert refusals(layout, "2.service") == {"a": "waits for b.service, which is not on any machine"}


def test_a_unit_that_follows_itself_is_a_circle():
    layout = place(wants(want("f.service", machine_of=("f.service",))), up(A), {})
    assert refusals(layout, "f.service") == {"a": "circular MachineOf: f.service -> f.service"}


def test_f082_peers_on_different_machines_leave_the_follower_unplaced():
    """F-082"""
    units = wants("1.service", "2.service", want("f.service", machine_of=("1.service", "2.service")))
    layout = place(units, up(A, B, C), {})
    assert refusals(layout, "f.service") == {
        "a": "2.service is on bbbbbbbb...",
        "b": "1.service is on aaaaaaaa...",
        "c": "1.service is on aaaaaaaa...",
    }


def test_a_follower_of_a_global_unit_goes_where_that_belongs():
    units = wants(
        want("g.service", is_global=True, metadata=SSD), want("f.service", machine_of=("g.service",))
    )
    assert where(place(units, [machine(A), machine(B, disk="ssd")], {})) == {"f.service": "b"}


def test_a_peer_is_not_attracted_by_its_follower():
    units = wants("1.service", "p.service", want("f.service", machine_of=("p.service",), metadata=SSD))
    layout = place(units, [machine(A, disk="ssd"), machine(B)], {})
    assert where(layout) == {"1.service": "a", "p.service": "b"}


# ---------------------------------------------------------------- Conflicts


def test_f019_of_five_mutually_conflicting_units_three_run_on_three_machines():
    units = wants(*(want(f"conflict.{n}.service", conflicts=("conflict.*.service",)) for n in range(5)))
    layout = place(units, up(A, B, C), {})
    assert where(layout) == {"conflict.0.service": "a", "conflict.1.service": "b", "conflict.2.service": "c"}
    assert refusals(layout, "conflict.4.service") == {
        "a": "conflicts with conflict.0.service",
        "b": "conflicts with conflict.1.service",
        "c": "conflicts with conflict.2.service",
    }


def test_f020_one_side_declaring_the_conflict_is_enough_and_when_it_goes_the_other_is_placed():
    units = wants(want("c.service", conflicts=("hello.service",)), "hello.service")
    layout = place(units, up(A), on(a=["c.service"]))
    assert where(layout) == {"c.service": "a"}
    assert refusals(layout, "hello.service") == {"a": "c.service there conflicts with it"}
    later = place(wants("hello.service"), up(A), layout.placements)
    assert where(later) == {"hello.service": "a"}


def test_f021_units_with_several_patterns_each_get_their_own_machine():
    units = wants(
        want("a.service", conflicts=("b.service", "c.service")),
        want("b.service", conflicts=("a.service", "c.service")),
        want("c.service", conflicts=("[ab].service",)),
    )
    assert sorted(where(place(units, up(A, B, C), {})).values()) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("new", "old", "conflict"),
    [
        pytest.param((), (), False, id="none"),
        pytest.param((), ("n*.service",), True, id="existing-names-new"),
        pytest.param(("o?d.service",), (), True, id="new-names-existing"),
        pytest.param(("x*", "old.service"), (), True, id="second-pattern"),
        pytest.param((), ("x*", "n*.service"), True, id="second-pattern-of-existing"),
        pytest.param(("n*.service",), (), False, id="itself-only"),
        pytest.param(("[",), ("[",), False, id="malformed"),
        pytest.param(("old",), (), False, id="not-the-whole-name"),
        pytest.param(("old.service.d", "absent.service"), (), False, id="absent"),
    ],
)
def test_f085_conflicts_in_both_directions(new: tuple[str, ...], old: tuple[str, ...], conflict: bool):
    """F-085"""
    units = wants(want("new.service", conflicts=new), want("old.service", conflicts=old))
    layout = place(units, up(A), on(a=["old.service"]))
    assert ("new.service" in layout.unplaced) == conflict


def test_f003_when_a_machine_goes_only_its_unit_moves_to_the_free_machine():
    units = wants(*(want(f"conflict.{n}.service", conflicts=("conflict.*",)) for n in range(3)))
    before = place(units, up(A, B, C, D), {})
    after = place(units, up(A, C, D), before.placements)
    assert where(after) == {"conflict.0.service": "a", "conflict.1.service": "d", "conflict.2.service": "c"}
    assert [one.unit for one in after.moves] == ["conflict.1.service"]


def test_f004_a_machine_back_under_a_new_id_takes_exactly_the_unit_that_had_none():
    units = wants(*(want(f"conflict.{n}.service", conflicts=("conflict.*",)) for n in range(3)))
    before = place(units, up(A, B, C), {})
    after = place(units, up(A, C, D), before.placements)
    assert [(one.unit, one.before, one.after) for one in after.moves] == [("conflict.1.service", B, D)]


def test_of_two_units_that_came_to_conflict_the_first_by_name_stays():
    units = wants(want("a.service"), want("b.service", conflicts=("a.service",)), "c.service")
    layout = place(units, up(A, B), on(a=units))
    assert where(layout) == {"a.service": "a", "b.service": "b", "c.service": "a"}
    assert move(layout, "b.service").reason == "conflicts with a.service; least loaded (0 units)"


def test_a_unit_that_leaves_for_another_reason_does_not_push_one_away_that_it_conflicts_with():
    units = wants(
        want("a.service", conflicts=("b.service",), machine_of=("gone.service",)), "b.service", "c.service"
    )
    layout = place(units, up(A, B), on(a=units))
    assert [one.unit for one in layout.moves] == ["a.service"]


def test_the_follower_of_a_unit_that_lost_its_place_to_a_conflict_goes_with_it():
    units = wants(
        "a.service", want("b.service", conflicts=("a.service",)), want("0.service", machine_of=("b.service",))
    )
    assert where(place(units, up(A, B), on(a=units))) == {
        "0.service": "b",
        "a.service": "a",
        "b.service": "b",
    }


# ---------------------------------------------------------------- global units


def test_f025_a_global_unit_belongs_on_every_machine_and_has_no_placement():
    units = wants("1.service", "2.service", want("g.service", is_global=True))
    layout = place(units, up(A, B, C), {})
    assert layout.globals_on == {i: frozenset({"g.service"}) for i in (A, B, C)}
    assert where(layout) == {"1.service": "a", "2.service": "b"}
    assert layout.unplaced == {}


def test_f026_of_two_conflicting_global_units_the_first_by_name_belongs_everywhere():
    units = wants(
        want("g2.service", is_global=True, conflicts=("g*",)),
        want("g1.service", is_global=True, conflicts=("g*",)),
    )
    assert place(units, up(A, B), {}).globals_on == {i: frozenset({"g1.service"}) for i in (A, B)}


@pytest.mark.parametrize(
    ("target", "metadata", "belongs"),
    [
        pytest.param(TargetState.LAUNCHED, (), "ab", id="F-081e"),
        pytest.param(TargetState.LOADED, SSD, "a", id="F-081f-g"),
        pytest.param(TargetState.LAUNCHED, (("rack", ("7",)),), "", id="F-081h"),
        pytest.param(TargetState.INACTIVE, (), "", id="A21"),
    ],
)
def test_where_a_global_unit_belongs(target: TargetState, metadata: Any, belongs: str):
    """F-081 (e) to (h)"""
    units = wants(want("g.service", target, is_global=True, metadata=metadata))
    layout = place(units, [machine(A, disk="ssd"), machine(B, disk="hdd")], {})
    assert "".join(i[0] for i, names in layout.globals_on.items() if names) == belongs


@pytest.mark.parametrize("name", ["a.service", "z.service"])
def test_a20_an_assigned_unit_wins_over_a_global_one_whatever_the_names(name: str):
    units = wants(name, want("g.service", is_global=True, conflicts=(name,)))
    layout = place(units, up(A, B), on(a=[name]))
    assert where(layout) == {name: "a"}
    assert layout.globals_on == {A: frozenset(), B: frozenset({"g.service"})}


def test_a_unit_without_a_machine_cannot_push_a_global_unit_away():
    units = wants("x.service", want("g.service", is_global=True, conflicts=("x.service",), metadata=SSD))
    layout = place(units, [machine(A, disk="ssd")], {})
    assert refusals(layout, "x.service") == {"a": "g.service there conflicts with it"}
    assert where(place(units, [machine(A, disk="ssd"), machine(B)], {})) == {"x.service": "b"}


def test_when_an_assigned_unit_leaves_the_global_unit_it_kept_out_comes_and_the_next_one_goes():
    g1 = want("g1.service", is_global=True, conflicts=("x.service", "g2.service"))
    g2 = want("g2.service", is_global=True)
    follower = want("f.service", machine_of=("g2.service",))
    before = place(wants(g1, g2, "x.service", follower), up(A), on(a=["x.service"]))
    assert before.globals_on == {A: frozenset({"g2.service"})}
    assert where(before) == {"x.service": "a", "f.service": "a"}
    after = place(wants(g1, g2, follower), up(A), before.placements)
    assert after.globals_on == {A: frozenset({"g1.service"})}
    assert refusals(after, "f.service") == {"a": "global unit g2.service does not belong here"}


# ---------------------------------------------------------------- Replaces


def test_f022_the_replaced_unit_moves_away_from_where_its_replacer_lands():
    units = wants(
        "replace.0.service",
        "replace.1.service",
        want("replace.2.service", machine_of=("replace.1.service",)),
        want("new.service", replaces=("replace.0.service",)),
    )
    previous = on(a=["replace.0.service"], b=["replace.1.service", "replace.2.service"])
    layout = place(units, up(A, B), previous)
    assert where(layout) == {
        "new.service": "a",
        "replace.0.service": "b",
        "replace.1.service": "b",
        "replace.2.service": "b",
    }
    assert move(layout, "replace.0.service").reason == "replaced by new.service; least loaded (2 units)"
    assert place(units, up(A, B), layout.placements).moves == ()


def test_f023_a18_two_units_that_replace_each_other_ignore_it():
    units = wants(want("a.service", replaces=("b.service",)), want("b.service", replaces=("a.service",)))
    assert place(units, up(A, B), on(a=units)).moves == ()


@pytest.mark.parametrize(
    ("new", "old", "moved"),
    [
        pytest.param(("old.service",), (), "old.service", id="new-names-old"),
        pytest.param((), ("new.service",), "new.service", id="old-names-new"),
        pytest.param(("o*",), (), "old.service", id="glob"),
        pytest.param(("*",), (), "old.service", id="also-itself"),
        pytest.param((), (), None, id="none"),
        pytest.param(("old.service",), ("new.service",), None, id="both"),
        pytest.param(("absent.service",), (), None, id="absent"),
    ],
)
def test_f086_who_replaces_whom(new: tuple[str, ...], old: tuple[str, ...], moved: str | None):
    """F-086"""
    units = wants(want("new.service", replaces=new), want("old.service", replaces=old))
    moves = place(units, up(A, B), on(a=units)).moves
    assert [(one.unit, one.after) for one in moves] == ([(moved, B)] if moved else [])


def test_replaces_does_not_attract_and_units_on_different_machines_stay():
    units = wants(want("new.service", replaces=("old.service",)), "old.service")
    layout = place(units, up(A, B, C), on(b=["old.service"]))
    assert where(layout) == {"new.service": "a", "old.service": "b"}


@pytest.mark.parametrize(
    "obstacle",
    [
        pytest.param({"metadata": SSD}, id="metadata"),
        pytest.param({"machine_id": A}, id="machine-id"),
        pytest.param({"machine_of": ("peer.service",)}, id="peer"),
        pytest.param({"conflicts": ("there.service",)}, id="conflict"),
    ],
)
def test_a17_when_no_other_machine_can_take_the_replaced_unit_they_share_and_do_not_flap(obstacle: Any):
    units = wants(
        want("new.service", machine_id=A, replaces=("old.service",)),
        want("old.service", **obstacle),
        "peer.service",
        "there.service",
    )
    machines = [machine(A, disk="ssd"), machine(B)]
    layout = place(units, machines, on(a=["old.service", "peer.service"], b=["there.service"]))
    assert where(layout)["new.service"] == where(layout)["old.service"] == "a"
    assert place(units, machines, layout.placements).moves == ()


def test_a_replaced_unit_takes_its_followers_along_and_stays_when_they_cannot():
    new = want("new.service", machine_id=A, replaces=("old.service",))
    units = wants(new, "old.service", want("f.service", machine_of=("old.service",)))
    previous = on(a=["old.service", "f.service"])
    assert where(place(units, up(A, B), previous)) == {
        "new.service": "a",
        "old.service": "b",
        "f.service": "b",
    }
    pinned = wants(new, "old.service", want("f.service", machine_of=("old.service",), metadata=SSD))
    assert set(where(place(pinned, [machine(A, disk="ssd"), machine(B)], previous)).values()) == {"a"}


def test_an_unplaced_replaced_unit_avoids_its_replacer_when_there_is_an_alternative():
    units = wants(
        want("new.service", replaces=("old.service",)), "old.service", *(f"x{n}.service" for n in range(3))
    )
    previous = on(a=["new.service"], b=[f"x{n}.service" for n in range(3)])
    layout = place(units, up(A, B), previous)
    assert move(layout, "old.service") == Move("old.service", None, B, "least loaded (3 units)")
    assert where(place(units, up(A), on(a=["new.service"])))["old.service"] == "a"


def test_without_an_alternative_the_least_loaded_machine_with_a_replacer_is_chosen():
    units = wants(
        want("new@1.service", replaces=("old.service",)),
        want("new@2.service", replaces=("old.service",)),
        want("old.service", conflicts=("there.service",)),
        "there.service",
        "x.service",
    )
    previous = on(a=["new@1.service", "x.service"], b=["new@2.service"], c=["there.service"])
    assert where(place(units, up(A, B, C), previous))["old.service"] == "b"
    previous = on(a=["new@1.service"], b=["new@2.service", "x.service"], c=["there.service"])
    assert where(place(units, up(A, B, C), previous))["old.service"] == "a"


def test_a_chain_of_replacements_changes_places_on_two_machines():
    units = wants(
        want("v3.service", machine_id=B, replaces=("v2.service",)),
        want("v2.service", replaces=("v1.service",)),
        "v1.service",
    )
    layout = place(units, up(A, B), on(a=["v1.service"], b=["v2.service"]))
    assert where(layout) == {"v1.service": "b", "v2.service": "a", "v3.service": "b"}
    assert place(units, up(A, B), layout.placements).moves == ()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_circle_of_three_replacements_comes_to_rest(count: int):
    units = wants(
        want("a.service", replaces=("b.service",)),
        want("b.service", replaces=("c.service",)),
        want("c.service", replaces=("a.service",)),
    )
    machines = up(A, B, C)[:count]
    layout = place(units, machines, on(a=units))
    assert len(set(where(layout).values())) == count
    assert place(units, machines, layout.placements).moves == ()


def test_a_unit_kept_out_by_the_replaced_one_is_placed_in_the_same_call():
    units = wants(
        want("new.service", machine_id=A, replaces=("old.service",)),
        want("old.service", conflicts=("x.service",)),
        want("x.service", machine_id=A),
    )
    layout = place(units, up(A, B), on(a=["old.service"]))
    assert where(layout) == {"new.service": "a", "old.service": "b", "x.service": "a"}


def test_nothing_is_replaced_on_a_doubtful_machine():
    units = wants(want("new.service", replaces=("old.service",)), "old.service")
    assert place(units, [doubtful(A), machine(B)], on(a=units)).moves == ()


# ---------------------------------------------------------------- refusals and explanations


def test_an_unplaced_unit_has_one_refusal_for_each_machine_by_id():
    units = wants(want("x.service", metadata=SSD, conflicts=("o.service",)), "o.service")
    machines = [machine(D, disk="ssd"), lost(C), doubtful(B, disk="ssd"), machine(A, disk="hdd")]
    layout = place(units, machines, on(d=["o.service"]))
    assert list(refusals(layout, "x.service").items()) == [
        ("a", "needs metadata disk=ssd, has disk=hdd"),
        ("b", "in doubt: not answering"),
        ("c", "lost: it no longer answers"),
        ("d", "conflicts with o.service"),
    ]


def test_a_name_that_a_machine_has_for_itself_is_refused_to_that_unit_alone():
    units = wants(want("a.service", metadata=SSD), want("b.service", metadata=SSD), want("c.service"))
    taken = Machine(A, "host-a", metadata={"disk": "hdd"}, occupied=frozenset({"a.service", "c.service"}))
    layout = place(units, [taken], on(a=["c.service"]))
    assert refusals(layout, "a.service") == {"a": "has a unit of its own by that name"}
    assert refusals(layout, "b.service") == {"a": "needs metadata disk=ssd, has disk=hdd"}
    assert move(layout, "c.service").reason == "has a unit of its own by that name"


EXPLAINED = wants(
    want("f.service", machine_of=("x.service",)),
    want("g.service", is_global=True, metadata=SSD),
    want("h.service", is_global=True, conflicts=("x.service",)),
    want("i.service", TargetState.INACTIVE),
    want("n.service", machine_id="nobody"),
    "t@.service",
    "x.service",
)


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("x.service", {"a": "it is here: as before", "b": "h.service there conflicts with it"}),
        ("f.service", {"a": "it is here: as before", "b": "x.service is on aaaaaaaa..."}),
        (
            "g.service",
            {
                "a": "needs metadata disk=ssd, has no disk",
                "b": "it is here: a global unit, and this machine fits",
            },
        ),
        (
            "h.service",
            {"a": "conflicts with x.service", "b": "it is here: a global unit, and this machine fits"},
        ),
        ("i.service", dict.fromkeys("abc", "target state is inactive")),
        ("n.service", dict.fromkeys("ab", "needs machine id nobody")),
        ("t@.service", dict.fromkeys("abc", "it is a template: only its instances are placed")),
        ("nobody.service", dict.fromkeys("abc", "unit was destroyed")),
    ],
)
def test_explain_has_a_line_for_every_machine(name: str, lines: dict[str, str]):
    machines = [lost(C), machine(B, disk="ssd"), machine(A)]
    layout = place(EXPLAINED, machines, on(a=["x.service", "f.service"]))
    told = [(line.machine[0], line.reason) for line in explain(name, EXPLAINED, machines, layout)]
    assert told == sorted({"c": "lost: it no longer answers", **lines}.items())


def test_a_unit_does_not_conflict_with_itself_where_it_is():
    units = wants(want("x.service", conflicts=("*",)))
    layout = place(units, up(A), {})
    assert [line.reason for line in explain("x.service", units, up(A), layout)] == [
        "it is here: least loaded (0 units)"
    ]


def test_explain_tells_the_load_of_a_machine_that_could_run_the_unit():
    units = wants("x.service", "y.service")
    layout = place(units, up(A, B), {})
    assert [line.reason for line in explain("x.service", units, up(A, B), layout)] == [
        "it is here: least loaded (0 units)",
        "could run here (load 1)",
    ]
