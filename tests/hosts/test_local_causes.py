"""What goes wrong here is not told as silence of a machine."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import paramiko
import pytest

from fleetssh import clock
from fleetssh.core.sighting import Failure, Unreached
from fleetssh.core.visit import Visit
from fleetssh.hosts import keeping
from fleetssh.hosts.dialing import dial
from fleetssh.hosts.keeping import Line
from fleetssh.hosts.over_fabric import FabricCarrier
from fleetssh.inventory import Host
from tests.hosts.server import Everybody, Server

LIST, LISTED = 11, 12


def string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


@contextmanager
def waiting_for_a_touch(path: Path) -> Iterator[None]:
    """An ssh-agent that has a key, and asks a person before it signs anything."""
    key = paramiko.ECDSAKey.generate().asbytes()
    peers: list[socket.socket] = []

    def serve(peer: socket.socket) -> None:
        with suppress(OSError):
            while head := peer.recv(4):
                if peer.recv(struct.unpack(">I", head)[0])[0] == LIST:
                    listed = bytes([LISTED]) + struct.pack(">I", 1) + string(key) + string(b"it")
                    peer.sendall(string(listed))

    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(path))
        agent.listen()

        def accept() -> None:
            with suppress(OSError):
                while True:
                    peers.append(agent.accept()[0])
                    threading.Thread(target=serve, args=(peers[-1],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield
        finally:
            agent.shutdown(socket.SHUT_RDWR)
            for peer in peers:
                with suppress(OSError):
                    peer.shutdown(socket.SHUT_RDWR)
                peer.close()


def test_an_agent_that_does_not_sign_is_no_silence(
    host: Host, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    carrier = FabricCarrier(accept_new_host_keys=True, connect_seconds=0.5)
    with waiting_for_a_touch(tmp_path / "agent"):
        seen = carrier.visit(replace(host, key_file=None), Visit(), 30.0)
    assert isinstance(seen, Unreached)
    assert not seen.failure.is_silence, seen


def test_who_lets_us_in_and_opens_no_session_is_not_silent(
    carrier: FabricCarrier, host: Host, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenSSH beyond MaxSessions says it with the code of a jump host that could not connect."""
    monkeypatch.setattr(Everybody, "check_channel_request", lambda *_: paramiko.OPEN_FAILED_CONNECT_FAILED)
    seen = carrier.visit(host, Visit(), 30.0)
    assert isinstance(seen, Unreached)
    assert seen.failure is Failure.HALF, seen
    assert "opens no session" in seen.message


def test_of_several_addresses_the_error_that_accuses_the_machine_least_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """sshd is being restarted, and the name's other address leads nowhere from here."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        refusing = closed.getsockname()
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.socket() as first:
        first.connect(full.getsockname())
        to = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", at) for at in (refusing, full.getsockname())]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_: to)
        with pytest.raises(ConnectionRefusedError):
            dial("m1.example", 22, 0.3)


def test_a_pause_of_our_own_is_no_part_of_a_silence() -> None:
    ours, _ = socket.socketpair()
    line = Line(fileno=ours.detach())
    long_ago = [0] * 25
    long_ago[keeping.RETRANSMITS] = long_ago[keeping.UNACKED] = 1
    long_ago[keeping.LAST_DATA_RECEIVED] = long_ago[keeping.LAST_ACK_RECEIVED] = 600_000
    line._info = lambda: tuple(long_ago)  # type: ignore[method-assign]
    assert line.is_silent()
    assert line.silent_since is not None
    assert clock.monotonic() - line.silent_since < 60.0
    line.close()
