"""The rules that are never traded away, checked at every effect, after every pass and after the storm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleetssh.control.result import Pass
from fleetssh.core.errors import FleetError
from fleetssh.core.model import Claim, State, TargetState
from fleetssh.core.sighting import Reached, Sighting, Unreached
from fleetssh.core.visit import Visit
from tests.sim.reasons import conflict, is_silent, must_leave, why_not_lost

if TYPE_CHECKING:
    from tests.sim.controller import Process
    from tests.sim.machine import Machine
    from tests.sim.network import Sent
    from tests.sim.world import World

LOOK_SECONDS = 20.0
"""A look takes no lock: one that was obeyed goes on when the machine learns of a better claim meanwhile."""

TWICE = "no unit runs twice"
LEASED_TWICE = "no leased unit runs twice, not even cut off"
CONFLICT = "conflicting units are never together"
TOGETHER = "MachineOf is together"
FOREIGN = "nothing foreign is touched"
FENCE = "a smaller fence never acts"
DOUBT = "a doubtful machine loses nothing"
HEALTHY = "no healthy unit is stopped without a reason"
PERSIST = "nothing is started that was not decided and written down before"
DEFECT = "the program has no defects"
CONVERGED = "after the storm everything comes right"


class Broken(Exception):
    """A rule was broken."""

    def __init__(self, rule: str, what: str) -> None:
        super().__init__(f"BROKEN: {rule}: {what}")
        self.rule = rule


class Rules:
    """Watches a world. Each method is told of one kind of event, after it has happened."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._greatest: dict[tuple[str, int], Claim] = {}
        self._remembered_at: dict[tuple[str, int], float] = {}

    def broken(self, rule: str, what: str) -> None:
        """Ends the seed."""
        self.world.transcript.say("RULE", f"BROKEN: {rule}: {what}")
        self.world.kernel.failure = self.world.kernel.failure or Broken(rule, what)
        raise self.world.kernel.failure

    # ------------------------------------------------------------ on a machine

    def started(self, machine: Machine, name: str, sent: Sent) -> None:
        """A unit was started by a visit."""
        copy = machine.systemd.copies[name]
        if not copy.unit.requirements.is_global:
            for other in self.world.others(machine):
                if other.may_run(name):
                    self._second_copy(machine, other, name, sent)
        for neighbour, beside in sorted(machine.systemd.copies.items()):
            if neighbour != name and conflict(
                copy.unit.requirements.conflicts, name, beside.unit.requirements.conflicts, neighbour
            ):
                self.broken(CONFLICT, f"{name} starts beside {neighbour} on {machine.host}")
        self._check_written(machine, name, sent)

    def _second_copy(self, machine: Machine, other: Machine, name: str, sent: Sent) -> None:
        ledger, old = sent.process.ledger, other.systemd.copies[name]
        is_heard, is_others = ledger.hears(other.host), old.ledger is not ledger
        if is_others and (not is_heard or old.since > sent.at):
            return  # two copies of one state that reach different machines cannot know of each other
        if name in sent.stopped and (is_others or not is_heard):
            return  # what was seen to run at home is not kept from being replaced there
        where = f"{name} starts on {machine.host} (visit {sent.number}) while it runs on {other.host}"
        if old.lease:
            if not self.world.is_shared(ledger, other):
                self.broken(LEASED_TWICE, f"{where}, lease {old.lease} s")
        elif other.host not in sent.lost and not any(
            machine.host in each.lost for each in self.world.ledgers
        ):
            self.broken(TWICE, where)

    def _check_written(self, machine: Machine, name: str, sent: Sent) -> None:
        states = sent.process.ledger.states_since(sent.revision)
        for state in states:
            wanted, placement = state.wanted.get(name), state.placements.get(name)
            if (
                wanted
                and wanted.target is TargetState.LAUNCHED
                and (wanted.unit.requirements.is_global or (placement and placement.machine == machine.id))
            ):
                return
        self.broken(PERSIST, f"{name} starts on {machine.host}, where no state has it")

    def stops(self, machine: Machine, name: str, sent: Sent) -> None:
        """A visit is about to stop or restart a unit."""
        if name in machine.own:
            self.broken(FOREIGN, f"{machine.host}: visit {sent.number} stops its own {name}")
        copy = machine.systemd.copies.get(name)
        entry = next((e for e in machine.manifest.entries if e.name == name), None)
        if copy is None or copy.active != "active":
            return
        sent.stopped.add(name)
        if entry is None:
            self.broken(FOREIGN, f"{machine.host}: visit {sent.number} stops {name}, which it does not list")
            return
        for state in sent.process.ledger.states_since(sent.revision):
            wanted, placement = state.wanted.get(name), state.placements.get(name)
            if wanted is None or wanted.target is not TargetState.LAUNCHED:
                return
            if wanted.unit.digest != copy.unit.digest or wanted.generation > entry.generation:
                return
            if wanted.unit.requirements.is_global:
                if machine.host not in sent.process.members or any(
                    conflict(wanted.unit.requirements.conflicts, name, other.unit.requirements.conflicts, n)
                    for n, other in state.wanted.items()
                ):
                    return
            elif placement is None or placement.machine != machine.id:
                return
        self.broken(HEALTHY, f"visit {sent.number} stops {name} on {machine.host}, where it belongs")

    def touches(self, machine: Machine, name: str, sent: Sent) -> None:
        """A visit writes or removes a file."""
        if name in machine.own or name in machine.strangers:
            self.broken(FOREIGN, f"{machine.host}: visit {sent.number} touches its own {name}")

    def remembered(self, machine: Machine, claim: Claim) -> None:
        """A machine obeys a claim from now on."""
        key = (machine.host, machine.boots)
        if key not in self._greatest or claim.fence > self._greatest[key].fence:
            self._greatest[key] = claim
            self._remembered_at[key] = self.world.kernel.now

    def acts(self, machine: Machine, sent: Sent) -> None:
        """A visit begins to change a machine."""
        claim, greatest = sent.visit.claim, self._greatest.get((machine.host, machine.boots))
        machine.say(f"carries out visit {sent.number} of {sent.process.who}: {sent.steps}")
        if claim and greatest and claim.cluster == greatest.cluster and claim.fence < greatest.fence:
            told = f"visit {sent.number} with fence {claim.fence}"
            self.broken(FENCE, f"{told} acts on {machine.host}, which has seen {greatest.fence}")

    def renewed(self, machine: Machine, sent: Sent) -> None:
        """A visit has renewed leases."""
        claim, greatest = sent.visit.claim, self._greatest.get((machine.host, machine.boots))
        since = self._remembered_at.get((machine.host, machine.boots), 0.0)
        is_news = self.world.kernel.now - since < LOOK_SECONDS
        if claim and greatest and claim.fence < greatest.fence and not is_news:
            told = f"visit {sent.number} with fence {claim.fence}"
            self.broken(FENCE, f"{told} renews leases on {machine.host}")
        machine.renewed_by = sent.process.ledger

    def thawed(self, machine: Machine) -> None:
        """A machine goes on, and what had elapsed has fired."""
        for name, copy in sorted(machine.systemd.copies.items()):
            if not copy.lease or copy.active != "active" or copy.unit.requirements.is_global:
                continue
            for other in self.world.others(machine):
                # One that ran before, by a text without a lease, was joined by this one and not the reverse.
                joined = other.runs(name) and other.systemd.copies[name].since > copy.since
                if joined and not self.world.is_shared(None, machine):
                    self.broken(
                        LEASED_TWICE,
                        f"{name} runs on after the thaw of {machine.host}, and on {other.host}",
                    )

    # ------------------------------------------------------------ of a controller

    def sends(self, process: Process, machine: Machine, sent: Sent) -> None:
        """A visit sets out. What the machines are that it may rely on is decided by then."""
        if sent.visit.order is not None:
            silent = {host for host, seen in process.ledger.looked.items() if is_silent(seen)}
            sent.lost |= {host for host in silent if not why_not_lost(self.world, process, host)}

    def answered(self, process: Process, host: str, visit: Visit, sighting: Sighting) -> None:
        """A process was told how a machine is. Only looks decide about silence: they are all made before."""
        if visit.order is not None and isinstance(sighting, Unreached):
            return
        process.ledger.answered(self.world.kernel.now, host, sighting, process.fence, process.who)

    def complains(self, process: Process, error: FleetError) -> None:
        """A pass ended in an error that is told to a person."""
        if "contradicts itself" in error.message:
            self.broken(DEFECT, error.message)

    def commits(self, process: Process, before: State, after: State) -> None:
        """A state was written."""
        process.ledger.history[after.revision] = after
        if before.wanted != after.wanted:
            process.say(f"writes revision {after.revision}")
            return
        for name, old in sorted(before.placements.items()):
            new = after.placements.get(name)
            if new is not None and new.machine == old.machine:
                continue
            process.say(
                f"revision {after.revision}: {name} leaves {self._host(old.machine)}"
                + (f" for {self._host(new.machine)}: {new.reason}" if new else "")
            )
            wanted = after.wanted.get(name)
            if wanted is None or wanted.target is TargetState.INACTIVE or wanted.unit.requirements.is_global:
                continue
            self._justify_move(process, name, old.machine, before, after)
        for name in sorted(after.placements.keys() - before.placements.keys()):
            process.say(
                f"revision {after.revision}: {name} goes to {self._host(after.placements[name].machine)}"
            )

    def _host(self, machine_id: str) -> str:
        machine = self.world.by_id(machine_id)
        return machine.host if machine else machine_id[:8]

    def _justify_move(self, process: Process, name: str, old: str, before: State, after: State) -> None:
        machine = self.world.by_id(old)
        if machine is None:
            return
        seen, is_member = process.ledger.looked.get(machine.host), machine.host in process.members
        if seen is None and not is_member:
            return  # nothing of ours was there when it left
        if isinstance(seen, Unreached) or seen is None:
            self.lost(process, machine.host)
        elif is_member and not must_leave(name, machine, before, after):
            self.broken(HEALTHY, f"{name} is moved off {machine.host}, where it fits")

    def lost(self, process: Process, host: str) -> None:
        """A controller has given a machine up: was it right to?"""
        if host in process.ledger.lost:
            return
        if why := why_not_lost(self.world, process, host):
            self.broken(DOUBT, f"{host} is given up {why}")
        process.say(f"gives up {host}")
        process.ledger.lost[host] = self.world.kernel.now

    def passed(self, process: Process, done: Pass) -> None:
        """A pass is over: what it promises of the machines that it reached."""
        for host, record in sorted(done.records.items()):
            # What is not ours to look at stays as lost as it was.
            if record.lost and is_silent(done.sightings[host]):
                self.lost(process, host)
        is_quiet = self.world.is_quiet_since(process.pass_began)
        if is_quiet and not (done.troubles or done.withheld or done.is_fenced):
            self._check_order(done)

    def _check_order(self, done: Pass) -> None:
        reached = [
            self.world.machines[host] for host, s in sorted(done.sightings.items()) if isinstance(s, Reached)
        ]
        homes: dict[str, str] = {}
        for machine in reached:
            for name, copy in sorted(machine.systemd.copies.items()):
                needs = copy.unit.requirements
                if not needs.is_global and name in homes:
                    self.broken(
                        TWICE,
                        f"{name} runs on {homes[name]} and {machine.host} after a pass that reached both",
                    )
                homes[name] = machine.host
                listed = {entry.name for entry in machine.manifest.entries}
                # A peer that waits for its lease elsewhere to run out has its place here already.
                listed |= {n for n, p in done.state.placements.items() if p.machine == machine.id}
                if any(peer not in listed for peer in needs.machine_of):
                    self.broken(TOGETHER, f"{name} runs on {machine.host} without {needs.machine_of}")
                for other, beside in sorted(machine.systemd.copies.items()):
                    if other > name and conflict(
                        needs.conflicts, name, beside.unit.requirements.conflicts, other
                    ):
                        self.broken(CONFLICT, f"{name} and {other} run on {machine.host} after a pass")
