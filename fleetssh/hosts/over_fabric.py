"""Carries visits over SSH: fabric opens the connection, the visit runs on a paramiko channel of its own."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Set
from dataclasses import replace
from typing import TypeVar

import paramiko

from fleetssh import clock
from fleetssh.core.errors import MachineError
from fleetssh.core.sighting import Failure, Sighting, Unreached
from fleetssh.core.visit import Visit
from fleetssh.hosts import Target
from fleetssh.hosts.attempts import Attempts, Hung
from fleetssh.hosts.connections import Connections
from fleetssh.hosts.conversation import Answer, converse
from fleetssh.hosts.deadlines import Deadlines, Late
from fleetssh.hosts.failures import Answered, classify
from fleetssh.hosts.keeping import SILENCE_SECONDS, Kept
from fleetssh.wire.reply import MAX_REPLY_BYTES
from fleetssh.wire.script import Script

CONNECT_SECONDS = 5.0
"""TCP and SSH handshake of a machine that is well take 0.1 s; a pass must not wait longer for a dead one."""

HANDSHAKE_PHASES = 3
HANDSHAKE_SLACK_SECONDS = 2.0
"""Until a machine has let us in, a kept connection may have to fall silent, and then each phase of a new one
has its limit; but that runs on the wall clock, and for name look-ups and agents there is none. So all of it
together gets no longer than that, and a little for a busy controller."""

T = TypeVar("T")

DIED = (EOFError, OSError, paramiko.SSHException)
"""How opening a session fails on a connection that had died quietly: nothing was sent, so a fresh one may be
tried."""

READ_BYTES = 256 * 1024
FEED_BYTES = 32 * 1024
NO_STATUS = -1
"""What the library says for the exit status of a command whose connection broke."""

FELL_SILENT = "it fell silent in the middle of a visit, and came back"

POLL_SECONDS = 0.2
"""How long one read of a stream waits before standard error is handed on, and the time is looked at."""

DRAIN_SECONDS = 1.0
"""How long one read of an answer waits before standard error is drained, on which a visit says next to
nothing."""


class FabricCarrier:
    """One SSH connection a machine, opened when first needed and kept for the run."""

    def __init__(
        self,
        *,
        accept_new_host_keys: bool = False,
        connect_seconds: float = CONNECT_SECONDS,
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        self._connect_seconds = connect_seconds
        self._handshake_seconds = (
            silence_seconds + HANDSHAKE_PHASES * connect_seconds + HANDSHAKE_SLACK_SECONDS
        )
        self._attempts = Attempts()
        self._deadlines = Deadlines()
        self._connections = Connections(
            accept_new_host_keys=accept_new_host_keys,
            connect_seconds=connect_seconds,
            silence_seconds=silence_seconds,
        )

    def visit(self, target: Target, visit: Visit, deadline_seconds: float) -> Sighting:
        """See Carrier.visit."""
        return converse(self.carry, target, visit, deadline_seconds)

    def fallen(self) -> frozenset[str]:
        """See Carrier.fallen."""
        return self._connections.fallen()

    def keep_only(self, names: Set[str]) -> None:
        """See Carrier.keep_only."""
        self._connections.keep_only(names)

    def carry(self, target: Target, script: Script, deadline_seconds: float) -> Answer | Unreached:
        """Sends one program and brings its answer; every failure to do so is a value. A kept connection that
        turns out dead is replaced once, before anything was sent on it. Getting in may take
        ``HANDSHAKE_PHASES`` times ``connect_seconds`` and some, and the rest ``deadline_seconds``."""
        ends = clock.monotonic() + self._handshake_seconds + deadline_seconds
        before = self._connections.find(target)
        try:
            channel, peer = self._enter(target, before)
        except Exception as error:
            self._connections.drop(target.name)
            failure, text = classify(error)
            unreached = Unreached(target.name, failure, text, sent=isinstance(error, Hung))
            return _silent_twice(before, unreached)
        used = self._connections.find(target)
        try:
            with self._deadlines.within(deadline_seconds, channel.get_transport().close), _closing(channel):
                answer = self._exchange(channel, peer, script)
            if answer.status is not None or used is None or used.silent_since is None:
                return answer
            half = Unreached(target.name, Failure.HALF, FELL_SILENT, sent=True)
        except Exception as error:
            # It let us in, so it is not silent, whatever kept it from answering.
            half = Unreached(target.name, Failure.HALF, classify(error)[1], sent=True)
        self._connections.drop(target.name)
        return self._try_again(target, used, half, ends)

    def _enter(self, target: Target, kept: Kept | None) -> tuple[paramiko.Channel, str]:
        """Opens a channel. That on a connection of its own which is ready is quick, and ends with it;
        whatever else it takes, and what goes by a jump host, is an attempt, which costs a thread."""
        ends = clock.monotonic() + self._handshake_seconds
        if kept is not None and kept.line is not None and kept.is_ready:
            try:
                with self._deadlines.within(self._handshake_seconds, kept.connection.transport.close):
                    return self._session(kept)
            except Late as error:
                raise Hung from error
            except DIED:
                self._connections.drop(target.name)
        return self._attempt(target, self._open_channel, max(0.0, ends - clock.monotonic()))

    def _attempt(self, target: Target, opening: Callable[[Target], T], seconds: float) -> T:
        """Opens something to a machine. Raises Hung when that takes longer than ``seconds``, and ends what it
        hangs on where that can be ended."""
        try:
            return self._attempts.make(target.name, lambda: opening(target), seconds)
        except Hung:
            self._connections.abandon(target.name)
            raise

    def _try_again(self, target: Target, used: Kept | None, half: Unreached, ends: float) -> Unreached:
        """What to say of a visit that broke off. Where silence was the cause, a new connection is tried and
        kept: if that comes up, the machine is not silent. The visit is not sent again, as it may have come
        through. All is over when it ``ends``, on the clock of deadlines."""
        if used is None or used.silent_since is None:
            return half
        try:
            self._attempt(target, self._connections.open, max(0.0, ends - clock.monotonic()))
        except Exception as error:
            failure, text = classify(error)
            return _silent_twice(used, Unreached(target.name, failure, text, sent=True))
        return half

    def stream(
        self,
        target: Target,
        command: str,
        out: Callable[[bytes], None],
        err: Callable[[bytes], None],
        source: int | None = None,
        silence_seconds: float | None = None,
    ) -> int:
        """See Carrier.stream."""
        try:
            channel, _ = self._open_channel(target)
            with self._deadlines.within(self._handshake_seconds, channel.get_transport().close):
                channel.exec_command(command)
        except Exception as error:
            failure, text = classify(error)
            raise MachineError(f"{target.name}: {failure}: {text}".removesuffix(": ")) from error
        with _closing(channel):
            if source is not None:
                # A thread that may never end: it waits for a person at a keyboard.
                threading.Thread(target=_feed, args=(channel, source), daemon=True).start()
            channel.settimeout(POLL_SECONDS)
            heard = clock.monotonic()
            while True:
                with contextlib.suppress(TimeoutError):
                    data = channel.recv(READ_BYTES)
                    if not data:
                        break
                    out(data)
                    heard = clock.monotonic()  # after handing on: a slow reader is no silent machine
                while channel.recv_stderr_ready():
                    err(channel.recv_stderr(READ_BYTES))
                    heard = clock.monotonic()
                if silence_seconds is not None and clock.monotonic() - heard > silence_seconds:
                    self._connections.drop(target.name)
                    raise MachineError(
                        f"{target.name}: {Failure.TIMEOUT}: it said nothing for {silence_seconds:g} s"
                    )
            while data := channel.recv_stderr(READ_BYTES):
                err(data)
            status = channel.recv_exit_status()
        if status == NO_STATUS:
            raise MachineError(f"{target.name}: the connection broke off")
        return status

    def close(self) -> None:
        """See Carrier.close."""
        self._connections.close()

    # ------------------------------------------------------------ one conversation

    def _exchange(self, channel: paramiko.Channel, peer: str, script: Script) -> Answer:
        """The caller bounds it, and the heartbeat ends it when the machine falls silent."""
        channel.exec_command(script.command)
        try:
            channel.sendall(script.program)
            channel.shutdown_write()
        except OSError:
            pass  # Who ends without listening may still have said why.
        channel.settimeout(DRAIN_SECONDS)
        output, error = bytearray(), bytearray()
        while True:
            with contextlib.suppress(TimeoutError):
                data = channel.recv(READ_BYTES)
                if not data:
                    break
                output += data
            while channel.recv_stderr_ready():
                error += channel.recv_stderr(READ_BYTES)
            if len(output) + len(error) > MAX_REPLY_BYTES:
                raise paramiko.SSHException(f"it answered more than {MAX_REPLY_BYTES} bytes")
        channel.settimeout(None)
        while data := channel.recv_stderr(READ_BYTES):
            error += data
        status = channel.recv_exit_status() if channel.status_event.wait(POLL_SECONDS) else NO_STATUS
        return Answer(bytes(output), bytes(error), None if status == NO_STATUS else status, peer)

    def _open_channel(self, target: Target) -> tuple[paramiko.Channel, str]:
        kept = self._connections.open(target)
        try:
            return self._session(kept)
        except DIED:
            self._connections.drop(target.name)
        kept = self._connections.open(target)
        try:
            return self._session(kept)
        except DIED as error:
            # Among them what sshd says at MaxSessions: the code of a jump host that could not connect.
            raise Answered(error) from error

    def _session(self, kept: Kept) -> tuple[paramiko.Channel, str]:
        transport = kept.connection.transport
        channel = transport.open_session(timeout=self._connect_seconds)
        kept.channels += 1
        # Behind a jump host the socket's other end is the jump host.
        peer = transport.getpeername()[0] if kept.line else kept.connection.host
        return channel, str(peer)


@contextlib.contextmanager
def _closing(channel: paramiko.Channel) -> Iterator[None]:
    """Closes a channel in the end, if there still is something to close."""
    try:
        yield
    finally:
        with contextlib.suppress(Exception):
            channel.close()


def _silent_twice(broken: Kept | None, unreached: Unreached) -> Unreached:
    """A kept connection that fell silent and a new one that does not come up are two looks."""
    if broken is None or broken.silent_since is None or not unreached.failure.is_silence:
        return unreached
    silent = clock.monotonic() - broken.silent_since
    return replace(unreached, looks=2, silent_seconds=silent)


def _feed(channel: paramiko.Channel, source: int) -> None:
    """Hands a file descriptor's bytes to a command until either ends."""
    with contextlib.suppress(OSError, EOFError):
        while data := os.read(source, FEED_BYTES):
            channel.sendall(data)
        channel.shutdown_write()
