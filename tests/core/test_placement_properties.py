"""What placement guarantees on any cluster, and that it equals the slow and obvious oracle."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

from hypothesis import event, given, settings
from hypothesis import strategies as st

from fleetssh.core.abilities import Board
from fleetssh.core.model import Health, Layout, Machine, Placement, Requirements, TargetState, Unit, Wanted
from fleetssh.core.placement import explain, place
from fleetssh.core.refusals import Refusals
from tests.core.oracle import Oracle

ORDINARY = ["a.service", "b.service", "c.service", "d.service", "t@1.service", "t@2.service", "t@3.service"]
GLOBAL = ["0.service", "g@1.service", "g@2.service"]
NAMES = [*ORDINARY, *GLOBAL, "t@.service"]
IDS = [letter * 8 + "0" * 24 for letter in "1234"]

globs = st.sampled_from([*NAMES, "t@*", "g@*", "[a-c].service", "*@2.service", "?.service", "*", "["])
pairs = st.sampled_from([("disk", ("ssd",)), ("disk", ("hdd", "ssd")), ("disk", ("hdd",)), ("rack", ("7",))])
targets = st.sampled_from([TargetState.LAUNCHED] * 8 + [TargetState.LOADED, TargetState.INACTIVE])
healths = st.sampled_from([Health.UP] * 5 + [Health.DOUBTFUL, Health.LOST])


def few(values: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, ...]]:
    """Mostly none, so that most units can be placed."""
    return st.just(()) | st.just(()) | st.lists(values, min_size=1, max_size=2, unique=True).map(tuple)


@st.composite
def requirements(draw: st.DrawFn, is_global: bool) -> Requirements:
    """Also combinations that are refused at submit: a replaced text is not validated by fleet either."""
    metadata = draw(st.just(()) | st.tuples(pairs))
    conflicts = draw(few(globs))
    if is_global:
        return Requirements(metadata=metadata, conflicts=conflicts, is_global=True)
    return Requirements(
        machine_id=draw(st.sampled_from([None] * 10 + [IDS[0], IDS[1][:8]])),
        machine_of=draw(few(st.sampled_from([*NAMES, "unknown.service"]))),
        metadata=metadata,
        conflicts=conflicts,
        replaces=draw(few(globs)),
    )


@dataclass(frozen=True)
class Cluster:
    wanted: dict[str, Wanted]
    machines: list[Machine]
    previous: dict[str, Placement]

    def place(self) -> Layout:
        return place(self.wanted, self.machines, self.previous)

    def needs(self, name: str) -> Requirements:
        return self.wanted[name].unit.requirements

    @property
    def health(self) -> dict[str, Health]:
        return {machine.id: machine.health for machine in self.machines}

    @property
    def leaving(self) -> dict[str, bool]:
        return {machine.id: machine.is_leaving for machine in self.machines}


@st.composite
def clusters(draw: st.DrawFn) -> Cluster:
    wanted = {}
    for name in draw(st.lists(st.sampled_from(NAMES), unique=True)):
        needs = draw(requirements(is_global=name in GLOBAL))
        wanted[name] = Wanted(Unit(name, b"", "", "", requirements=needs), draw(targets))
    machines = [
        Machine(
            machine_id,
            f"host{number}",
            metadata=draw(metadata),
            health=draw(healths),
            is_leaving=draw(st.sampled_from([False] * 5 + [True])),
            occupied=frozenset(draw(few(st.sampled_from(NAMES)))),
        )
        for number, machine_id in enumerate(draw(st.lists(st.sampled_from(IDS), unique=True)))
    ]
    homes = st.sampled_from([*IDS, "9" * 32])
    previous = draw(st.dictionaries(st.sampled_from([*NAMES, "gone.service"]), homes))
    return Cluster(wanted, machines, {n: Placement(n, home, "as before") for n, home in previous.items()})


metadata = st.sampled_from([{}, {"disk": "ssd"}, {"disk": "hdd"}, {"disk": "ssd", "rack": "7"}])
examples = settings(max_examples=150, deadline=None)


@given(clusters())
@settings(max_examples=400, deadline=None)
def test_placement_equals_the_oracle(cluster: Cluster):
    layout = cluster.place()
    oracle = Oracle(
        cluster.wanted, cluster.machines, {name: one.machine for name, one in cluster.previous.items()}
    ).solve()
    event(f"{len(layout.moves)} moves")
    assert {name: placement.machine for name, placement in layout.placements.items()} == oracle.where
    assert layout.globals_on == {
        machine.id: frozenset(oracle.globals_on(machine)) for machine in oracle.machines
    }
    ordinary = {name for name, needs in oracle.needs.items() if not needs.is_global}
    assert set(layout.unplaced) == ordinary - set(oracle.where)


@given(clusters(), st.randoms())
@examples
def test_input_order_never_matters(cluster: Cluster, random):
    def shuffled(values):
        values = list(values)
        random.shuffle(values)
        return values

    other = Cluster(
        dict(shuffled(cluster.wanted.items())),
        shuffled(cluster.machines),
        dict(shuffled(cluster.previous.items())),
    )
    assert repr(cluster.place()) == repr(other.place())


@given(clusters())
@examples
def test_placing_again_changes_nothing(cluster: Cluster):
    first = cluster.place()
    second = place(cluster.wanted, cluster.machines, first.placements)
    assert second.moves == ()
    assert (second.placements, second.globals_on, second.unplaced) == (
        first.placements,
        first.globals_on,
        first.unplaced,
    )


@given(clusters())
@examples
def test_the_layout_meets_every_requirement_on_machines_that_are_up(cluster: Cluster):
    layout = cluster.place()
    oracle = Oracle(cluster.wanted, cluster.machines, {})
    oracle.where = {name: placement.machine for name, placement in layout.placements.items()}
    for machine in cluster.machines:
        here = oracle.here(machine)
        if machine.health is Health.LOST or (machine.is_leaving and machine.health is Health.UP):
            assert here == set()
        if machine.health is not Health.UP:
            continue
        assert not any(oracle.conflict(one, other) for one, other in combinations(here, 2))
        for name in here:
            assert oracle.fits(name, machine)
            assert here.issuperset(cluster.needs(name).machine_of)


@given(clusters())
@examples
def test_only_machines_that_are_up_get_units_and_doubtful_ones_lose_none(cluster: Cluster):
    layout = cluster.place()
    for move in layout.moves:
        assert move.before != move.after
        assert move.reason
        assert move.after is None or cluster.health[move.after] is Health.UP
        assert move.after is None or not cluster.leaving[move.after]
        if move.before is not None and cluster.health.get(move.before) is Health.DOUBTFUL:
            assert move.reason.startswith(("target state is inactive", "unit was destroyed", "it is a "))


@given(clusters())
@examples
def test_moves_lead_from_the_previous_schedule_to_the_new_one(cluster: Cluster):
    layout = cluster.place()
    schedule = {name: placement.machine for name, placement in cluster.previous.items()}
    for move in layout.moves:
        assert schedule.pop(move.unit, None) == move.before
        if move.after is not None:
            schedule[move.unit] = move.after
    assert schedule == {name: placement.machine for name, placement in layout.placements.items()}
    assert [move.unit for move in layout.moves] == sorted(move.unit for move in layout.moves)


@given(clusters())
@examples
def test_every_machine_refuses_what_is_unplaced_and_says_so_exactly_when_it_is_not_able(cluster: Cluster):
    layout = cluster.place()
    everywhere = sorted(machine.id for machine in cluster.machines)
    board = Board(cluster.wanted, cluster.machines)
    for machine in cluster.machines:
        names = [name for name, placement in layout.placements.items() if placement.machine == machine.id]
        board.put(board.site_of(machine, names))
    for name, refusals in layout.unplaced.items():
        assert [refusal.machine for refusal in refusals] == everywhere
        assert not any(refusal.reason.startswith("could run here") for refusal in refusals)
        assert explain(name, cluster.wanted, cluster.machines, layout) == refusals
    for name in layout.placements:
        for refusal in Refusals(board).of(name):
            able = board.able(name, board.sites[refusal.machine])
            assert able == refusal.reason.startswith("could run here")
