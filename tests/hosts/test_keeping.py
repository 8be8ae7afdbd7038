"""Kept connections: one command a visit, renewed before they grow, known to have fallen; silent lines."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import paramiko
import pytest

from fleetssh import clock
from fleetssh.core.sighting import Failure, Unreached
from fleetssh.core.visit import Visit
from fleetssh.hosts import connections, keeping
from fleetssh.hosts.connections import RENEWAL_PAUSE
from fleetssh.hosts.keeping import WORN_CHANNELS, WORN_SPREAD, dial
from fleetssh.hosts.over_fabric import FabricCarrier
from fleetssh.inventory import Host

KEY = paramiko.ECDSAKey.generate()
REPLY = b"not a reply\n"


class Everybody(paramiko.ServerInterface):
    """Lets everybody in, and answers every command with nonsense at once."""

    def __init__(self, commands: list[bytes]) -> None:
        self.commands = commands

    def get_allowed_auths(self, _username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, _username: str, _key: paramiko.PKey) -> int:
        return paramiko.AUTH_SUCCESSFUL

    def check_channel_request(self, _kind: str, _number: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self.commands.append(command)
        threading.Thread(target=self._answer, args=(channel,), daemon=True).start()
        return True

    def _answer(self, channel: paramiko.Channel) -> None:
        while channel.recv(65536):
            pass
        channel.sendall(REPLY)
        channel.send_exit_status(0)
        channel.close()


class Server:
    """An SSH server of this process; ``transports`` are all connections that there ever were."""

    def __init__(self) -> None:
        self.transports: list[paramiko.Transport] = []
        self.commands: list[bytes] = []
        self.refuses = False
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._socket.accept()
            except OSError:
                return
            if self.refuses:
                peer.close()
                continue
            transport = paramiko.Transport(peer)
            transport.add_server_key(KEY)
            self.transports.append(transport)
            transport.start_server(server=Everybody(self.commands), event=threading.Event())

    def close(self) -> None:
        with suppress(OSError):  # closed before
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()
        for transport in self.transports:
            transport.close()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = clock.monotonic() + 30
    while not condition():
        assert clock.monotonic() < deadline, "waited 30 s"
        clock.sleep(0.02)


@pytest.fixture
def server() -> Iterator[Server]:
    with closing(Server()) as server:
        yield server


@pytest.fixture
def carrier() -> Iterator[FabricCarrier]:
    with closing(FabricCarrier(accept_new_host_keys=True, connect_seconds=10.0)) as carrier:
        yield carrier


@pytest.fixture
def host(server: Server, tmp_path: Path) -> Host:
    login = tmp_path / "id"
    paramiko.ECDSAKey.generate().write_private_key_file(str(login))
    keys = str(tmp_path / "known_hosts")
    return Host("m1", "127.0.0.1", server.port, "core", str(login), False, keys, {}, (), "")


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
