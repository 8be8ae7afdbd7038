"""A kept connection to a machine that falls silent, and to one that only hangs."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import closing

import pytest

from fleetssh import clock
from fleetssh.control.loop import CONNECT_SECONDS, SILENCE_SECONDS
from fleetssh.core.sighting import Failure, Reached, Unreached
from fleetssh.core.visit import Visit
from fleetssh.hosts.over_fabric import FabricCarrier
from fleetssh.inventory import Host, load_inventory
from tests.live.conftest import Fleet, wait_for


@pytest.fixture
def m1(fleet: Fleet) -> Host:
    return next(host for host in load_inventory(fleet.lab.inventory_path).hosts if host.name == "m1")


@pytest.fixture
def carrier(m1: Host) -> Iterator[FabricCarrier]:
    """As the loop has it, and connected."""
    carrier = FabricCarrier(connect_seconds=CONNECT_SECONDS, silence_seconds=SILENCE_SECONDS)
    with closing(carrier):
        wait_for(lambda: isinstance(carrier.visit(m1, Visit(), 20.0), Reached), what="a first look")
        yield carrier


def test_a_machine_that_is_cut_off_is_suspected_and_one_visit_tells_two_looks(
    fleet: Fleet, m1: Host, carrier: FabricCarrier
) -> None:
    before = clock.monotonic()
    fleet.lab.cut("m1")
    wait_for(lambda: carrier.fallen() == {"m1"}, what="the connection to fall")
    seen = carrier.visit(m1, Visit(), 20.0)
    assert isinstance(seen, Unreached)
    assert seen.failure.is_silence
    assert (seen.looks, seen.sent) == (2, False)
    # Heard of last before the cut, or by a keepalive that was under way: since then nothing.
    assert SILENCE_SECONDS <= seen.silent_seconds <= clock.monotonic() - before + 2 * SILENCE_SECONDS
    again = carrier.visit(m1, Visit(), 20.0)
    assert isinstance(again, Unreached)
    assert again.looks == 1
    fleet.lab.heal("m1")
    wait_for(lambda: isinstance(carrier.visit(m1, Visit(), 20.0), Reached), what="a look")


def test_a_cable_that_was_cut_a_moment_ago_is_found_out_by_the_visit(
    fleet: Fleet, m1: Host, carrier: FabricCarrier
) -> None:
    fleet.lab.cut("m1")
    seen = carrier.visit(m1, Visit(), 20.0)  # nobody has noticed yet
    assert isinstance(seen, Unreached)
    assert seen.failure.is_silence
    assert (seen.looks, seen.sent) == (2, False)


def test_a_machine_that_hangs_is_not_silent(fleet: Fleet, m1: Host, carrier: FabricCarrier) -> None:
    """Its kernel answers, however long its sshd says nothing."""
    fleet.lab.freeze("m1")
    seen = carrier.visit(m1, Visit(), 2 * SILENCE_SECONDS)
    assert isinstance(seen, Unreached)
    assert seen.looks == 1
    assert seen.failure in (Failure.HALF, Failure.STALLED), seen


def test_who_has_no_way_out_cannot_tell_who_is_silent(m1: Host) -> None:
    """As when the VPN through which they are reached goes away."""
    way = ["unreachable", m1.address]
    subprocess.run(["ip", "route", "add", *way], check=True)
    try:
        with closing(FabricCarrier(connect_seconds=CONNECT_SECONDS)) as carrier:
            seen = carrier.visit(m1, Visit(), 20.0)
    finally:
        subprocess.run(["ip", "route", "del", *way], check=True)
    assert isinstance(seen, Unreached)
    assert (seen.failure, seen.message) == (Failure.LOCAL, "this computer has no route to it")
