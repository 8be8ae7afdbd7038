"""One pass, top to bottom: look, judge, place, plan, check, commit, act, record."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from fleetssh.control.chronicle import STEP, health_events, move_events, news, pass_events
from fleetssh.control.cluster import Cluster
from fleetssh.control.result import Pass
from fleetssh.control.survey import survey
from fleetssh.control.visiting import Errands
from fleetssh.core.checking import check
from fleetssh.core.doubt import NAMESAKE, Doubt, expecting, is_done_with
from fleetssh.core.errors import FleetError, StoreConflict
from fleetssh.core.health import judge
from fleetssh.core.identity import ghosts
from fleetssh.core.model import Action, MachinePlan, MachineRecord, Plan, Step
from fleetssh.core.outcomes import done_steps
from fleetssh.core.ownership import is_unread
from fleetssh.core.placement import place
from fleetssh.core.planning import leaving_units, make_plan, withhold
from fleetssh.core.sighting import Outcome, Reached, Sighting, Unreached
from fleetssh.core.visit import START_WAIT_SECONDS, Order
from fleetssh.hosts.crew import LOOK_SECONDS
from fleetssh.store import HISTORY_LIMIT, Event

RENEWALS = 3
"""How often the shortest lease is renewed within its time while a visit is waited for."""

COMMIT_TRIES = 3
"""Passes begun anew because somebody committed in between; a fourth conflict in a row is a defect."""


def plan_pass(cluster: Cluster, retry: frozenset[str] = frozenset(), *, fence: int | None = None) -> Pass:
    """Steps 1 to 6 of a pass: everything but touching. Raises FleetError when the plan contradicts itself.

    ``fence`` is that of the store's hold when the pass goes on; without one the machines only look.
    """
    state = cluster.store.load()
    seen = survey(cluster, state, fence)
    seen = replace(seen, in_doubt=_without_known(cluster, seen.in_doubt))
    known = {record.machine_id: host for host, record in seen.stored.items()}
    layout = place(state.wanted, seen.machines, state.placements, known)
    plan = make_plan(state, layout, seen.machines, seen.sightings, retry, seen.in_doubt)
    findings = check(state, plan, seen.machines, seen.in_doubt, seen.sightings)
    if findings:
        raise FleetError(
            "the plan contradicts itself, nothing was touched:\n  " + "\n  ".join(findings),
            hint="this is a defect of fleetssh: please report it with the output of 'fleetssh plan'",
        )
    planned = Pass(state, seen, plan, seen.sightings, seen.records)
    return replace(planned, plan=at_rest(plan)) if planned.is_fenced else planned


def _without_known(cluster: Cluster, in_doubt: Mapping[str, Doubt]) -> Mapping[str, Doubt]:
    """The doubts but for those about the names of units of ours that a pass worked on once."""
    if not any(doubt.reason == NAMESAKE for doubt in in_doubt.values()):
        return in_doubt
    ours = {event.subject for event in cluster.store.history(HISTORY_LIMIT) if event.kind == STEP}
    return {n: doubt for n, doubt in in_doubt.items() if doubt.reason != NAMESAKE or n not in ours}


def at_rest(plan: Plan) -> Plan:
    """The plan of a controller that a machine refused because it obeys another one: nothing at all. A machine
    that was booted a moment ago would obey anybody, and run what the other one has running elsewhere."""
    return replace(plan, layout=replace(plan.layout, moves=()), waves=())


def run_pass(
    cluster: Cluster,
    fence: int,
    retry: frozenset[str] = frozenset(),
    *,
    wait_seconds: int = START_WAIT_SECONDS,
) -> Pass:
    """A whole pass, by the right of the store's hold, which gave the ``fence``. A commit that somebody else
    overtook drops everything and begins anew.

    A visit waits for systemd's start jobs up to ``wait_seconds``, not at all with 0. Raises StoreError,
    InventoryError, FleetError; machines that fail are values in the result.
    """
    for attempt in range(1, COMMIT_TRIES + 1):
        began = cluster.clock.monotonic()
        planned = plan_pass(cluster, retry, fence=fence)
        try:
            return _carry_out(cluster, planned, wait_seconds, began)
        except StoreConflict:
            if attempt == COMMIT_TRIES:
                raise
    raise AssertionError("unreachable")


def _carry_out(cluster: Cluster, planned: Pass, wait_seconds: int, began: float) -> Pass:
    state, layout = planned.state, planned.plan.layout
    events = health_events(cluster.who, planned.survey.stored, planned.records, cluster.clock.now())
    if layout.moves:
        # First the machines that were never seen before: a placement on one that nobody remembers is void.
        known = {record.machine_id for record in planned.survey.stored.values()}
        cluster.store.remember(r for r in planned.records.values() if r.machine_id not in known)
        events += move_events(cluster.who, layout.moves, cluster.clock.now())
        state, events = cluster.store.commit(replace(state, placements=layout.placements), events), ()
    seen = planned.survey
    work = _Work(
        Errands(cluster, seen.claim, seen.hosts, seen.records),
        seen.sightings,
        dict(seen.sightings),
        dict(seen.records),
        wait_seconds,
    )
    *earlier, last = planned.plan.waves or ((),)
    for wave in earlier:
        work.act(wave)
        work.hold(wave)
    work.act(last)
    done = replace(
        planned,
        state=state,
        sightings=work.sightings,
        records=work.newest(),
        done=tuple(work.done),
        troubles=tuple(work.troubles),
        withheld=frozenset(work.held),
        acted=True,
    )
    events += pass_events(cluster.who, done, cluster.clock.monotonic() - began, cluster.clock.now())
    _remember(cluster, done, events)
    return done


@dataclass(slots=True)
class _Work:
    """The acting half of a pass: what was sent, what came back."""

    errands: Errands
    looked: Mapping[str, Sighting]
    sightings: dict[str, Sighting]
    records: dict[str, MachineRecord]
    wait_seconds: int
    done: list[tuple[str, Step]] = field(default_factory=list)
    troubles: list[tuple[str, Outcome]] = field(default_factory=list)
    held: set[str] = field(default_factory=set)
    stuck: set[str] = field(default_factory=set)

    def act(self, wave: Sequence[MachinePlan]) -> None:
        """Visits just the machines that have steps; their replies already hold the new look."""
        todo = {plan.host: plan for plan in withhold(wave, frozenset(self.held))}
        seen = {
            host: sighting
            for host in todo
            if isinstance(sighting := self.sightings[host], Reached) and host not in self.stuck
        }
        before = dict(self.records)
        at = self.errands.cluster.time()
        self._expect((todo[host] for host in seen), at)
        orders = {
            host: Order(todo[host], looked.manifest, self.wait_seconds, looked.mark)
            for host, looked in seen.items()
        }
        leases = [one.lease for record in self.records.values() for one in record.seen if one.lease]
        every = min(leases, default=LOOK_SECONDS) / RENEWALS
        answers = self.errands.act(at, orders, seen, lambda: self._keep(orders), every)
        for host, sighting in sorted(answers.items()):
            self.sightings[host] = sighting
            self.done += [(host, step) for step in done_steps(todo[host], sighting)]
            if isinstance(sighting, Unreached) and not sighting.sent:
                self.records[host] = before[host]
            if isinstance(sighting, Reached):
                failed = [outcome for outcome in sighting.outcomes if not outcome.ok]
                self.troubles += [(host, outcome) for outcome in failed]
                # What comes next was planned for a machine on which this visit would have been carried out.
                if any(outcome.action is Action.NOTE for outcome in failed):
                    self.stuck.add(host)

    def _keep(self, busy: Container[str]) -> None:
        """Renews the leases of the machines that are not ``busy`` while those are waited for: what takes long
        on one must not stop the units of the others."""
        seen = {
            host: sighting
            for host, sighting in self.sightings.items()
            if host not in busy and isinstance(sighting, Reached) and sighting.leases
        }
        if not seen:
            return
        at = self.errands.cluster.time()
        self.records |= {host: replace(self.records[host], armed_at=at) for host in seen}
        self.errands.cluster.store.remember(self.records[host] for host in seen)
        for host, sighting in self.errands.keep(at, seen).items():
            if isinstance(sighting, Reached) and sighting.manifest == seen[host].manifest:
                self.sightings[host] = sighting
            else:
                self.stuck.add(host)

    def _expect(self, plans: Iterable[MachinePlan], at: float) -> None:
        """Writes down, before the visits set out, what they may start and which leases they may renew."""
        expected = {plan.host: expecting(self.records[plan.host], plan, at) for plan in plans}
        changed = {host: record for host, record in expected.items() if record != self.records[host]}
        self.errands.cluster.store.remember(changed.values())
        self.records |= changed

    def newest(self) -> Mapping[str, MachineRecord]:
        """What is known of the machines, of the acted-on ones as they were after acting."""
        at = self.errands.cluster.time()
        acted = {
            host: sighting
            for host, sighting in self.sightings.items()
            if isinstance(sighting, Reached) and sighting is not self.looked[host]
        }
        judged = judge(self.records, acted, self.errands.cluster.patience, at).records
        return {**self.records, **{host: self._kept(record) for host, record in judged.items()}}

    def _kept(self, record: MachineRecord) -> MachineRecord:
        return replace(self.errands.dated(record), way=self.records[record.host].way)

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


def _remember(cluster: Cluster, done: Pass, events: Sequence[Event]) -> None:
    """Writes down what is known of the machines, and what happened unless it is no news."""
    names = {host.name for host in cluster.inventory.hosts}
    at = cluster.time()
    kept = {n: record for n, record in done.records.items() if n in names or not is_done_with(record, at)}
    stored = done.survey.stored
    kept |= ghosts({**stored, **done.records}, kept, names)
    forgotten = [n for n, old in stored.items() if n not in kept and not (n in names and is_unread(old))]
    told = news(events, cluster.store.history(len(events))) if events else ()
    cluster.store.remember(kept.values(), forgotten, told)
