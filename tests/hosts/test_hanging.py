"""Whatever hangs on the way to a machine, its visit ends; what hangs on is not joined by a second one."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from fleetssh.core.errors import MachineError
from fleetssh.core.sighting import Failure, Sighting, Unreached
from fleetssh.core.visit import Visit
from fleetssh.hosts import connections, over_fabric
from fleetssh.hosts.attempts import Attempts, Hung, StillHung
from fleetssh.hosts.connections import Connections
from fleetssh.hosts.crew import Crew
from fleetssh.hosts.failures import Dropped
from fleetssh.hosts.over_fabric import FabricCarrier
from fleetssh.inventory import Host
from tests.hosts.server import Server, wait_for

HOUR = 3600.0


@pytest.fixture
def hasty() -> Iterator[FabricCarrier]:
    """A carrier that waits 3.4 s for a machine to let it in."""
    with closing(
        FabricCarrier(accept_new_host_keys=True, connect_seconds=0.3, silence_seconds=0.5)
    ) as carrier:
        yield carrier


def unreached(sighting: Sighting) -> Unreached:
    assert isinstance(sighting, Unreached)
    return sighting


def test_a_command_that_sshd_never_begins_ends_at_the_deadline(
    carrier: FabricCarrier, host: Host, server: Server
) -> None:
    """A machine without memory lets in, opens a session, and cannot fork. The library waits for ever."""
    server.executes.clear()
    seen = unreached(carrier.visit(host, Visit(), 0.5))
    assert (seen.failure, seen.message) == (Failure.HALF, "no complete answer within 0.5 s")
    assert seen.sent
    server.executes.set()
    seen = unreached(carrier.visit(host, Visit(), 30.0))
    assert "no complete answer" not in seen.message
    assert len(server.transports) == 2
    wait_for(lambda: [t.is_active() for t in server.transports] == [False, True])


def test_a_session_that_sshd_never_opens_on_a_kept_connection_ends(
    host: Host, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library's own limit for it is of the wall clock: an hour more, when that is set back by an hour."""
    monkeypatch.setattr(over_fabric, "HANDSHAKE_PHASES", 0)
    with closing(
        FabricCarrier(accept_new_host_keys=True, connect_seconds=HOUR, silence_seconds=0.5)
    ) as carrier:
        carrier.visit(host, Visit(), 30.0)
        server.opens.clear()
        seen = unreached(carrier.visit(host, Visit(), HOUR))
        assert (seen.failure, seen.sent) == (Failure.HALF, True)
        assert seen.message == "it hangs: its connection neither came up nor failed"
        server.opens.set()
        assert "it hangs" not in unreached(carrier.visit(host, Visit(), 30.0)).message
        assert len(server.transports) == 2


def test_one_that_hangs_does_not_keep_the_others_from_being_looked_at(
    carrier: FabricCarrier, host: Host, server: Server
) -> None:
    with closing(Server()) as well:
        server.executes.clear()
        hosts = [host, replace(host, name="m2", port=well.port)]
        seen = Crew().visit_all(carrier, [(h, Visit()) for h in hosts], deadline_seconds=2.0)
        answers = {s.host: unreached(s).message for s in seen}
    assert list(answers) == ["m2", "m1"]
    assert answers["m1"] == "no complete answer within 2 s"
    assert "no complete answer" not in answers["m2"]


def test_a_stream_that_sshd_never_begins_ends(hasty: FabricCarrier, host: Host, server: Server) -> None:
    server.executes.clear()
    with pytest.raises(MachineError, match="no complete answer within"):
        hasty.stream(host, "cat", lambda _: None, lambda _: None)


@contextmanager
def dumb(path: Path) -> Iterator[list[socket.socket]]:
    """An ssh-agent that accepts whoever comes, and never says a word; who came."""
    peers: list[socket.socket] = []
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(path))
        agent.listen()

        def accept() -> None:
            with suppress(OSError):  # the end
                while True:
                    peers.append(agent.accept()[0])

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield peers
        finally:
            agent.shutdown(socket.SHUT_RDWR)
            thread.join()
            for peer in peers:
                peer.close()


def test_a_login_that_hangs_is_given_up_and_no_other_one_follows_it(
    hasty: FabricCarrier, host: Host, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library asks an ssh-agent without a limit, as the resolver is asked for a name."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    hanging = replace(host, key_file=None)
    with dumb(tmp_path / "agent") as asked:
        seen = unreached(hasty.visit(hanging, Visit(), HOUR))
        assert (seen.failure, seen.sent) == (Failure.HALF, True)
        assert seen.message == "it hangs: its connection neither came up nor failed"
        threads = threading.active_count()
        for _ in range(3):
            seen = unreached(hasty.visit(hanging, Visit(), HOUR))
            assert (seen.failure, seen.message) == (Failure.LOCAL, "the last visit still hangs here")
            assert seen.sent
        assert threading.active_count() <= threads
        assert len(asked) == 1
        # A machine of another name is visited meanwhile.
        assert unreached(hasty.visit(replace(host, name="m2"), Visit(), 30.0)).failure is Failure.HALF
        assert len(server.commands) == 1
    wait_for(lambda: "still hangs" not in unreached(hasty.visit(host, Visit(), 30.0)).message)
    assert len(server.commands) == 2


def test_a_handshake_that_is_abandoned_ends(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own limit is of the wall clock: an hour more, when that is set back by an hour."""
    monkeypatch.setattr(connections, "DROPPED_TRIES", 1)
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        mute = replace(host, port=server.getsockname()[1])
        opening = Connections(accept_new_host_keys=True, connect_seconds=HOUR, silence_seconds=HOUR)

        def attempt() -> None:
            with pytest.raises(Dropped):
                opening.open(mute)
            ended.set()

        threading.Thread(target=attempt, daemon=True).start()
        peer, _ = server.accept()
        with closing(peer):
            assert peer.recv(100).startswith(b"SSH-2.0-")  # the handshake is under way
            opening.abandon("m2")
            assert not ended.is_set()
            opening.abandon("m1")
            assert ended.wait(30)


def test_an_attempt_gives_what_it_gives() -> None:
    attempts = Attempts()
    assert attempts.make("m1", lambda: 7, 30.0) == 7

    def fail() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        attempts.make("m1", fail, 30.0)
    assert attempts.make("m1", lambda: 8, 30.0) == 8


def test_attempts_at_one_machine_may_meet_while_neither_hangs() -> None:
    attempts = Attempts()
    assert attempts.make("m1", lambda: attempts.make("m1", lambda: 7, 30.0), 30.0) == 7


def test_an_attempt_that_hangs_is_waited_for_no_longer_and_stays_alone() -> None:
    attempts, end, made = Attempts(), threading.Event(), []

    def hang() -> None:
        made.append(1)
        end.wait()

    with pytest.raises(Hung):
        attempts.make("m1", hang, 0.05)
    with pytest.raises(StillHung):
        attempts.make("m1", hang, HOUR)
    assert made == [1]
    assert attempts.make("m2", lambda: 7, 30.0) == 7
    end.set()

    def is_free() -> bool:
        try:
            return attempts.make("m1", lambda: True, 30.0)
        except StillHung:
            return False

    wait_for(is_free)
