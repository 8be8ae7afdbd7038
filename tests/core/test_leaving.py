"""Machines that are no longer in the inventory: they keep no unit, and stop theirs before others start."""

from __future__ import annotations

from dataclasses import replace

from fleetssh.core.checking import check
from fleetssh.core.doubt import UNANSWERED, Doubt
from fleetssh.core.model import Health, Machine, Placement, Plan, Refusal, State, Wanted
from fleetssh.core.placement import explain, place
from fleetssh.core.planning import make_plan
from fleetssh.core.sighting import Failure, Sighting, Unreached
from tests.core.world import Sim, find, reach, up, want

A, B, G = "a.service", "b.service", "g.service"
GOING, STAYING = up(1, is_leaving=True), up(2)
LOST, DOUBTFUL = (replace(GOING, health=health) for health in (Health.LOST, Health.DOUBTFUL))


def state(*wanted: Wanted, on: Machine = GOING) -> State:
    """All but global units were on one machine."""
    placements = {
        one.unit.name: Placement(one.unit.name, on.id, "as before")
        for one in wanted
        if not one.unit.requirements.is_global
    }
    return State("c1", 1, {one.unit.name: one for one in wanted}, placements)


def planned(
    before: State, machines: list[Machine], *sightings: Sighting, in_doubt: dict[str, Doubt] | None = None
) -> Plan:
    layout = place(before.wanted, machines, before.placements)
    seen = {sighting.host: sighting for sighting in sightings}
    plan = make_plan(before, layout, machines, seen, in_doubt=in_doubt or {})
    assert check(before, plan, machines, in_doubt or {}, seen) == ()
    return plan


def steps(plan: Plan) -> list[dict[str, str]]:
    return [
        {visit.host: " ".join(f"{step.action} {step.unit}".strip() for step in visit.steps) for visit in wave}
        for wave in plan.waves
    ]


def test_its_units_stop_there_before_they_start_elsewhere() -> None:
    machines = [GOING, STAYING]
    plan = planned(state(want(A)), machines, reach(GOING, find(A)), reach(STAYING))
    assert steps(plan) == [
        {"h1": f"stop {A} remove {A} reload"},
        {"h2": f"write {A} reload start {A}"},
    ]
    assert plan.waves[0][0].steps[0].reason == "this machine is no longer in the inventory"
    (move,) = plan.layout.moves
    assert move.reason == "machine h1 (m1...) is no longer in the inventory; least loaded (0 units)"


def test_global_units_leave_it_too() -> None:
    plan = planned(
        state(want(G, is_global=True)), [GOING, STAYING], reach(GOING, find(G)), reach(STAYING, find(G))
    )
    assert steps(plan) == [{"h1": f"stop {G} remove {G} reload"}]
    assert plan.layout.globals_on == {"m1": frozenset(), "m2": {G}}


def test_what_no_other_machine_can_take_stops_and_says_why() -> None:
    """Whoever takes a machine away means it; the unit stays wanted and starts as soon as one can take it."""
    before = state(want(A, metadata=(("disk", ("ssd",)),)))
    plan = planned(before, [GOING, STAYING], reach(GOING, find(A)), reach(STAYING))
    assert steps(plan) == [{"h1": f"stop {A} remove {A} reload"}]
    refusals = (
        Refusal("m1", "no longer in the inventory"),
        Refusal("m2", "needs metadata disk=ssd, has no disk"),
    )
    assert plan.layout.unplaced == {A: refusals}
    assert explain(A, before.wanted, [GOING, STAYING], plan.layout) == refusals


def test_a_unit_that_asks_for_it_by_name_gets_no_place() -> None:
    plan = planned(state(want(A, machine_id="m1")), [GOING, STAYING], reach(GOING), reach(STAYING))
    assert plan.layout.unplaced[A][0] == Refusal("m1", "no longer in the inventory")


def test_while_it_does_not_answer_its_units_may_run_there_and_stay() -> None:
    doubt = {A: Doubt(A, "h1", UNANSWERED)}
    silent = Unreached("h1", Failure.HOST_KEY)
    plan = planned(
        state(want(A), want(G, is_global=True)),
        [DOUBTFUL, STAYING],
        silent,
        reach(STAYING, find(G)),
        in_doubt=doubt,
    )
    assert (plan.layout.moves, plan.waves) == ((), ())
    assert plan.layout.globals_on["m1"] == frozenset()
    (remark,) = plan.remarks
    assert remark == (
        "h1 is no longer in the inventory and does not answer: its units stay until it does, or is lost; "
        "'fleetssh reconcile --believe-silence' gives it up"
    )


def test_nothing_is_said_of_one_that_does_not_answer_and_has_nothing() -> None:
    plan = planned(state(), [DOUBTFUL, STAYING], Unreached("h1", Failure.HOST_KEY), reach(STAYING))
    assert plan.remarks == ()


def test_once_lost_its_units_move_as_those_of_any_lost_machine() -> None:
    plan = planned(state(want(A)), [LOST, STAYING], Unreached("h1", Failure.TIMEOUT), reach(STAYING))
    assert steps(plan) == [{"h2": f"write {A} reload start {A}"}]
    assert plan.layout.moves[0].reason == "machine h1 (m1...) was lost; least loaded (0 units)"


def test_the_only_copy_stays_until_its_new_home_answers() -> None:
    """Its new home was chosen, and went silent before it was told."""
    machines = [GOING, replace(STAYING, health=Health.DOUBTFUL)]
    silent = Unreached("h2", Failure.TIMEOUT)
    plan = planned(state(want(A), on=STAYING), machines, reach(GOING, find(A)), silent)
    assert plan.waves == ()


def test_in_the_end_nothing_of_ours_is_left_there() -> None:
    machines = [GOING, STAYING, up(3)]
    wanted = [want(A, conflicts=("b*",)), want(B), want(G, is_global=True)]
    before = state(*wanted)
    sims = {
        "h1": Sim(GOING, {name: find(name) for name in (A, B, G)}),
        "h2": Sim(STAYING, {}),
        "h3": Sim(up(3), {}),
    }
    for _ in range(2):
        plan = planned(before, machines, *(sim.look() for sim in sims.values()))
        for visit in (visit for wave in plan.waves for visit in wave):
            sims[visit.host].apply(visit)
        before = replace(before, placements=plan.layout.placements)
    assert sims["h1"].found == {}
    assert {host: sim.running() for host, sim in sims.items()} == {"h1": set(), "h2": {A, G}, "h3": {B, G}}
    assert plan.is_empty
