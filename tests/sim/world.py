"""One seed's world: who and what there is, the storm over it, and how it has to be afterwards."""

from __future__ import annotations

from functools import partial
from random import Random
from typing import TYPE_CHECKING

from fleetssh.control.loop import INTERVAL_SECONDS
from fleetssh.control.reconcile import plan_pass
from fleetssh.core.health import LOOP_PATIENCE, Patience
from fleetssh.core.model import TargetState
from fleetssh.core.sighting import Failure
from fleetssh.inventory import Host, Inventory
from fleetssh.store.memory import MemoryStore
from tests.sim.controller import EPOCH, Computer, Process
from tests.sim.faults import Faults
from tests.sim.focus import FOCUSES
from tests.sim.kernel import Kernel
from tests.sim.ledger import Ledger
from tests.sim.machine import Machine
from tests.sim.network import Network
from tests.sim.person import operate
from tests.sim.rules import CONVERGED, Rules
from tests.sim.transcript import Transcript
from tests.sim.units import NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Container

AFTERMATH_PASSES = 12
"""After the storm so many passes bring everything to where it is wanted: two or three to look, stop and
start, the rest for leases to run out that have to be waited for."""

AFTERMATH_SECONDS = 10.0
"""From one of these passes to the next: less than any lease, and all of them more than the longest and its
margins."""

CRON_SECONDS = 15.0
CLUSTER = "c" * 32
KINDS = ("loop", "loop", "loop", "cron", "two loops", "loop and cron", "fork")


class World:
    """Everything that a seed gives. ``levers`` name safeguards that are turned off, to see them missed;
    ``about`` is the storm's focus, which the seed chooses without."""

    def __init__(self, seed: int, levers: frozenset[str] = frozenset(), about: str = "") -> None:
        self.seed, self.levers = seed, levers
        self.chance = chance = Random(seed)
        self.kernel = Kernel()
        self.transcript = Transcript(lambda: self.kernel.now)
        self.rules = Rules(self)
        self.network = Network(self)
        focus = FOCUSES[about or chance.choices(list(FOCUSES), (5, 2, 2, 1))[0]]
        self.faults = Faults(self, focus)
        self.stubborn, self.seconds = focus.stubborn, focus.seconds
        self.kind = chance.choice(focus.kinds or KINDS)
        self.patience = Patience() if self.kind == "cron" else LOOP_PATIENCE
        self.names = list(focus.names) or chance.sample(NAMES, chance.randint(3, 8))
        self.default_lease = 25 if chance.random() < 0.15 else 0
        self.machines: dict[str, Machine] = {}
        for number in range(chance.randint(*focus.machines)):
            host = f"m{number}"
            rate = 1 + chance.uniform(-0.005, 0.005)
            self.machines[host] = Machine(
                self, host, f"{number:x}{chance.getrandbits(124):031x}", f"z{number % 2}", rate
            )
            if chance.random() < 0.1:
                self.machines[host].own.add(chance.choice(self.names))
        self.members = set(self.machines)
        self.computers = [Computer("desk", rate=1 + chance.uniform(-0.005, 0.005))]
        self.processes: list[Process] = []
        self.ledgers = [self._new_ledger()]

    # ------------------------------------------------------------ who there is

    @property
    def all_machines(self) -> list[Machine]:
        """All machines, by name."""
        return list(self.machines.values())

    def others(self, machine: Machine) -> list[Machine]:
        """All machines but one."""
        return [other for other in self.machines.values() if other is not machine]

    def by_id(self, machine_id: str) -> Machine | None:
        """The machine with that id."""
        return next((m for m in self.machines.values() if m.id == machine_id), None)

    def inventory(self) -> Inventory:
        """The inventory as it is now."""
        hosts = tuple(self._host(self.machines[name]) for name in sorted(self.members))
        return Inventory("simulated", hosts, ())

    def _host(self, machine: Machine) -> Host:
        return Host(
            name=machine.host,
            address=machine.address,
            port=22,
            user=None,
            key_file=None,
            become=False,
            known_hosts=None,
            metadata={"zone": machine.zone},
            groups=(),
            where=f"simulated:{machine.host}",
            lease=self.default_lease,
        )

    def is_shared(self, ledger: Ledger | None, machine: Machine) -> bool:
        """Whether another state's controller renews the leases of a machine: copies of one state that each
        reach a part of the machines do not know of each other, and no lease can help."""
        return len(self.ledgers) > 1 and machine.renewed_by is not ledger

    def is_quiet_since(self, moment: float) -> bool:
        """Whether nothing went wrong since, and no visit is under way."""
        return self.faults.struck_at < moment and not self.network.under_way

    # ------------------------------------------------------------ states and processes

    def _new_ledger(self) -> Ledger:
        store = MemoryStore(CLUSTER, now=lambda: EPOCH + self.kernel.now)
        return Ledger("loop", self.computers[0], store.reopened, store)

    def process(self, name: str, computer: Computer, ledger: Ledger, *, keeps: bool = False) -> Process:
        """A new process, which does nothing yet."""
        process = Process(self, computer, f"{name}@{computer.name}", ledger, keeps)
        self.processes.append(process)
        return process

    def run_process(self, process: Process, body: Callable[[], None]) -> None:
        """Begins a process."""
        self.kernel.spawn(process.actor, body)

    def _keep_loop(self, name: str, computer: Computer, ledger: Ledger) -> None:
        """A loop that is started again some time after it died."""

        def launch() -> None:
            if not self.faults.raging:
                return
            process = self.process(name, computer, ledger, keeps=True)
            self.run_process(process, lambda: process.run_loop(INTERVAL_SECONDS))

            def look_after() -> None:
                if process.actor.done:
                    self.kernel.after(self.chance.uniform(0.5, 20.0), launch)
                elif self.faults.raging:
                    self.kernel.after(1.0, look_after)

            look_after()

        launch()

    def _keep_cron(self, name: str, computer: Computer, ledger: Ledger) -> None:
        """A pass every so often, each a process of its own."""

        def launch() -> None:
            if self.faults.raging:
                process = self.process(name, computer, ledger)
                self.run_process(process, lambda: process.run_once(self.patience))
                self.kernel.after(CRON_SECONDS, launch)

        launch()

    # ------------------------------------------------------------ the story

    def tell(self) -> None:
        """The whole story. Raises what broke."""
        try:
            self._storm()
            self._settle()
        finally:
            self.kernel.finish()

    def _storm(self) -> None:
        chance, desk = self.chance, self.computers[0]
        self.faults.raging = True
        ledger = self.ledgers[0]
        length = chance.uniform(*self.seconds)
        if self.kind != "cron":
            self._keep_loop("loop", desk, ledger)
        if self.kind == "two loops":
            self._keep_loop("pool", desk, ledger)
        if self.kind in ("cron", "loop and cron"):
            self._keep_cron("cron", desk, ledger)
        if self.kind == "fork":
            self.kernel.after(chance.uniform(20.0, length), lambda: self._fork(ledger))
        person = self.process("ann", desk, ledger)
        commands = chance.randint(3, 12)
        self.run_process(person, lambda: operate(self, person, commands, length / commands / 1.5))
        self._strike_now_and_then(length)
        self.kernel.sleep(self.kernel.main, length)
        self._check()
        self.faults.raging = False

    def _strike_now_and_then(self, length: float) -> None:
        for _ in range(self.chance.randint(0, 8)):
            self.kernel.after(self.chance.uniform(1.0, length), self.faults.strike_any)

    def _fork(self, ledger: Ledger) -> None:
        """Somebody copies the state to another computer and works with that."""
        laptop = Computer(
            "laptop", booted_at=self.kernel.now - 1000.0, rate=1 + self.chance.uniform(-0.005, 0.005)
        )
        self.computers.append(laptop)
        copy = ledger.copied("bob", laptop)
        self.ledgers.append(copy)
        self.transcript.say("laptop", "works with a COPY of the state")
        self._keep_loop("bob", laptop, copy)

    def _check(self) -> None:
        if self.kernel.failure is not None:
            raise self.kernel.failure

    def _settle(self) -> None:
        """Everything heals, one controller is left, and after so many passes all is as it should be."""
        self.transcript.say("main", "---- the storm is over ----")
        for process in self.processes:
            if not process.actor.done:
                self.kernel.kill(process.actor)
        self.members |= set(self.machines)
        self.network.heal(self.kernel.now)
        for machine in self.all_machines:
            machine.heal()
        self.kernel.sleep(self.kernel.main, AFTERMATH_SECONDS)
        # Of two copies of one state one takes the machines over; the other one must do no harm.
        ledgers = sorted(self.ledgers, key=lambda ledger: ledger.fence)
        if len(ledgers) > 1:
            ledgers[-1].adopt(ledgers[-1].fence)
        for ledger in ledgers:
            obeyed = ledger is ledgers[-1]
            process = self.process(ledger.who, ledger.computer, ledger)
            self.run_process(process, partial(self._come_right, process, is_obeyed=obeyed))
        while not process.actor.done and self.kernel.failure is None:
            self.kernel.sleep(self.kernel.main, AFTERMATH_SECONDS)
        self._check()

    def _come_right(self, process: Process, *, is_obeyed: bool) -> None:
        process.open()
        for _ in range(AFTERMATH_PASSES):
            process.one_pass(self.patience, wait=60.0)
            process.sleep(AFTERMATH_SECONDS)
        if is_obeyed:
            self._check_all(process)

    def _check_once(self, unread: Container[str], ledger: Ledger) -> None:
        """No unit is left running twice, but for what another state's controller started on a machine that
        waits for ``adopt``: until a person has seen it, nobody touches that copy nor the one at home."""
        homes: dict[str, str] = {}
        for machine in self.all_machines:
            for name, copy in sorted(machine.systemd.copies.items()):
                if machine.host in unread and copy.ledger is not ledger:
                    continue
                if name in homes and not copy.unit.requirements.is_global:
                    self.rules.broken(CONVERGED, f"{name} runs on {homes[name]} and {machine.host}")
                homes[name] = machine.host

    def _check_all(self, process: Process) -> None:
        planned = plan_pass(process.cluster(self.patience))
        unread = [s.host for s in planned.sightings.values() if getattr(s, "failure", None) is Failure.UNREAD]
        if unread and len(self.ledgers) > 1:
            # A copy knows only a part: it needs 'adopt' or 'state rebuild' to go on.
            self._check_once(unread, process.ledger)
            return
        if planned.unreached:
            self.rules.broken(CONVERGED, f"not reached: {planned.unreached}")
        steps = [
            f"{p.host}: {s.action} {s.unit} ({s.reason})"
            for w in planned.plan.waves
            for p in w
            for s in p.steps
        ]
        if not planned.plan.is_empty:
            self.rules.broken(
                CONVERGED, f"there is still something to do: {'; '.join(steps) or planned.plan.layout.moves}"
            )
        layout, wanted = planned.plan.layout, planned.state.wanted
        for machine in self.all_machines:
            here = {n for n, p in layout.placements.items() if p.machine == machine.id}
            here |= layout.globals_on.get(machine.id, frozenset())
            expected = {
                n: wanted[n].unit.digest for n in sorted(here) if wanted[n].target is TargetState.LAUNCHED
            }
            running = {n: c.unit.digest for n, c in sorted(machine.systemd.copies.items())}
            loaded = {n for n in here if wanted[n].target is TargetState.LOADED}
            # A visit that was cut short may have started what was then only to be loaded: nobody stops it but
            # the operator (fleet 5.2 leaves alone what others start).
            if expected.keys() != running.keys() - loaded:
                self.rules.broken(
                    CONVERGED, f"{machine.host} runs {sorted(running)} and should run {sorted(expected)}"
                )
            if any(running[name] != digest for name, digest in expected.items()):
                self.rules.broken(CONVERGED, f"{machine.host} runs an old text")
        for name, want in sorted(wanted.items()):
            plain = not want.unit.requirements.is_global and "@." not in name
            if (
                plain
                and want.target is not TargetState.INACTIVE
                and name not in layout.placements | dict(layout.unplaced)
            ):
                self.rules.broken(CONVERGED, f"{name} is wanted, and nobody knows of it")
