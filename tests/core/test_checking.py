from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fleetssh.core.checking import check
from fleetssh.core.doubt import UNANSWERED, Doubt
from fleetssh.core.model import Action, Health, Layout, Machine, MachinePlan, Plan, State, Step, Wanted
from fleetssh.core.sighting import Sighting
from tests.core.world import INACTIVE, find, lay, reach, up, want

M1, M2 = up(1), up(2)
A, B = "a.service", "b.service"


def findings(
    wanted: Sequence[Wanted],
    layout: Layout,
    steps: Sequence[tuple[Action, str]] = (),
    machines: Sequence[Machine] = (M1, M2),
    host: Machine = M1,
    doubtful: str = "",
    seen: Sighting | None = None,
) -> tuple[str, ...]:
    made = tuple(Step(action, unit, "a test") for action, unit in steps)
    waves = ((MachinePlan(host.host, host.id, made),),) if made else ()
    state = State("c1", 1, {one.unit.name: one for one in wanted})
    in_doubt = {A: Doubt(A, doubtful, UNANSWERED)} if doubtful else {}
    return check(state, Plan(layout, waves), machines, in_doubt, {seen.host: seen} if seen else {})


def test_a_sound_plan_has_no_findings() -> None:
    wanted = [want(A, machine_of=(B,)), want(B, conflicts=("c*",)), want("g.service", is_global=True)]
    layout = lay({A: "m1", B: "m1"}, {"m1": ["g.service"], "m2": ["g.service"]})
    acts = [
        (Action.WRITE, A),
        (Action.RELOAD, ""),
        (Action.START, "g.service"),
        (Action.REMOVE, "old.service"),
    ]
    assert findings(wanted, layout, acts) == ()


def test_a_placed_unit_that_nobody_wants() -> None:
    told = (f"{A} is placed though nobody wants it anywhere",)
    assert findings([], lay({A: "m1"})) == told
    assert findings([want(A, INACTIVE)], lay({A: "m1"})) == told


def test_a_global_unit_on_one_machine() -> None:
    assert findings([want(A, is_global=True)], lay({A: "m1"})) == (
        f"{A} is global and placed on one machine",
    )


def test_a_unit_on_a_machine_that_is_lost_or_unknown() -> None:
    told = (f"{A} is placed on m1, which is lost or unknown",)
    lost = replace(M1, health=Health.LOST)
    assert findings([want(A)], lay({A: "m1"}), machines=[lost, M2]) == told
    assert findings([want(A)], lay({A: "m1"}), machines=[M2]) == told
    doubtful = replace(M1, health=Health.DOUBTFUL)
    assert findings([want(A)], lay({A: "m1"}), machines=[doubtful, M2]) == ()


def test_units_in_conflict_on_one_machine() -> None:
    wanted = [want(A, conflicts=("b*",)), want(B)]
    told = (f"{A} and {B} conflict and are both on m1",)
    assert findings(wanted, lay({A: "m1", B: "m1"})) == told
    assert findings(wanted, lay({A: "m1"}, {"m1": [B]})) == told
    assert findings(wanted, lay({A: "m1", B: "m2"})) == ()
    assert findings([want(A, conflicts=("a*",))], lay({A: "m1"})) == ()


def test_a_unit_without_its_peer() -> None:
    wanted = [want(A, machine_of=(B,)), want(B)]
    told = (f"{A} is on m1 without {B}",)
    assert findings(wanted, lay({A: "m1", B: "m2"})) == told
    assert findings(wanted, lay({A: "m1"})) == told


def test_company_is_not_judged_where_nobody_can_look() -> None:
    wanted = [want(A, machine_of=("x.service",), conflicts=("b*",)), want(B)]
    doubtful = replace(M1, health=Health.DOUBTFUL)
    assert findings(wanted, lay({A: "m1", B: "m1"}), machines=[doubtful]) == ()


def test_steps_for_a_machine_that_is_not_up() -> None:
    for health in (Health.DOUBTFUL, Health.LOST):
        machines = [replace(M1, health=health), M2]
        assert findings([], lay({}), [(Action.RELOAD, "")], machines) == ("steps for h1, which is not up",)
    assert findings([], lay({}), [(Action.RELOAD, "")], [M2]) == ("steps for h1, which is not up",)


def test_work_on_a_unit_where_it_does_not_belong() -> None:
    for action in (Action.WRITE, Action.START, Action.RESTART):
        assert findings([want(A)], lay({A: "m2"}), [(action, A)]) == (
            f"{action} of {A} on h1, where it does not belong",
        )


def test_removal_of_what_belongs() -> None:
    told = (f"removal of {A} from h1, where it belongs",)
    assert findings([want(A)], lay({A: "m1"}), [(Action.REMOVE, A)]) == told
    assert findings([want(A, is_global=True)], lay({}, {"m1": [A]}), [(Action.REMOVE, A)]) == told


def test_a_start_of_what_may_run_elsewhere() -> None:
    for action in (Action.START, Action.RESTART):
        told = (f"{action} of {A} on h1, while it may run on h2",)
        case = [want(A)], lay({A: "m1"}), [(action, A)]
        assert findings(*case, doubtful="h2") == told
        assert findings(*case, doubtful="h2", seen=reach(M1, find(A, active="inactive"))) == told
        assert findings(*case, doubtful="h2", seen=reach(M1, find(A))) == ()  # it runs here already
        assert findings(*case, doubtful="h1") == ()
    assert findings([want(A)], lay({A: "m1"}), [(Action.WRITE, A)], doubtful="h2") == ()
    everywhere = [want(A, is_global=True)], lay({}, {"m1": [A]}), [(Action.START, A)]
    assert findings(*everywhere, doubtful="h2") == ()


def test_work_for_a_machine_that_is_leaving() -> None:
    machines = [replace(M1, is_leaving=True), M2]
    assert findings([want(A)], lay({A: "m1"}), machines=machines) == (
        f"{A} is placed on m1, which is leaving",
    )
    for action in (Action.WRITE, Action.START, Action.RESTART):
        told = findings([want(A)], lay({}, {"m1": [A]}), [(action, A)], machines)
        assert told == (f"{action} of {A} on h1, which is leaving",)
    gone = [(Action.STOP, A), (Action.REMOVE, A), (Action.RELOAD, "")]
    assert findings([want(A)], lay({A: "m2"}), gone, machines) == ()
    silent = [replace(M1, is_leaving=True, health=Health.DOUBTFUL), M2]
    assert findings([want(A)], lay({A: "m1"}), machines=silent) == ()


def test_every_finding_is_told_at_once() -> None:
    wanted = [want(A, is_global=True), want(B, conflicts=("a*",))]
    told = findings(wanted, lay({A: "m1", B: "m1"}), [(Action.REMOVE, A), (Action.START, "x.service")])
    assert len(told) == 4
