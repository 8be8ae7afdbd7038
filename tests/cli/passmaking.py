"""Passes made by hand over two machines, with the real placing and planning, for tests of what is told."""

from dataclasses import replace

from fleetssh.control.result import Pass
from fleetssh.control.survey import Survey
from fleetssh.core.model import Action, Health, Machine, MachineRecord, Placement, State, TargetState, Wanted
from fleetssh.core.outcomes import done_steps
from fleetssh.core.placement import place
from fleetssh.core.planning import make_plan, withhold
from fleetssh.core.requirements import read_unit
from fleetssh.core.sighting import Facts, Found, Manifest, ManifestEntry, Outcome, Reached

IDS = {"m1": "0b2e8d256ae17a74522b8dce625be8a2", "m2": "7c73a89bc94e21ac5b3b794e7c9ee034"}
ENDING = (Action.NOTE, Action.STOP)
"""What a machine could not begin, and what it could not stop: a visit ends there."""

LAUNCHED, LOADED, INACTIVE = TargetState.LAUNCHED, TargetState.LOADED, TargetState.INACTIVE


def unit(name, fleet="", target=LAUNCHED, command="/bin/true"):
    text = f"[Service]\nExecStart={command}\n[X-Fleet]\n{fleet}\n"
    return Wanted(read_unit(name, text.encode()), target)


def found(wanted, active="active", sub="running", **more):
    entry = ManifestEntry(wanted.unit.name, wanted.unit.digest, wanted.target, wanted.generation)
    return Found(entry, wanted.unit.digest, active=active, sub=sub, **more)


def look(host, *items, **more):
    address = f"10.0.0.{host[1:]}"
    manifest = Manifest("c", 0, tuple(item.entry for item in items))
    return Reached(host, address, Facts(IDS[host], "boot"), manifest, items, **more)


def make_pass(wanted, *sightings, placed=None, health=Health.UP):
    """A planned pass over m1 and m2; ``health`` is that of machines that did not answer."""
    seen = {s.host: s for s in sightings}
    machines = tuple(
        Machine(IDS[h], h, f"10.0.0.{h[1:]}", health=Health.UP if isinstance(s, Reached) else health)
        for h, s in seen.items()
    )
    records = {
        m.host: MachineRecord(
            m.host, m.id, lost=m.health is Health.LOST, failure="x" * (m.health is not Health.UP)
        )
        for m in machines
    }
    placements = {n: Placement(n, IDS[h], "it was there") for n, h in (placed or {}).items()}
    state = State("c", 1, {w.unit.name: w for w in wanted}, placements)
    layout = place(state.wanted, machines, placements)
    plan = make_plan(state, layout, machines, seen)
    return Pass(
        replace(state, placements=layout.placements), Survey(seen, records, machines), plan, seen, records
    )


def after(planned, *sightings, withheld=frozenset()):
    """The pass once it was carried out, with the newest looks."""
    seen = {**planned.sightings, **{s.host: s for s in sightings}}
    troubles = tuple((s.host, o) for s in sightings if isinstance(s, Reached) for o in s.outcomes if not o.ok)
    told = [visit for wave in planned.plan.waves for visit in withhold(wave, frozenset(withheld))]
    done = tuple(
        (visit.host, step) for visit in told for step in done_steps(visit, _spoken(visit, seen[visit.host]))
    )
    return replace(
        planned, sightings=seen, done=done, troubles=troubles, withheld=frozenset(withheld), acted=True
    )


def _spoken(told, sighting):
    """The same answer with the outcomes that a real machine gives of what went well."""
    if not isinstance(sighting, Reached) or any(o.action in ENDING for o in sighting.outcomes):
        return sighting
    said = {outcome.action for outcome in sighting.outcomes if not outcome.unit}
    kinds = {Action.LINK if step.action is Action.WRITE else step.action for step in told.steps}
    well = tuple(Outcome(kind, "", True) for kind in sorted(kinds - said - {Action.NOTE}))
    return replace(sighting, outcomes=(*sighting.outcomes, *well))
