"""One pass, top to bottom: look, judge, place, plan, check, commit, act, record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from fleetssh import clock
from fleetssh.control.chronicle import health_events, move_events, news, pass_events
from fleetssh.control.cluster import Cluster
from fleetssh.control.result import Pass
from fleetssh.control.survey import Survey, new_mark, survey
from fleetssh.core.checking import check
from fleetssh.core.errors import FleetError, StoreConflict
from fleetssh.core.health import judge
from fleetssh.core.model import MachinePlan, MachineRecord, State, Step
from fleetssh.core.outcomes import done_steps
from fleetssh.core.placement import place
from fleetssh.core.planning import leaving_units, make_plan, withhold
from fleetssh.core.sighting import Outcome, Reached, Sighting
from fleetssh.hosts.crew import ACT_SECONDS, visit_all
from fleetssh.store import Event
from fleetssh.wire.script import START_WAIT_SECONDS, write_act

COMMIT_TRIES = 3
"""Passes begun anew because somebody committed in between; a fourth conflict in a row is a defect."""


def plan_pass(cluster: Cluster, retry: frozenset[str] = frozenset()) -> Pass:
    """Steps 1 to 6 of a pass: everything but touching. Raises FleetError when the plan contradicts itself."""
    state = cluster.store.load()
    seen = survey(cluster, state.cluster)
    known = {record.machine_id: host for host, record in seen.stored.items()}
    layout = place(state.wanted, seen.machines, state.placements, known)
    plan = make_plan(state, layout, seen.machines, seen.sightings, retry, seen.in_doubt())
    findings = check(state, plan, seen.machines)
    if findings:
        raise FleetError(
            "the plan contradicts itself, nothing was touched:\n  " + "\n  ".join(findings),
            hint="this is a defect of fleetssh: please report it with the output of 'fleetssh plan'",
        )
    return Pass(state, seen, plan, seen.sightings, seen.records)


def run_pass(
    cluster: Cluster, retry: frozenset[str] = frozenset(), *, wait_seconds: int = START_WAIT_SECONDS
) -> Pass:
    """A whole pass. A commit that somebody else overtook drops everything and begins anew.

    A visit waits for systemd's start jobs up to ``wait_seconds``, not at all with 0. Raises StoreError,
    InventoryError, FleetError; machines that fail are values in the result.
    """
    for attempt in range(1, COMMIT_TRIES + 1):
        began = clock.monotonic()
        planned = plan_pass(cluster, retry)
        try:
            return _carry_out(cluster, planned, wait_seconds, began)
        except StoreConflict:
            if attempt == COMMIT_TRIES:
                raise
    raise AssertionError("unreachable")


def _carry_out(cluster: Cluster, planned: Pass, wait_seconds: int, began: float) -> Pass:
    state, layout = planned.state, planned.plan.layout
    events = health_events(cluster.who, planned.survey.stored, planned.records, clock.now())
    if layout.moves:
        events += move_events(cluster.who, layout.moves, clock.now())
        state, events = cluster.store.commit(replace(state, placements=layout.placements), events), ()
    work = _Work(cluster, state, dict(planned.sightings), wait_seconds)
    *earlier, last = planned.plan.waves or ((),)
    for wave in earlier:
        work.act(wave)
        work.hold(wave)
    work.act(last)
    done = replace(
        planned,
        state=state,
        sightings=work.sightings,
        records=_newest(cluster, planned.survey, work),
        done=tuple(work.done),
        troubles=tuple(work.troubles),
        withheld=frozenset(work.held),
        acted=True,
    )
    events += pass_events(cluster.who, done, clock.monotonic() - began, clock.now())
    _remember(cluster, done, events)
    return done


@dataclass(slots=True)
class _Work:
    """The acting half of a pass: what was sent, what came back."""

    cluster: Cluster
    state: State
    sightings: dict[str, Sighting]
    wait_seconds: int
    done: list[tuple[str, Step]] = field(default_factory=list)
    troubles: list[tuple[str, Outcome]] = field(default_factory=list)
    held: set[str] = field(default_factory=set)
    stuck: set[str] = field(default_factory=set)

    def act(self, wave: Sequence[MachinePlan]) -> None:
        """Visits just the machines that have steps; their replies already hold the new look."""
        todo = {plan.host: plan for plan in withhold(wave, frozenset(self.held))}
        targets = {host.name: host for host in self.cluster.inventory.hosts}
        visits = []
        for host, plan in sorted(todo.items()):
            seen = self.sightings[host]
            if isinstance(seen, Reached) and host not in self.stuck:
                become = targets[host].become
                visit = write_act(
                    new_mark(),
                    plan,
                    seen.manifest,
                    self.state.cluster,
                    become=become,
                    wait_seconds=self.wait_seconds,
                    known_boot=seen.facts.boot_id,
                )
                visits.append((targets[host], visit))
        answers = visit_all(
            self.cluster.carrier, visits, clock.now, deadline_seconds=ACT_SECONDS, forks=self.cluster.forks
        )
        for sighting in sorted(self.cluster.watched(answers), key=lambda sighting: sighting.host):
            self.sightings[sighting.host] = sighting
            self.done += [(sighting.host, step) for step in done_steps(todo[sighting.host], sighting)]
            if isinstance(sighting, Reached):
                self.troubles += [(sighting.host, o) for o in sighting.outcomes if not o.ok]

    def hold(self, wave: Sequence[MachinePlan]) -> None:
        """Keeps back what a machine was told to let go of and was not seen to have let go of (rule 5), and
        does nothing more there: what comes next may be what the old unit must make room for."""
        for host, units in leaving_units(wave).items():
            if remaining := _not_gone(units, self.sightings[host]):
                self.held |= remaining
                self.stuck.add(host)


def _not_gone(units: frozenset[str], sighting: Sighting) -> frozenset[str]:
    if isinstance(sighting, Reached):
        return units & {found.entry.name for found in sighting.found}
    return units


def _newest(cluster: Cluster, seen: Survey, work: _Work) -> Mapping[str, MachineRecord]:
    """What is known of the machines, of the acted-on ones as they were after acting."""
    return {**seen.records, **judge(seen.records, _reached(work.sightings), cluster.patience).records}


def _remember(cluster: Cluster, done: Pass, events: Sequence[Event]) -> None:
    """Writes down what is known of the machines, and what happened unless it is no news."""
    names = {host.name for host in cluster.inventory.hosts}
    forgotten = [name for name in done.survey.stored if name not in names]
    told = news(events, cluster.store.history(len(events))) if events else ()
    cluster.store.remember(done.records.values(), forgotten, told)


def _reached(sightings: Mapping[str, Sighting]) -> dict[str, Sighting]:
    return {host: s for host, s in sightings.items() if isinstance(s, Reached)}
