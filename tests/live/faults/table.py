"""The table of faults, top to bottom."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from tests.live.conftest import Fleet
from tests.live.faults import harm
from tests.live.faults.controller import Controller, Cron
from tests.live.faults.relay import Relay
from tests.live.faults.rows import Fate, Row
from tests.live.faults.upsets import UPSETS, Upset
from tests.live.killing import Done
from tests.live.outside import edit_inventory, pinned

ROOT = Path(__file__).resolve().parents[3]

HOUR = 3600.0

Scene: TypeAlias = Row | Upset


def start_more(fleet: Fleet, machine: str) -> None:
    """The operator wants one more unit there, which cannot be written now."""
    fleet.unit("more.service", pinned(machine))
    fleet.run("start", "more", code=3)


@contextmanager
def with_sudo(fleet: Fleet) -> Iterator[None]:
    """The user logs in as somebody who must become root."""
    edit_inventory(fleet, lambda everyone, _: everyone.update(ansible_user="ops", ansible_become=True))
    yield


def take(hosts: dict[str, Any], ways: Mapping[str, Mapping[str, object]]) -> None:
    """Sets variables of hosts."""
    for name, way in ways.items():
        hosts[name].update(way)


class SlowLines:
    """A relay in front of each machine, at the controller's address, where the other machines find it too."""

    def __init__(self) -> None:
        self._relays: dict[str, Relay] = {}

    @contextmanager
    def around(self, fleet: Fleet) -> Iterator[None]:
        """The user reaches every machine through a relay that does not slow it down yet."""
        lines = fleet.lab.known_hosts_path.read_text().splitlines()
        keys = {line.partition(",")[0]: line.partition(" ")[2] for line in lines}
        ways: dict[str, dict[str, object]] = {}
        with ExitStack() as stack:
            for machine in fleet.lab.machines():
                here = machine.address.rpartition(".")[0] + ".1"
                relay = stack.enter_context(Relay(here, machine.address))
                self._relays[machine.name] = relay
                known = fleet.folder / f"known_hosts.{machine.name}"
                known.write_text(f"[{here}]:{relay.port} {keys[machine.address]}\n")
                ways[machine.name] = {
                    "ansible_host": here,
                    "ansible_port": relay.port,
                    "fleet_known_hosts": str(known),
                }
            edit_inventory(fleet, lambda _, hosts: take(hosts, ways))
            yield

    def slow_down(self, fleet: Fleet, machine: str) -> None:
        """300 ms to there and back, and 30 % of the packets lost each way."""
        self._relays[machine].delay = 0.15
        harm.lose(fleet, machine)

    def speed_up(self, fleet: Fleet, machine: str) -> None:
        """Makes it good."""
        self._relays[machine].delay = 0.0
        harm.heal(fleet, machine)


def with_clock(fleet: Fleet, seconds: float, *words: str) -> Done:
    """A command on a computer whose wall clock is wrong."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.live.faults.wrong_clock", str(seconds), *words],
        cwd=fleet.folder,
        env={**fleet.env, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Done(done.returncode, done.stdout, done.stderr, (), b"")


def wild_clock(fleet: Fleet) -> Controller:
    """Passes whose clock is right, an hour fast, an hour slow."""
    offsets = (0.0, HOUR, -HOUR)
    return Cron(fleet, make_pass=lambda number: with_clock(fleet, offsets[number % 3], "reconcile"))


SLOW = SlowLines()

ROWS = (
    Row("kill", Fate.MOVE, harm.kill, harm.boot, dies=True),
    Row("freeze past the verdict, thaw", Fate.MOVE, harm.freeze, harm.thaw, freezes=True),
    Row("cut past the verdict, heal", Fate.MOVE, harm.cut, harm.heal),
    Row("sshd stopped", Fate.MOVE, harm.run(harm.SSHD_STOPPED), harm.run(harm.SSHD_STARTED)),
    Row(
        "cut, controller's clock an hour wrong",
        Fate.MOVE,
        harm.cut,
        harm.heal,
        settings={"FLEETSSH_LOST_AFTER_SECONDS": "2", "FLEETSSH_CONNECT_TIMEOUT": "1"},
        controller=wild_clock,
    ),
    Row("kill and boot", Fate.STAY, harm.kill_and_boot, dies=True),
    Row("freeze 5 s", Fate.STAY, harm.freeze_for_a_while),
    Row("cut one way", Fate.STAY, harm.cut_one_way, harm.heal, passes=8),
    Row("sudo taken away", Fate.STAY, harm.run(harm.NO_SUDO), harm.run(harm.SUDO), around=with_sudo),
    Row(
        "sudo taken away for longer than a lease",
        Fate.STAY,
        harm.run(harm.NO_SUDO),
        harm.run(harm.SUDO),
        around=with_sudo,
        outlasts_lease=True,
    ),
    Row("host key changed", Fate.STAY, harm.run(harm.OTHER_KEY), harm.run(harm.FORMER_KEY)),
    Row("/run/fleet full", Fate.STAY, harm.run(harm.FULL), harm.run(harm.UNMOUNT), during=start_more),
    Row(
        "/run/fleet read-only", Fate.STAY, harm.run(harm.READ_ONLY), harm.run(harm.UNMOUNT), during=start_more
    ),
    Row("30 % packet loss", Fate.STAY, harm.lose, harm.heal, passes=20),
    Row(
        "30 % packet loss and 300 ms delay",
        Fate.STAY,
        SLOW.slow_down,
        SLOW.speed_up,
        passes=10,
        around=SLOW.around,
    ),
    Row("all machines cut", Fate.STAY, harm.cut_all, harm.heal_all, everywhere=True),
    Row("controller's network gone", Fate.STAY, harm.isolate, harm.rejoin, everywhere=True),
    Row(
        "short cut, controller's clock an hour wrong",
        Fate.STAY,
        harm.cut,
        harm.heal,
        settings={"FLEETSSH_CONNECT_TIMEOUT": "1"},
        controller=wild_clock,
    ),
)

SCENES: tuple[Scene, ...] = (*ROWS, *UPSETS)
