"""A user whose commands die in the middle, and what he does: each scenario goes to and fro for ever."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import count, cycle
from pathlib import Path
from typing import TypeAlias

from fleetssh.core.model import Placement, Wanted
from fleetssh.store.sqlite import SqliteStore
from tests.live.aftermath import Aftermath, Wish, faults, forget_lives, look_at, unit_text, wait_until_quiet
from tests.live.conftest import Fleet
from tests.live.cutting import Cut
from tests.live.killing import NEVER, Done, ForkServer
from tests.live.outside import edit_inventory
from tests.live.test_moving import give_role

NOT_AGAIN = frozenset({0})
ONCE = frozenset({1})


@dataclass(frozen=True)
class Round:
    """A command line to die in, and what must be true once the next pass has finished its work."""

    arguments: tuple[str, ...]
    wishes: Mapping[str, Wish]


@dataclass
class Play:
    """A user whose commands are killed, and the machines in his inventory."""

    fleet: Fleet
    server: ForkServer
    machines: tuple[str, ...]
    calm: dict[str, dict[str, tuple[str, str]]] = field(default_factory=dict)

    def run(self, *arguments: str, at: int = NEVER, fine: bool = True, cut: Cut | None = None) -> Done:
        done = self.server.run(arguments, self.fleet.folder, self.fleet.env, at=at, fine=fine, cut=cut)
        assert "Traceback" not in done.err, done.err
        return done

    def succeed(self, *arguments: str) -> Done:
        done = self.run(*arguments)
        assert done.code == 0, f"{arguments}: exit code {done.code}\n{done.out}{done.err}"
        return done

    def committed(self) -> tuple[Mapping[str, Wanted], Mapping[str, Placement]]:
        """What is wanted and where, as the state file says; nothing while there is none."""
        path = Path(self.fleet.env["FLEETSSH_STATE"])
        if not path.exists():
            return {}, {}
        with closing(SqliteStore(path)) as store:
            state = store.load()
        return state.wanted, state.placements

    def look(self, units: Mapping[str, Wish]) -> dict[str, Aftermath]:
        with ThreadPoolExecutor() as pool:
            seen = pool.map(lambda name: look_at(self.fleet.lab, name, list(units)), self.machines)
            return dict(zip(self.machines, seen, strict=True))

    def wait(self) -> None:
        """Returns when no machine is at work any more."""
        for machine in self.machines:
            wait_until_quiet(self.fleet.lab, machine)

    def lost(self, wishes: Mapping[str, Wish]) -> list[str]:
        """What is not as it must be, as the program sees it and as it is seen from outside."""
        plan = self.succeed("plan")
        found = [] if (plan.out, plan.err) == ("", "nothing to do\n") else [plan.out + plan.err]
        rows = {line.split()[0] for line in self.succeed("list-units", "--no-legend").out.splitlines()}
        found += [] if rows == {name for name, wish in wishes.items() if not wish.gone} else [str(rows)]
        seen = self.look(wishes)
        for unit in sorted(name for name, wish in wishes.items() if wish.calm):
            runs = {machine: after.process(unit) for machine, after in seen.items() if after.runs(unit)}
            if self.calm.setdefault(unit, runs) != runs:
                found.append(f"{unit} is another process: {self.calm[unit]}, now {runs}")
        return found + faults(seen, wishes)


def start_and_destroy(play: Play) -> Iterator[Round]:
    """From no state file and no known host at all to two units, and back."""
    play.fleet.env["FLEETSSH_KNOWN_HOSTS_FILE"] = str(play.fleet.folder / "known_hosts")
    play.fleet.env["FLEETSSH_ACCEPT_NEW_HOST_KEYS"] = "true"
    play.fleet.unit("job.service", unit_text(1))
    play.fleet.unit("every.service", unit_text(1, "Global=true"))
    names = ("job.service", "every.service")
    here = {"job.service": Wish(1), "every.service": Wish(1, play.machines)}
    gone = {"job.service": Wish(1, gone=True), "every.service": Wish(1, play.machines, gone=True)}

    while True:
        for file in (*play.fleet.folder.glob("state.db*"), *play.fleet.folder.glob("known_hosts")):
            file.unlink()
        yield Round(("start", *names), here)
        yield Round(("destroy", *names), gone)


def replace_and_restart(play: Play, restarts: frozenset[int] = ONCE) -> Iterator[Round]:
    """A changed file, and the same file anew, beside a unit that has nothing to do with it. ``restarts`` says
    how often the latter may be carried out."""
    calm = beside(play)

    for version in count(2):
        play.fleet.unit("job.service", unit_text(version))
        yield Round(("start", "--replace", "job.service"), {"job.service": Wish(version), **calm})
        again = Wish(version, times=restarts)
        yield Round(("restart", "job.service"), {"job.service": again, **calm})


def stop_and_start(play: Play) -> Iterator[Round]:
    """A unit that stays where it is."""
    calm = beside(play)

    while True:
        yield Round(("stop", "job.service"), {"job.service": Wish(1, times=NOT_AGAIN, loaded=True), **calm})
        yield Round(("start", "job.service"), {"job.service": Wish(1), **calm})


def move(play: Play) -> Iterator[Round]:
    """To and fro between two machines of which only one fits."""
    play.fleet.unit("job.service", unit_text(1, "MachineMetadata=role=front"))
    give_role(play.fleet, play.machines[0])
    calm = beside(play)

    for machine in cycle(reversed(play.machines)):
        give_role(play.fleet, machine)
        yield Round(("reconcile",), {"job.service": Wish(1, (machine,)), **calm})


def beside(play: Play) -> dict[str, Wish]:
    """Starts the unit that commands will be about, and one that must not notice any of it."""
    if not (play.fleet.folder / "job.service").exists():
        play.fleet.unit("job.service", unit_text(1))
    play.fleet.unit("calm.service", unit_text(1))
    play.succeed("start", "job.service", "calm.service")
    calm = {"calm.service": Wish(1, calm=True)}
    play.look(calm)
    return calm


Scenario: TypeAlias = Callable[[Play], Iterator[Round]]


@contextmanager
def playing(fleet: Fleet, folder: Path, *machines: str, user: str = "root") -> Iterator[Play]:
    """A user with an inventory, a state file and machines of his own; he logs in as ``user``."""
    folder.mkdir()
    own = Fleet(fleet.lab, folder, folder)

    def confine(everyone: dict[str, object], hosts: dict[str, object]) -> None:
        everyone.update(ansible_user=user, ansible_become=user != "root")
        for name in hosts.keys() - set(machines):
            del hosts[name]

    edit_inventory(own, confine)
    for machine in machines:
        forget_lives(fleet.lab, machine)
    server = ForkServer(folder)
    try:
        yield Play(own, server, machines)
    finally:
        server.close()


def side_by_side(*lanes: Callable[[], None]) -> None:
    """Several users at once, each with machines of his own."""
    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(lane) for lane in lanes]:
            done.result()
