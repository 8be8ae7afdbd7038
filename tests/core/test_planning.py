from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetssh.core.checking import check
from fleetssh.core.doubt import UNANSWERED, Doubt
from fleetssh.core.model import Action, Health, Layout, Machine, Move, Plan, Refusal, State, Wanted
from fleetssh.core.placement import place
from fleetssh.core.planning import lease_of, leaving_units, make_plan, withhold
from fleetssh.core.remarks import describe_failure
from fleetssh.core.sighting import Detail, Ending, Failure, Found, Reached, Sighting, Unreached
from tests.core.world import INACTIVE, LAUNCHED, LOADED, Sim, find, lay, reach, up, want

M1, M2, M3 = up(1), up(2), up(3)
A, B = "a.service", "b.service"


def state(*wanted: Wanted) -> State:
    return State("c1", 1, {one.unit.name: one for one in wanted})


def steps(plan: Plan) -> list[dict[str, list[str]]]:
    """Each wave as host -> steps."""
    return [
        {visit.host: [f"{step.action} {step.unit}".strip() for step in visit.steps] for visit in wave}
        for wave in plan.waves
    ]


def silent(machine: Machine, failure: Failure = Failure.TIMEOUT) -> Unreached:
    return Unreached(machine.host, failure, "no answer", 100.0)


def sights(*sightings: Sighting) -> dict[str, Sighting]:
    return {sighting.host: sighting for sighting in sightings}


def doubted(*names: str, host: str = "h1", reason: str = UNANSWERED) -> dict[str, Doubt]:
    return {name: Doubt(name, host, reason) for name in names}


# ---------------------------------------------------------------- one machine


def test_a_converged_machine_gets_no_steps() -> None:
    plan = make_plan(state(want(A)), lay({A: "m1"}), [M1], sights(reach(M1, find(A))))
    assert plan.is_empty
    assert plan.remarks == ()


def test_steps_stand_in_the_order_of_a_visit_with_one_reload() -> None:
    """F-084, F-088: stops come first, so that a changed unit stops under its old text."""
    wanted = [
        want("changed.service", text="second"),
        want("new.service"),
        want("linked.service"),
        want("restarted.service", generation=1),
        want("noted.service", LOADED, generation=1),
    ]
    found = [
        find("changed.service"),
        find("gone.service"),
        find("idle.service", active="inactive"),
        find("linked.service", linked=False),
        find("restarted.service"),
        find("noted.service", LOADED, "inactive"),
    ]
    layout = lay({one.unit.name: "m1" for one in wanted})
    plan = make_plan(state(*wanted), layout, [M1], sights(reach(M1, *reversed(found))))
    assert steps(plan) == [
        {
            "h1": [
                "stop changed.service",
                "stop gone.service",
                "remove gone.service",
                "remove idle.service",
                "write changed.service",
                "write new.service",
                "link linked.service",
                "reload",
                "restart restarted.service",
                "start changed.service",
                "start new.service",
                "note noted.service",
            ]
        }
    ]
    (visit,) = plan.waves[0]
    assert set(visit.units) == {one.unit.name for one in wanted}
    assert (visit.host, visit.machine) == ("h1", "m1")


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (None, "the unit was destroyed"),
        (want(A, INACTIVE), "its target state is inactive"),
        (want(A), "it has no place here any more"),
        (want(A, is_global=True), "this machine does not fit the global unit any more"),
    ],
)
def test_what_leaves_a_machine_says_why(wanted: Wanted | None, reason: str) -> None:
    plan = make_plan(state(*[wanted] * bool(wanted)), lay({}), [M1], sights(reach(M1, find(A))))
    assert [{step.reason for step in visit.steps if step.unit} for visit in plan.waves[0]] == [{reason}]


def test_a_unit_arrives_with_the_reason_of_its_placement() -> None:
    layout = replace(lay({A: "m1"}), moves=(Move(A, None, "m1", "a test"),))
    plan = make_plan(state(want(A)), layout, [M1], sights(reach(M1)))
    assert {step.reason for step in plan.waves[0][0].steps if step.unit} == {"a test"}
    layout = lay({}, {"m1": [A]})
    plan = make_plan(state(want(A, is_global=True)), layout, [M1], sights(reach(M1)))
    assert {step.reason for step in plan.waves[0][0].steps if step.unit} == {"global unit"}


def test_a_unit_that_a_machine_has_forgotten_is_said_to_be_missing() -> None:
    plan = make_plan(state(want(A)), lay({A: "m1"}), [M1], sights(reach(M1)))
    assert {s.reason for s in plan.waves[0][0].steps if s.unit} == {"it belongs here and is missing"}


def test_an_operators_start_is_carried_to_what_has_failed() -> None:
    failed = find(A, active="failed")
    case = (state(want(A)), lay({A: "m1"}), [M1], sights(reach(M1, failed)))
    assert steps(make_plan(*case)) == []
    assert steps(make_plan(*case, frozenset({A}))) == [{"h1": ["start a.service"]}]


def test_a_stranger_is_in_the_way_and_stays() -> None:
    plan = make_plan(state(want(A)), lay({A: "m1"}), [M1], sights(reach(M1, strangers=[A, "other.service"])))
    assert plan.waves == ()
    remark = "h1: the file {} in the units folder is not ours and stays as it is"
    assert plan.remarks == (
        remark.format(A) + "; it is in the way of the unit of that name",
        remark.format("other.service"),
    )


def test_a_name_that_the_machine_has_for_itself_is_not_written() -> None:
    sighting = replace(reach(M1), occupied={A: "/etc/systemd/system/a.service", B: "/etc/b"})
    plan = make_plan(state(want(A)), lay({A: "m1"}), [M1], sights(sighting))
    assert plan.waves == ()
    assert plan.remarks == (
        f"h1: {A} cannot go there, the machine has a unit of its own: /etc/systemd/system/a.service",
    )


# ---------------------------------------------------------------- what fleet's agent did

JUST_LOADED = find(A, LOADED, "inactive")


@pytest.mark.parametrize(
    ("wanted", "found", "expected"),
    [
        pytest.param(None, None, "", id="nothing-known"),
        pytest.param(want(A, INACTIVE), None, "", id="inactive-and-not-there"),
        pytest.param(want(A, LOADED), JUST_LOADED, "", id="loaded"),
        pytest.param(want(A), find(A), "", id="launched"),
        pytest.param(want(A, text="second"), find(A), "stop write reload start", id="changed-launched"),
        pytest.param(want(A, text="second"), JUST_LOADED, "write reload start", id="changed-only-loaded-yet"),
        pytest.param(want(A, LOADED, text="second"), JUST_LOADED, "write reload", id="changed-loaded"),
        pytest.param(
            want(A, LOADED, text="second"), find(A), "stop write reload", id="changed-launched-to-loaded"
        ),
        pytest.param(want(A, LOADED), None, "write reload", id="loaded-and-not-there"),
        pytest.param(want(A), None, "write reload start", id="launched-and-not-there"),
        pytest.param(None, JUST_LOADED, "remove reload", id="there-and-not-wanted"),
        pytest.param(None, find(A), "stop remove reload", id="runs-and-is-not-wanted"),
        pytest.param(want(A, INACTIVE), JUST_LOADED, "remove reload", id="inactive-and-there"),
    ],
)
def test_what_is_done_about_one_unit(wanted: Wanted | None, found: Found | None, expected: str) -> None:
    """F-083. fleet unloads and loads a changed unit; here its file is written over, which is the same to
    systemd."""
    placed = {A: "m1"} if wanted and wanted.target is not INACTIVE else {}
    sighting = reach(M1, *([found] if found else []))
    plan = make_plan(state(*([wanted] if wanted else [])), lay(placed), [M1], sights(sighting))
    assert " ".join(step.action for wave in plan.waves for visit in wave for step in visit.steps) == expected


@pytest.mark.parametrize(
    ("wanted", "found", "expected"),
    [
        pytest.param([want(A)], [find(A)], [], id="no-work"),
        pytest.param(
            [want(B, LOADED), want(A, LOADED)],
            [],
            ["write a.service", "write b.service", "reload"],
            id="two-loads",
        ),
        pytest.param([], [JUST_LOADED], ["remove a.service", "reload"], id="one-unload"),
        pytest.param([want(A)], [], ["write a.service", "reload", "start a.service"], id="load-and-start"),
        pytest.param(
            [want(A, LOADED), want(B)],
            [find(A), find(B, LOADED, "inactive")],
            ["stop a.service", "start b.service"],
            id="stop-and-start",
        ),
    ],
)
def test_systemd_reads_its_files_anew_once_and_only_when_one_changes(
    wanted: list[Wanted], found: list[Found], expected: list[str]
) -> None:
    """F-084"""
    layout = lay({one.unit.name: "m1" for one in wanted})
    plan = make_plan(state(*wanted), layout, [M1], sights(reach(M1, *found)))
    assert steps(plan) == ([{"h1": expected}] if expected else [])


# ---------------------------------------------------------------- moving (rule 5)


def test_a_moving_unit_leaves_before_it_arrives() -> None:
    plan = make_plan(state(want(A)), lay({A: "m2"}), [M1, M2], sights(reach(M1, find(A)), reach(M2)))
    assert steps(plan) == [
        {"h1": ["stop a.service", "remove a.service", "reload"]},
        {"h2": ["write a.service", "reload", "start a.service"]},
    ]
    assert leaving_units(plan.waves[0]) == {"h1": {A}}
    assert {step.reason for step in plan.waves[0][0].steps if step.unit} == {"it belongs on m2..."}


def test_a_unit_that_lies_on_its_new_machine_already_still_waits_for_the_old_copy() -> None:
    found = reach(M2, find(A, LOADED, "inactive"))
    plan = make_plan(state(want(A)), lay({A: "m2"}), [M1, M2], sights(reach(M1, find(A)), found))
    assert steps(plan) == [
        {"h1": ["stop a.service", "remove a.service", "reload"]},
        {"h2": ["start a.service"]},
    ]


def test_a_second_copy_goes_with_everything_else_when_the_first_runs() -> None:
    plan = make_plan(state(want(A)), lay({A: "m2"}), [M1, M2], sights(reach(M1, find(A)), reach(M2, find(A))))
    assert steps(plan) == [{"h1": ["stop a.service", "remove a.service", "reload"]}]


def test_a_machine_that_has_more_to_do_does_it_in_the_second_wave() -> None:
    wanted = [want(A), want(B), want("c.service")]
    layout = lay({A: "m2", B: "m1", "c.service": "m1"})
    plan = make_plan(
        state(*wanted),
        layout,
        [M1, M2],
        sights(reach(M1, find(A), find("old.service")), reach(M2, find(B))),
    )
    assert steps(plan) == [
        {
            "h1": ["stop a.service", "remove a.service", "reload"],
            "h2": ["stop b.service", "remove b.service", "reload"],
        },
        {
            "h1": [
                "stop old.service",
                "remove old.service",
                "write b.service",
                "write c.service",
                "reload",
                "start b.service",
                "start c.service",
            ],
            "h2": ["write a.service", "reload", "start a.service"],
        },
    ]


@pytest.mark.parametrize("side", ["arriving", "leaving"])
def test_a_unit_that_makes_room_for_one_it_conflicts_with_is_gone_before_that_arrives(side: str) -> None:
    arrives = want(A, conflicts=("old.*",) if side == "arriving" else ())
    leaves = want("old.service", INACTIVE, conflicts=("a.*",) if side == "leaving" else ())
    found = reach(M1, find("old.service"), find("gone.service"))
    plan = make_plan(state(arrives, leaves), lay({A: "m1"}), [M1], sights(found))
    assert steps(plan) == [
        {"h1": ["stop old.service", "remove old.service", "reload"]},
        {"h1": ["stop gone.service", "remove gone.service", "write a.service", "reload", "start a.service"]},
    ]


def test_withholding_drops_the_steps_of_those_units_alone() -> None:
    wanted = [want(A), want(B)]
    plan = make_plan(state(*wanted), lay({A: "m1", B: "m1"}), [M1], sights(reach(M1)))
    (wave,) = plan.waves
    (kept,) = withhold(wave, frozenset({A}))
    assert [(step.action, step.unit) for step in kept.steps] == [
        (Action.WRITE, B),
        (Action.RELOAD, ""),
        (Action.START, B),
    ]
    assert withhold(wave, frozenset({A, B})) == ()
    assert withhold(wave, frozenset()) == wave


def test_a_unit_that_a_machine_in_doubt_may_run_is_started_nowhere_else() -> None:
    doubtful = replace(M1, health=Health.DOUBTFUL)
    machines, seen = [doubtful, M2], sights(silent(M1), reach(M2))
    layout = lay({A: "m2", B: "m2"})
    plan = make_plan(state(want(A), want(B)), layout, machines, seen, in_doubt=doubted(A, "x.service"))
    assert steps(plan) == [{"h2": ["write b.service", "reload", "start b.service"]}]
    assert plan.remarks == (
        f"Unit {A} waits: h1, which had it last, does not answer, and it may still run there",
    )


def test_a_unit_that_runs_where_it_belongs_is_mended_whatever_is_in_doubt() -> None:
    seen = sights(silent(M1), reach(M2, find(A, text="by hand")))
    machines = [replace(M1, health=Health.DOUBTFUL), M2]
    plan = make_plan(state(want(A)), lay({A: "m2"}), machines, seen, in_doubt=doubted(A))
    assert steps(plan) == [{"h2": ["stop a.service", "write a.service", "reload", "start a.service"]}]


# ---------------------------------------------------------------- leases


def test_a_plan_names_every_lease_that_is_to_run_there_when_it_is_done() -> None:
    """Also of units that it does not touch; for a unit that says none, that of its machine."""
    wanted = [want(A, lease=20), want(B, lease=0), want("c.service"), want("d.service")]
    machine = up(1, lease=30)
    found = [find(A, lease=20), find(B), find("c.service", lease=30), find("old.service", lease=90)]
    seen = replace(reach(machine, *found), leases=frozenset({20, 30, 90}))
    plan = make_plan(state(*wanted), lay({w.unit.name: "m1" for w in wanted}), [machine], sights(seen))
    ((visit,),) = plan.waves
    assert visit.leases == {A: 20, "c.service": 30, "d.service": 30}
    assert {step.unit for step in visit.steps} == {"", "old.service", "d.service"}


def test_what_lets_go_first_keeps_the_other_leases_as_they_were() -> None:
    found = reach(M1, find(A, lease=10), find(B, lease=20))
    plan = make_plan(
        state(want(A, lease=10), want(B, lease=25)),
        lay({A: "m2", B: "m1"}),
        [M1, M2],
        sights(found, reach(M2)),
    )
    assert [[(visit.host, visit.leases) for visit in wave] for wave in plan.waves] == [
        [("h1", {B: 20})],
        [("h1", {B: 25}), ("h2", {A: 10})],
    ]


def test_a_changed_lease_is_written_and_read_by_systemd() -> None:
    seen = replace(reach(M1, find(A, lease=20)), leases=frozenset({20}))
    plan = make_plan(state(want(A, lease=30)), lay({A: "m1"}), [M1], sights(seen))
    assert steps(plan) == [{"h1": [f"lease {A}", "reload"]}]


def test_a_unit_whose_lease_on_a_lost_machine_runs_on_waits_for_it_and_says_how_long() -> None:
    gone = replace(M1, health=Health.LOST)
    left = doubted(A, reason="is lost, and its lease there runs for at most 12 s more")
    case = (state(want(A, lease=10)), lay({A: "m2"}), [gone, M2], sights(silent(M1), reach(M2)))
    waiting = make_plan(*case, in_doubt=left)
    assert waiting.waves == ()
    assert waiting.remarks == (
        f"Unit {A} waits: h1, which had it last, is lost, and its lease there runs for at most 12 s more",
    )
    assert steps(make_plan(*case)) == [{"h2": [f"write {A}", "reload", f"start {A}"]}]


# ---------------------------------------------------------------- remarks


def test_units_that_are_not_well_are_told() -> None:
    detail = Detail("exit-code", "1", 203)
    found = [
        replace(find("failed.service", active="failed"), detail=detail),
        replace(find("loop.service", active="activating", sub="auto-restart"), detail=detail),
        replace(find("once.service", active="activating", sub="auto-restart"), detail=Detail(restarts=0)),
        find("never.service", active="inactive", ending=Ending.NEVER_STARTED),
        find("ended.service", active="inactive", ending=Ending.BY_ITSELF),
        find("held.service", LOADED, "failed"),
    ]
    wanted = [want(item.entry.name, item.entry.target) for item in found]
    layout = lay({one.unit.name: "m1" for one in wanted})
    assert make_plan(state(*wanted), layout, [M1], sights(reach(M1, *found))).remarks == (
        "h1: failed.service has failed (exit-code, status 203)",
        "h1: loop.service keeps failing and systemd restarts it (exit-code, status 203)",
        "h1: never.service never started; 'fleetssh start never.service' tries again",
    )


@pytest.mark.parametrize(
    ("detail", "text"),
    [
        (None, ""),
        (Detail(), ""),
        (Detail("success", "1", 0), ""),
        (Detail("exit-code", "1", 2), " (exit-code, status 2)"),
        (Detail("timeout"), " (timeout)"),
        (Detail("success", load_error="bad unit file"), " (bad unit file)"),
    ],
)
def test_a_failure_is_described_in_systemds_words(detail: Detail | None, text: str) -> None:
    assert describe_failure(replace(find(A), detail=detail)) == text


# ---------------------------------------------------------------- properties over random worlds

NAMES = [f"u{number}.service" for number in range(6)]
ACTIVE = [
    ("active", "running"), ("inactive", "dead"), ("failed", "failed"), ("activating", "auto-restart"),
    ("deactivating", "stop"), ("active", "exited"),
]  # fmt: skip


@st.composite
def wanteds(draw: st.DrawFn, name: str) -> Wanted:
    is_global = draw(st.booleans()) and draw(st.booleans())
    return want(
        name,
        draw(st.sampled_from([LAUNCHED, LAUNCHED, LOADED, INACTIVE])),
        text=draw(st.sampled_from(["first", "second"])),
        generation=draw(st.integers(0, 2)),
        bound_to=tuple(draw(st.lists(st.sampled_from([n for n in NAMES if n < name]), max_size=1)))
        if name > NAMES[0]
        else (),
        is_global=is_global,
        lease=draw(st.sampled_from([None, None, 0, 10, 60])),
    )


@st.composite
def finds(draw: st.DrawFn, name: str) -> Found:
    active, sub = draw(st.sampled_from(ACTIVE))
    return find(
        name,
        draw(st.sampled_from([LAUNCHED, LOADED])),
        active,
        sub,
        noted=draw(st.sampled_from(["first", "second"])),
        text=draw(st.sampled_from(["first", "second", "by hand", None])),
        generation=draw(st.integers(0, 2)),
        linked=draw(st.booleans()),
        ending=draw(st.sampled_from(Ending)) if active == "inactive" else None,
        lease=draw(st.sampled_from([0, 0, 10, 30])),
    )


class World:
    """Some machines, what is wanted of them, and who does not answer."""

    def __init__(
        self, wanted: Mapping[str, Wanted], sims: list[Sim], retry: frozenset[str], order: list[int]
    ) -> None:
        self.state = State("c1", 1, wanted)
        self.sims = sims
        self.retry = retry
        self.order = order
        self.layout = place(wanted, self.machines(), {})

    def machines(self) -> list[Machine]:
        return [replace(sim.machine, health=sim.health) for sim in self.sims]

    def sightings(self) -> dict[str, Sighting]:
        return sights(*(sim.look() if sim.health is Health.UP else silent(sim.machine) for sim in self.sims))

    def plan(self, retry: frozenset[str] = frozenset()) -> Plan:
        return make_plan(self.state, self.layout, self.machines(), self.sightings(), retry)

    def apply(self, plan: Plan) -> None:
        by_host = {sim.machine.host: sim for sim in self.sims}
        for wave in plan.waves:
            for visit in wave:
                by_host[visit.host].apply(visit)


@st.composite
def worlds(draw: st.DrawFn, copies: int = 3) -> World:
    count = draw(st.integers(1, 3))
    homes = {name: draw(st.lists(st.integers(0, count - 1), max_size=copies, unique=True)) for name in NAMES}
    wanted = {name: draw(wanteds(name)) for name in NAMES if draw(st.integers(0, 4))}
    bound = {name: one.unit.bound_to for name, one in wanted.items()}
    health = st.sampled_from([Health.UP, Health.UP, Health.DOUBTFUL, Health.LOST])
    sims = [
        Sim(
            up(number, lease=draw(st.sampled_from([0, 0, 30]))),
            {name: draw(finds(name)) for name in NAMES if number in homes[name]},
            dict(bound),
            ("stranger.service",),
            draw(health) if copies > 1 else Health.UP,
            alive=draw(st.frozensets(st.sampled_from([10, 30]))),
        )
        for number in range(count)
    ]
    retry = frozenset(draw(st.lists(st.sampled_from(NAMES), max_size=2)))
    return World(wanted, sims, retry, draw(st.permutations(range(count))))


@settings(max_examples=300, deadline=None)
@given(worlds())
def test_a_plan_that_was_carried_out_leaves_nothing_to_plan(world: World) -> None:
    plan = world.plan(world.retry)
    assert check(world.state, plan, world.machines()) == ()
    world.apply(plan)
    again = world.plan()
    for visit in (visit for wave in again.waves for visit in wave):
        # systemd stopped it with a unit that left for good; whether it can run alone, only a start tells.
        (sim,) = [sim for sim in world.sims if sim.machine.host == visit.host]
        assert {step.action for step in visit.steps} == {Action.START}
        assert all(set(visit.units[step.unit].unit.bound_to) - set(sim.found) for step in visit.steps)
    world.apply(again)
    assert steps(world.plan()) == []


@settings(max_examples=200, deadline=None)
@given(worlds())
def test_machines_that_are_not_up_get_no_steps(world: World) -> None:
    plan = world.plan(world.retry)
    ups = {machine.host for machine in world.machines() if machine.health is Health.UP}
    assert {visit.host for wave in plan.waves for visit in wave} <= ups


@settings(max_examples=200, deadline=None)
@given(worlds())
def test_the_order_of_what_is_given_never_matters(world: World) -> None:
    plan = world.plan(world.retry)
    shuffled = World(
        dict(reversed(world.state.wanted.items())),
        [world.sims[index] for index in world.order],
        world.retry,
        world.order,
    )
    for sim in shuffled.sims:
        sim.found = dict(reversed(sim.found.items()))
    shuffled.layout = Layout(
        dict(reversed(world.layout.placements.items())),
        dict(reversed(world.layout.globals_on.items())),
        world.layout.unplaced,
        world.layout.moves,
    )
    assert shuffled.plan(world.retry).waves == plan.waves


@settings(max_examples=300, deadline=None)
@given(worlds(copies=1))
def test_no_unit_ever_runs_on_two_machines_that_answer(world: World) -> None:
    # The visits of a wave run side by side: at worst all its starts come before all its stops.
    plan = world.plan(world.retry)
    for wave in plan.waves:
        before = {sim.machine.host: sim.running() for sim in world.sims}
        world.apply(Plan(world.layout, (wave,)))
        for name, wanted in world.state.wanted.items():
            if not wanted.unit.requirements.is_global:
                homes = [s for s in world.sims if name in s.running() | before[s.machine.host]]
                assert len(homes) <= 1, (name, steps(plan))


@settings(max_examples=200, deadline=None)
@given(worlds())
def test_what_is_wanted_runs_in_the_end_unless_it_rests(world: World) -> None:
    world.apply(world.plan(frozenset(NAMES)))
    for sim in world.sims:
        if sim.health is not Health.UP:
            continue
        here = {name for name, p in world.layout.placements.items() if p.machine == sim.machine.id}
        here |= world.layout.globals_on.get(sim.machine.id, frozenset())
        assert set(sim.found) == here
        for name in here:
            wanted = world.state.wanted[name]
            assert sim.found[name].digest == wanted.unit.digest
            assert sim.found[name].entry.lease == lease_of(wanted, sim.machine)
            if wanted.target is LAUNCHED and not wanted.unit.bound_to:
                assert name in sim.running()


def test_a_refusal_is_carried_through_untouched() -> None:
    layout = replace(lay({}), unplaced={A: (Refusal("m1", "no"),)})
    sighting: Reached = reach(M1)
    assert make_plan(state(want(A)), layout, [M1], sights(sighting)).layout is layout
