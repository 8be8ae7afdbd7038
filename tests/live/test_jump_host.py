"""A jump host that dies says nothing of the machines behind it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fleetssh import clock
from tests.live.conftest import Fleet
from tests.live.faults.controller import Loop
from tests.live.outside import configure_ssh, edit_inventory, service

WAYS = {
    "its jump host": "ProxyJump {m1}",
    "its ProxyCommand": "ProxyCommand ssh -F ~/.ssh/config -W %h:%p {m1}",
}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    """What leads to m3, as it is told."""
    return str(request.param)


@pytest.fixture
def behind_m1(fleet: Fleet, way: str) -> Iterator[Fleet]:
    """m2, and m3 to which only m1 leads, which is none of the cluster's: m2 cannot reach m3 either."""
    at = {machine.name: machine.address for machine in fleet.lab.machines()}
    fleet.lab.cut("m3", one_way=True)
    keys = f"IdentityFile {fleet.lab.key_path}\n  UserKnownHostsFile {fleet.lab.known_hosts_path}"
    proxy = WAYS[way].format(m1=at["m1"])
    configure_ssh(fleet, f"Host {at['m1']}\n  User root\n  {keys}\nHost {at['m3']}\n  {proxy}\n")
    edit_inventory(fleet, lambda _, hosts: hosts.pop("m1"))
    assert fleet.lab.run_inside("m2", ["ip", "route", "add", "blackhole", at["m3"]]).returncode == 0
    try:
        yield fleet
    finally:
        fleet.lab.run_inside("m2", ["ip", "route", "del", "blackhole", at["m3"]])


def test_behind_a_dead_jump_host_nobody_is_lost(behind_m1: Fleet, way: str) -> None:
    """Nothing answers for m3, and no other machine reaches it. But nobody has asked it."""
    fleet = behind_m1
    names = [fleet.unit(f"web{number}.service", service()) for number in (1, 2)]
    fleet.run("start", *names)
    (there,) = (name for name, ((machine, *_),) in fleet.units().items() if machine == fleet.legend("m3"))
    inside = fleet.lab.run_inside("m3", ["systemctl", "show", "-P", "MainPID", there]).stdout
    with Loop(fleet) as loop:
        loop.wait_passes(2, 0.0)
        cut = clock.monotonic()
        fleet.lab.cut("m1")
        # The pass that meets it may have begun before.
        loop.wait(lambda: any(turn.ended > cut and turn.err for turn in loop.turns), 60.0, "a word about m3")
        loop.wait_passes(3, cut)
        told = "".join(turn.out + turn.err for turn in loop.turns if turn.ended > cut)
        healed = clock.monotonic()
        fleet.lab.heal("m1")
        loop.wait_quiet(healed)
    assert f"cannot connect from here: {way}" in told
    assert told.count("\n") == 1
    assert fleet.lab.run_inside("m3", ["systemctl", "show", "-P", "MainPID", there]).stdout == inside
    assert fleet.units()[there][0][0] == fleet.legend("m3")
