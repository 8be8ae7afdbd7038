"""Carries visits over SSH: fabric opens the connection, the visit runs on a paramiko channel of its own."""

from __future__ import annotations

import contextlib
import math
import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import fabric
import paramiko
import tenacity

from fleetssh import clock
from fleetssh.core.errors import MachineError
from fleetssh.core.sighting import Failure, Sighting, Unreached
from fleetssh.core.visit import Visit
from fleetssh.hosts import Target
from fleetssh.hosts.conversation import Answer, converse
from fleetssh.hosts.failures import Dropped, classify
from fleetssh.hosts.hostkeys import HostKeys, entry_name
from fleetssh.hosts.jumps import JumpHosts
from fleetssh.hosts.logins import Logins, handshake_limits
from fleetssh.wire.reply import MAX_REPLY_BYTES
from fleetssh.wire.script import Script

CONNECT_SECONDS = 5.0
"""TCP and SSH handshake of a machine that is well take 0.1 s; a pass must not wait longer for a dead one."""

DROPPED_TRIES = 4
"""sshd drops connections at random beyond MaxStartups (10 by default): a few tries, spread out, get in."""

READ_BYTES = 256 * 1024
FEED_BYTES = 32 * 1024
NO_STATUS = -1
"""What the library says for the exit status of a command whose connection broke."""

POLL_SECONDS = 0.5
"""How long one read waits before standard error is drained too and the deadline is looked at."""


class FabricCarrier:
    """One SSH connection a machine, opened when first needed and kept for the run."""

    def __init__(
        self, *, accept_new_host_keys: bool = False, connect_seconds: float = CONNECT_SECONDS
    ) -> None:
        self._connect_seconds = connect_seconds
        self._host_keys = HostKeys(accept_new=accept_new_host_keys)
        self._logins = Logins()
        self._jumps = JumpHosts(self._host_keys, connect_seconds)
        self._config = fabric.Config(overrides={"run": {"hide": True}})
        self._connections: dict[str, fabric.Connection] = {}
        self._lock = threading.Lock()

    def visit(self, target: Target, visit: Visit, deadline_seconds: float) -> Sighting:
        """See Carrier.visit."""
        return converse(self.carry, target, visit, deadline_seconds)

    def fallen(self) -> frozenset[str]:
        """See Carrier.fallen."""
        with self._lock:
            kept = dict(self._connections)
        return frozenset(name for name, connection in kept.items() if not connection.is_connected)

    def carry(self, target: Target, script: Script, deadline_seconds: float) -> Answer | Unreached:
        """Sends one program and brings its answer; every failure to do so is a value. A kept connection that
        turns out dead is replaced once, before anything was sent on it."""
        try:
            channel, peer = self._open_channel(target)
        except Exception as error:
            self._drop(target.name)
            failure, text = classify(error)
            return Unreached(target.name, failure, text)
        try:
            with _closing(channel):
                return self._exchange(channel, peer, script, deadline_seconds)
        except Exception as error:
            self._drop(target.name)
            # It let us in, so it is not silent, whatever kept it from answering.
            return Unreached(target.name, Failure.HALF, classify(error)[1], sent=True)

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
                    self._drop(target.name)
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
        with self._lock:
            connections, self._connections = list(self._connections.values()), {}
        for connection in connections:
            with contextlib.suppress(Exception):
                connection.close()
        self._jumps.close()

    # ------------------------------------------------------------ one conversation

    def _exchange(
        self, channel: paramiko.Channel, peer: str, script: Script, deadline_seconds: float
    ) -> Answer:
        deadline = clock.monotonic() + deadline_seconds
        channel.settimeout(deadline_seconds)
        channel.exec_command(script.command)
        try:
            channel.sendall(script.program)
            channel.shutdown_write()
        except TimeoutError:
            raise
        except OSError:
            pass  # Who ends without listening may still have said why.
        channel.settimeout(POLL_SECONDS)
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
            if clock.monotonic() > deadline:
                raise TimeoutError(f"no complete answer within {deadline_seconds:g} s")
        channel.settimeout(max(POLL_SECONDS, deadline - clock.monotonic()))
        while data := channel.recv_stderr(READ_BYTES):
            error += data
        status = channel.recv_exit_status() if channel.status_event.wait(POLL_SECONDS) else NO_STATUS
        return Answer(bytes(output), bytes(error), None if status == NO_STATUS else status, peer)

    # ------------------------------------------------------------ connections

    def _open_channel(self, target: Target) -> tuple[paramiko.Channel, str]:
        connection = self._connection(target)
        try:
            return self._session(connection)
        except (EOFError, OSError, paramiko.SSHException):
            # The kept connection had died quietly; nothing was sent, so a fresh one may be tried.
            self._drop(target.name)
        return self._session(self._connection(target))

    def _session(self, connection: fabric.Connection) -> tuple[paramiko.Channel, str]:
        transport = connection.transport
        channel = transport.open_session(timeout=self._connect_seconds)
        # Behind a jump host the socket's other end is the jump host.
        peer = connection.host if connection.gateway else transport.getpeername()[0]
        return channel, str(peer)

    def _connection(self, target: Target) -> fabric.Connection:
        with self._lock:
            kept = self._connections.get(target.name)
        if kept is not None and kept.is_connected:
            return kept
        connection = self._connect(target)
        with self._lock:
            self._connections[target.name] = connection
        return connection

    def _connect(self, target: Target) -> fabric.Connection:
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Dropped),
            stop=tenacity.stop_after_attempt(DROPPED_TRIES),
            wait=tenacity.wait_random_exponential(multiplier=0.1, max=1.0),
            reraise=True,
        )
        return retrying(self._connect_once, target)

    def _connect_once(self, target: Target) -> fabric.Connection:
        connection = fabric.Connection(
            target.address,
            user=target.user,
            port=target.port,
            config=self._config,
            # fabric cuts fractions off, and takes 0 for no limit
            connect_timeout=math.ceil(self._connect_seconds),
            connect_kwargs=self._login(target),
        )
        name = entry_name(connection.host, connection.port)
        self._host_keys.prepare(connection.client, target.known_hosts, name)
        started = clock.monotonic()
        try:
            if connection.gateway is None:
                connection.connect_kwargs["sock"] = self._dial(connection.host, connection.port)
            self._jumps.prepare(connection, target.known_hosts)
            connection.open()
        except (EOFError, ConnectionResetError, paramiko.SSHException) as error:
            with contextlib.suppress(Exception):
                connection.close()
            if _is_drop(error) and clock.monotonic() - started < self._connect_seconds:
                raise Dropped from error
            raise
        return connection

    def _dial(self, host: str, port: int) -> socket.socket:
        sock = socket.create_connection((host, port), timeout=self._connect_seconds)
        # Without it a command waits 40 ms for the other side's delayed acknowledgement.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def _login(self, target: Target) -> dict[str, Any]:
        return handshake_limits(self._connect_seconds) | self._logins.choose(target.key_file)

    def _drop(self, name: str) -> None:
        with self._lock:
            connection = self._connections.pop(name, None)
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()


@contextlib.contextmanager
def _closing(channel: paramiko.Channel) -> Iterator[None]:
    """Closes a channel in the end, if there still is something to close."""
    try:
        yield
    finally:
        with contextlib.suppress(Exception):
            channel.close()


def _feed(channel: paramiko.Channel, source: int) -> None:
    """Hands a file descriptor's bytes to a command until either ends."""
    with contextlib.suppress(OSError, EOFError):
        while data := os.read(source, FEED_BYTES):
            channel.sendall(data)
        channel.shutdown_write()


def _is_drop(error: Exception) -> bool:
    refusals = (paramiko.AuthenticationException, paramiko.BadHostKeyException)
    return not isinstance(error, refusals) and (
        isinstance(error, EOFError | ConnectionResetError) or "banner" in str(error)
    )
