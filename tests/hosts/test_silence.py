"""A machine whose kernel answers and whose sshd does not is silent, at whatever word its sshd fell silent."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fleetssh.core.sighting import Failure, Unreached
from fleetssh.core.visit import Visit
from fleetssh.hosts.over_fabric import FabricCarrier
from fleetssh.inventory import Host


@contextmanager
def listening(greeting: bytes) -> Iterator[int]:
    """A port on which somebody accepts, says ``greeting`` and nothing more."""
    kept = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    peer, _ = server.accept()
                except OSError:
                    return
                peer.sendall(greeting)
                kept.append(peer)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
            for peer in kept:
                peer.close()


@pytest.mark.parametrize(
    ("greeting", "failure"),
    [
        (b"", Failure.STALLED),
        (b"SSH-2.0-Open", Failure.HALF),
        (b"Not allowed at this time\r\n", Failure.HALF),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Failure.HALF),
    ],
)
def test_a_sshd_that_falls_silent_has_a_kernel_that_answers(greeting: bytes, failure: Failure) -> None:
    """Who says anything is there: what holds the rest up may be here."""
    with listening(greeting) as port:
        carrier = FabricCarrier(connect_seconds=0.5)
        host = Host("m1", "127.0.0.1", port, "root", None, False, None, {}, (), "")
        for _ in range(2):  # which of paramiko's clocks runs out first is chance
            answer = carrier.visit(host, Visit(), 5.0)
            assert isinstance(answer, Unreached)
            assert answer.failure is failure, answer
