"""Kept connections: one command a visit, renewed before they grow, known to have fallen, cheap while idle."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import paramiko
import pytest

from fleetssh import clock
from fleetssh.core.sighting import Failure, Unreached
from fleetssh.core.visit import Visit
from fleetssh.hosts import connections, keeping
from fleetssh.hosts.connections import RENEWAL_PAUSE, Connections
from fleetssh.hosts.dialing import dial
from fleetssh.hosts.heartbeat import KEEPALIVE
from fleetssh.hosts.keeping import WORN_CHANNELS, WORN_SPREAD
from fleetssh.hosts.over_fabric import FabricCarrier
from fleetssh.inventory import Host
from tests.hosts.server import Server, wait_for


def visit(carrier: FabricCarrier, host: Host) -> None:
    """One visit, which the server answers with something that is no reply."""
    seen = carrier.visit(host, Visit(), 30.0)
    assert isinstance(seen, Unreached)
    assert seen.failure is Failure.HALF, seen
    assert seen.sent


def test_a_look_is_one_command_on_the_kept_connection(
    carrier: FabricCarrier, host: Host, server: Server
) -> None:
    for _ in range(3):
        visit(carrier, host)
    assert len(server.commands) == 3
    assert len(server.transports) == 1


def test_a_worn_connection_is_replaced_by_one_that_is_there_already(
    carrier: FabricCarrier, host: Host, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "WORN_CHANNELS", 3)
    monkeypatch.setattr(keeping, "WORN_SPREAD", 1)
    for _ in range(8):
        visit(carrier, host)
    assert len(server.commands) == 8
    assert len(server.transports) == 3
    assert max(len(transport.channels_seen) for transport in server.transports) == 3
    wait_for(lambda: [t.is_active() for t in server.transports] == [False, False, True])


def test_a_worn_connection_is_used_on_when_no_new_one_comes_up(
    carrier: FabricCarrier, host: Host, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "WORN_CHANNELS", 2)
    monkeypatch.setattr(keeping, "WORN_SPREAD", 1)
    monkeypatch.setattr(connections, "DROPPED_TRIES", 1)
    visit(carrier, host)
    visit(carrier, host)
    server.refuses = True
    for _ in range(RENEWAL_PAUSE):
        visit(carrier, host)
    assert len(server.transports) == 1
    server.refuses = False
    visit(carrier, host)
    assert len(server.transports) == 2


def test_machines_are_not_all_connected_anew_at_once() -> None:
    limits = [WORN_CHANNELS + keeping.crc32(f"m{n}".encode()) % WORN_SPREAD for n in range(1, 41)]
    assert len(set(limits)) > 20
    assert max(limits.count(limit) for limit in limits) <= 5


def test_a_connection_that_broke_off_has_fallen_until_it_is_used_again(
    carrier: FabricCarrier, host: Host, server: Server
) -> None:
    assert carrier.fallen() == frozenset()
    visit(carrier, host)
    assert carrier.fallen() == frozenset()
    server.transports[0].close()
    wait_for(lambda: carrier.fallen() == {"m1"})
    visit(carrier, host)
    assert carrier.fallen() == frozenset()


def test_who_is_gone_altogether_has_not_fallen_but_is_unreached(
    carrier: FabricCarrier, host: Host, server: Server
) -> None:
    """A broken connection that did not fall silent is one look, not two: the machine may just be booting."""
    visit(carrier, host)
    server.close()
    wait_for(lambda: carrier.fallen() == {"m1"})
    seen = carrier.visit(host, Visit(), 30.0)
    assert isinstance(seen, Unreached)
    assert (seen.failure, seen.looks, seen.sent) == (Failure.REFUSED, 1, False)
    assert carrier.fallen() == frozenset()


def _another(host: Host, part: str, folder: Path) -> Host:
    """The host as it is after a change of its inventory line; what it names is there."""
    if part == "user":
        return replace(host, user="somebody")
    if part == "known_hosts":
        return replace(host, known_hosts=str(folder / "other_hosts"))
    paramiko.ECDSAKey.generate().write_private_key_file(str(folder / "other"))
    return replace(host, key_file=str(folder / "other"))


@pytest.mark.parametrize("part", ["user", "key_file", "known_hosts"])
def test_who_is_visited_in_another_way_gets_a_new_connection(
    part: str, carrier: FabricCarrier, host: Host, server: Server, tmp_path: Path
) -> None:
    visit(carrier, host)
    visit(carrier, _another(host, part, tmp_path))
    assert len(server.transports) == 2
    wait_for(lambda: [t.is_active() for t in server.transports] == [False, True])


def test_a_name_that_leads_elsewhere_now_is_followed_at_once(
    carrier: FabricCarrier, host: Host, server: Server
) -> None:
    """The old connection is up and well: it just leads to another machine."""
    with closing(Server()) as new:
        visit(carrier, host)
        visit(carrier, replace(host, port=new.port))
        assert (len(server.commands), len(new.commands)) == (1, 1)
        wait_for(lambda: not server.transports[0].is_active())
        visit(carrier, replace(host, address="localhost"))
        assert (len(server.commands), len(new.commands)) == (2, 1)


def test_what_nothing_but_the_program_to_run_depends_on_keeps_the_connection(
    carrier: FabricCarrier, host: Host, server: Server
) -> None:
    visit(carrier, host)
    visit(carrier, replace(host, metadata={"region": "north"}, where="hosts.yml:7"))
    assert len(server.transports) == 1


def test_connections_of_those_that_are_not_visited_any_more_are_closed(
    carrier: FabricCarrier, host: Host, server: Server
) -> None:
    visit(carrier, host)
    visit(carrier, replace(host, name="m2"))
    carrier.keep_only({"m2", "m3"})
    wait_for(lambda: [t.is_active() for t in server.transports] == [False, True])
    assert carrier.fallen() == frozenset()
    visit(carrier, replace(host, name="m2"))
    assert len(server.transports) == 2


# ---------------------------------------------------------------- idle

HOUR = 3600.0


@pytest.fixture
def patient() -> Iterator[Connections]:
    """Connections with a keepalive every half an hour."""
    with closing(Connections(accept_new_host_keys=True, connect_seconds=10.0, silence_seconds=HOUR)) as found:
        yield found


def wakes(thread: threading.Thread) -> int:
    """How often the kernel was told that a thread waits for something."""
    status = Path(f"/proc/self/task/{thread.native_id}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in status if line.startswith("voluntary_ctxt_switches")))


def idle(thread: threading.Thread, ticks: int) -> None:
    """Waits until a thread that wakes regularly has done so a few times."""
    before = wakes(thread)
    wait_for(lambda: wakes(thread) >= before + ticks)


def test_a_connection_that_idles_does_not_wake(patient: Connections, host: Host, server: Server) -> None:
    """The server's end of it, which wakes ten times a second, tells how long it idled."""
    ours = patient.open(host).connection.transport
    theirs = server.transports[0]
    idle(theirs, 5)  # what the login left to say was said
    before = wakes(ours)
    idle(theirs, 10)
    assert wakes(ours) - before <= 1


def test_a_connection_that_idles_is_closed_at_once(patient: Connections, host: Host, server: Server) -> None:
    transport = patient.open(host).connection.transport
    idle(server.transports[0], 5)
    patient.drop(host.name)
    transport.join(30)
    assert not transport.is_alive()
    wait_for(lambda: not server.transports[0].is_active())


def test_a_connection_that_idles_sends_keepalives(host: Host, server: Server) -> None:
    opening = Connections(accept_new_host_keys=True, connect_seconds=10.0, silence_seconds=0.2)
    with closing(opening):
        kept = opening.open(host)
        wait_for(lambda: len(server.requests) >= 3)
        assert kept.is_up
    assert set(server.requests) == {KEEPALIVE}


def test_one_thread_is_the_heart_of_all_connections_and_ends_with_them(host: Host, server: Server) -> None:
    before = set(threading.enumerate())

    def hearts() -> int:
        new = set(threading.enumerate()) - before
        return sum(not isinstance(thread, paramiko.Transport) for thread in new)

    opening = Connections(accept_new_host_keys=True, connect_seconds=10.0, silence_seconds=0.2)
    for _ in range(2):
        opening.open(host)
        opening.open(replace(host, name="m2"))
        wait_for(lambda: hearts() == 1)  # the library has had timers for the logins
        opening.close()
        wait_for(lambda: hearts() == 0)


# ---------------------------------------------------------------- one line


@pytest.fixture
def pair() -> Iterator[tuple[keeping.Line, socket.socket]]:
    """A line, and its other end, which never reads by itself."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        line = dial("127.0.0.1", server.getsockname()[1], 5.0)
        peer, _ = server.accept()
        with closing(line), closing(peer):
            yield line, peer


def test_a_line_that_is_answered_is_not_silent(pair: tuple[keeping.Line, socket.socket]) -> None:
    line, peer = pair
    line.expect_answers(0.2)
    line.sendall(b"x")
    peer.sendall(b"y")
    assert line.recv(1) == b"y"
    assert not line.is_silent()
    assert not line.hesitates()
    line.close()
    assert not line.is_silent()
    assert not line.hesitates()


def test_a_line_gives_what_came_in_the_portions_that_it_is_asked_for(
    pair: tuple[keeping.Line, socket.socket],
) -> None:
    line, peer = pair
    sent = bytes(range(256)) * 400
    peer.sendall(sent)
    peer.close()
    assert line.recv(3) == sent[:3]
    read = sent[:3]
    while data := line.recv(1000):
        assert len(data) <= 1000
        read += data
    assert read == sent
    assert line.recv(1) == b""


def test_the_kernel_ends_a_line_on_which_nothing_gets_through(
    pair: tuple[keeping.Line, socket.socket],
) -> None:
    """Linux counts a window that stays shut like a peer that is gone, which needs no rights to try."""
    line, _ = pair
    line.expect_answers(0.2)
    line.settimeout(30)
    began = clock.monotonic()
    with pytest.raises(OSError, match="timed out"):
        while True:
            line.send(b"x" * 65536)
    assert line.is_silent()
    assert line.silent_since is not None
    assert began <= line.silent_since <= clock.monotonic()
