"""Stop, see it stopped, then start elsewhere (rule 5), whatever does not stop and whoever comes back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from hypothesis import event, given, settings
from hypothesis import strategies as st

from fleetssh.core.checking import check
from fleetssh.core.doubt import doubts
from fleetssh.core.health import health_of
from fleetssh.core.model import Health, Layout, Machine, MachineRecord, Placement, Plan, Seen, State, Wanted
from fleetssh.core.names import glob_matches
from fleetssh.core.placement import place
from fleetssh.core.planning import leaving_units, make_plan, withhold
from fleetssh.core.sighting import Failure, Reached, Sighting, Unreached
from tests.core.world import LAUNCHED, LOADED, Sim, find, lay, reach, up, want

M1, M2 = up(1), up(2)
A, B, C = "a.service", "b.service", "c.service"


def state(*wanted: Wanted) -> State:
    return State("c1", 1, {one.unit.name: one for one in wanted})


def steps(plan: Plan) -> list[dict[str, str]]:
    return [
        {visit.host: " ".join(f"{step.action} {step.unit}".strip() for step in visit.steps) for visit in wave}
        for wave in plan.waves
    ]


def planned(wanted: Sequence[Wanted], layout: Layout, *sightings: Reached) -> Plan:
    return make_plan(state(*wanted), layout, [M1, M2], {one.host: one for one in sightings})


# ---------------------------------------------------------------- a machine that comes back


def test_a_machine_that_comes_back_stops_what_was_moved_away_before_it_starts_anything() -> None:
    wanted, layout = [want(A), want(B)], lay({A: "m2", B: "m1"})
    plan = planned(wanted, layout, reach(M1, find(A)), reach(M2, find(A)))
    assert steps(plan) == [
        {"h1": f"stop {A} remove {A} reload"},
        {"h1": f"write {B} reload start {B}"},
    ]


def test_what_it_conflicts_with_is_started_only_when_it_was_seen_to_have_stopped() -> None:
    """In a wave of its own: in one visit, a unit that does not stop does not keep others from starting."""
    wanted, layout = [want(A), want(B, conflicts=("a*",))], lay({A: "m2", B: "m1"})
    for there in ([], [find(B, LOADED, "inactive")]):
        plan = planned(wanted, layout, reach(M1, find(A), *there), reach(M2, find(A)))
        assert [list(wave) for wave in steps(plan)] == [["h1"], ["h1"]]
        assert steps(plan)[0] == {"h1": f"stop {A} remove {A} reload"}
        assert steps(plan)[1]["h1"].endswith(f"start {B}")


def test_two_machines_that_swap_units_let_go_of_both_before_either_starts() -> None:
    wanted, layout = [want(A, conflicts=("b*",)), want(B)], lay({A: "m2", B: "m1"})
    plan = planned(wanted, layout, reach(M1, find(A)), reach(M2, find(B)))
    assert steps(plan) == [
        {"h1": f"stop {A} remove {A} reload", "h2": f"stop {B} remove {B} reload"},
        {"h1": f"write {B} reload start {B}", "h2": f"write {A} reload start {A}"},
    ]


def test_nothing_moves_back_by_itself() -> None:
    wanted = state(want(A)).wanted
    placed = {A: Placement(A, "m2", "least loaded (0 units)")}
    layout = place(wanted, [M1, M2], placed)
    assert (layout.placements, layout.moves) == (placed, ())
    plan = planned([want(A)], layout, reach(M1, find(A)), reach(M2, find(A)))
    assert steps(plan) == [{"h1": f"stop {A} remove {A} reload"}]


def test_one_that_conflicts_with_the_only_copy_of_a_unit_waits_with_it() -> None:
    """A belongs on a machine that is silent and was never seen to have it, so it runs on where it is."""
    wanted, layout = [want(A), want(B, conflicts=("a*",)), want(C)], lay({A: "m2", B: "m1", C: "m1"})
    silent = Unreached("h2", Failure.TIMEOUT)
    machines = [M1, replace(M2, health=Health.DOUBTFUL)]
    case = (state(*wanted), layout, machines)
    plan = make_plan(*case, {"h1": reach(M1, find(A)), "h2": silent})
    assert steps(plan) == [{"h1": f"write {C} reload start {C}"}]
    assert plan.remarks == (
        f"Unit {B} waits: it conflicts with {A}, which stays on h1 until its new machine answers",
    )
    both = make_plan(*case, {"h1": reach(M1, find(A), find(B), find(C)), "h2": silent})
    assert (both.waves, both.remarks) == ((), ())  # who runs is not stopped for it


# ---------------------------------------------------------------- many passes over worlds that go wrong

NAMES = [f"u{number}.service" for number in range(5)]
CUT = Unreached("", Failure.TIMEOUT, "cut off")


@dataclass
class World:
    """Machines that are sometimes cut off and sometimes given up, and a controller that remembers."""

    state: State
    sims: list[Sim]
    records: dict[str, MachineRecord]

    def machines(self) -> list[Machine]:
        return [replace(sim.machine, health=health_of(self.records[sim.machine.host])) for sim in self.sims]

    def turn(self, cut: frozenset[int], lost: frozenset[int]) -> None:
        """One pass: who is cut off does not answer, and is given up when it is among the ``lost``."""
        before = [sim.running() for sim in self.sims]
        sightings: dict[str, Sighting] = {}
        for number, sim in enumerate(self.sims):
            host = sim.machine.host
            if number in cut:
                known = self.records[host]
                sightings[host] = replace(CUT, host=host)
                gone = known.lost or number in lost
                self.records[host] = replace(known, failure="timed out", lost=gone)
            else:
                sightings[host] = sim.look()
                self.remember(sim)
        layout = place(self.state.wanted, self.machines(), self.state.placements)
        self.state = replace(self.state, placements=layout.placements)
        in_doubt = doubts(self.records, self.machines(), 0.0)
        plan = make_plan(self.state, layout, self.machines(), sightings, in_doubt=in_doubt)
        assert check(self.state, plan, self.machines(), in_doubt, sightings) == ()
        self.act(plan)
        self.check(before)

    def remember(self, sim: Sim) -> None:
        seen = tuple(
            Seen(name, found.entry.target, "loaded", found.active, found.sub)
            for name, found in sorted(sim.found.items())
        )
        self.records[sim.machine.host] = MachineRecord(sim.machine.host, sim.machine.id, seen=seen)

    def act(self, plan: Plan) -> None:
        """As a pass does it: what was not let go of is held back, and nothing more is done there."""
        by_host = {sim.machine.host: sim for sim in self.sims}
        held: set[str] = set()
        stuck: set[str] = set()
        for wave in plan.waves:
            before = {host: sim.running() for host, sim in by_host.items()}
            told = [visit for visit in withhold(wave, frozenset(held)) if visit.host not in stuck]
            for visit in told:
                by_host[visit.host].apply(visit)
                self.remember(by_host[visit.host])
            # The visits of a wave run side by side: at worst all its starts come before all its stops.
            for one, other in combinations(by_host, 2):
                started = by_host[one].running() - before[one], by_host[other].running() - before[other]
                there = before[one] | started[0], before[other] | started[1]
                twice = self.ordinary((there[0] & started[1]) | (there[1] & started[0]))
                assert not self.answering(twice, by_host[one], by_host[other]), (twice, steps(plan))
            for host, units in leaving_units(wave).items():
                if remaining := units & by_host[host].found.keys():
                    held |= remaining
                    stuck.add(host)

    def ordinary(self, names: Iterable[str]) -> set[str]:
        wanted = self.state.wanted
        return {name for name in names if name in wanted and not wanted[name].unit.requirements.is_global}

    def answering(self, names: set[str], *sims: Sim) -> set[str]:
        """Of the names, those that run twice where nobody was given up: without a lease that may happen."""
        up_hosts = {machine.host for machine in self.machines() if machine.health is not Health.LOST}
        return names if all(sim.machine.host in up_hosts for sim in sims) else set()

    def check(self, before: list[set[str]]) -> None:
        for sim, ran in zip(self.sims, before, strict=True):
            for one, other in combinations(sorted(sim.running()), 2):
                if self.conflict(one, other):
                    assert {one, other} <= ran, f"{one} and {other} were brought together"

    def conflict(self, one: str, other: str) -> bool:
        return any(
            glob_matches(pattern, theirs)
            for ours, theirs in ((one, other), (other, one))
            if ours in self.state.wanted
            for pattern in self.state.wanted[ours].unit.requirements.conflicts
        )


@st.composite
def worlds(draw: st.DrawFn) -> World:
    wanted = {}
    for name in NAMES:
        conflicts = tuple(draw(st.lists(st.sampled_from([n for n in NAMES if n != name]), max_size=1)))
        wanted[name] = want(name, conflicts=conflicts)
    sims = [
        Sim(up(number), {}, stubborn=frozenset(draw(st.lists(st.sampled_from(NAMES), max_size=1))))
        for number in range(3)
    ]
    records = {sim.machine.host: MachineRecord(sim.machine.host, sim.machine.id) for sim in sims}
    return World(State("c1", 1, wanted), sims, records)


cuts = st.frozensets(st.integers(0, 2), max_size=2)


@settings(max_examples=200, deadline=None)
@given(worlds(), st.lists(st.tuples(cuts, cuts, st.sampled_from([*NAMES, ""])), min_size=1, max_size=8))
def test_through_cuts_losses_and_stops_that_fail_nothing_runs_twice_or_beside_its_foe(
    world: World, turns: list[tuple[frozenset[int], frozenset[int], str]]
) -> None:
    for cut, lost, touched in turns:
        if touched:  # an operator destroys one and submits it anew elsewhere, in one go
            placements = {n: p for n, p in world.state.placements.items() if n != touched}
            world.state = replace(world.state, placements=placements)
        world.turn(cut, lost)
    for sim in world.sims:
        sim.stubborn = frozenset()
    for _ in range(3):
        world.turn(frozenset(), frozenset())
    event(f"{sum(len(sim.running()) for sim in world.sims)} run in the end")
    placed = {(p.machine, name) for name, p in world.state.placements.items()}
    assert {(sim.machine.id, name) for sim in world.sims for name in sim.running()} == placed
    assert {(sim.machine.id, name) for sim in world.sims for name in sim.found} == placed
    assert all(found.entry.target is LAUNCHED for sim in world.sims for found in sim.found.values())


def test_a_stray_copy_is_gone_before_its_home_starts_the_unit_anew() -> None:
    """The machine came back with an old copy just when the unit's file was replaced."""
    new = want(A, text="second")
    plan = planned([new], lay({A: "m2"}), reach(M1, find(A)), reach(M2, find(A)))
    first, second = steps(plan)
    assert first == {"h1": f"stop {A} remove {A} reload"}
    assert second["h2"].startswith(f"stop {A} write {A}")
