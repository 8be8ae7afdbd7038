"""The connections of a run: one a machine, opened when first needed, kept, and replaced when it is worn."""

from __future__ import annotations

import contextlib
import math
import socket
import threading
from collections.abc import Set

import fabric
import paramiko
import tenacity

from fleetssh import clock
from fleetssh.hosts import Target
from fleetssh.hosts.dialing import dial
from fleetssh.hosts.failures import Answered, Dropped, classify
from fleetssh.hosts.heartbeat import Heartbeat
from fleetssh.hosts.hostkeys import HostKeys, entry_name
from fleetssh.hosts.jumps import JumpHosts
from fleetssh.hosts.keeping import Kept, Line, keep, way_to
from fleetssh.hosts.logins import Logins, handshake_limits

DROPPED_TRIES = 4
"""sshd drops connections at random beyond MaxStartups (10 by default): a few tries, spread out, get in."""

HESITATION_SECONDS = 0.05
"""Between two looks at a connection that either gets its acknowledgement or falls silent, within a second."""

RENEWAL_PAUSE = 10
"""Visits until the next try to replace a worn connection by a new one that did not come up."""


class Connections:
    """Safe to use from several threads, for different machines at a time."""

    def __init__(self, *, accept_new_host_keys: bool, connect_seconds: float, silence_seconds: float) -> None:
        self._connect_seconds = connect_seconds
        self._silence_seconds = silence_seconds
        self._host_keys = HostKeys(accept_new=accept_new_host_keys)
        self._logins = Logins()
        self._jumps = JumpHosts(self._host_keys, connect_seconds)
        self._kept: dict[str, Kept] = {}
        self._coming_up: dict[Line, str] = {}  # whose handshakes are under way
        self._lock = threading.Lock()
        self._heartbeat = Heartbeat(self._all, silence_seconds)

    def find(self, target: Target) -> Kept | None:
        """What is kept for a machine, up or not; nothing that was opened by another way."""
        with self._lock:
            kept = self._kept.get(target.name)
        return kept if kept is not None and kept.way == way_to(target) else None

    def _all(self) -> list[Kept]:
        with self._lock:
            return list(self._kept.values())

    def fallen(self) -> frozenset[str]:
        """The machines whose kept connection is not up any more, or may be about to fall silent."""
        with self._lock:
            kept = dict(self._kept)
        return frozenset(name for name, k in kept.items() if not k.is_up or k.hesitates)

    def open(self, target: Target) -> Kept:
        """The connection to a machine that is up and not worn, as far as can be told from here. Raises what
        the libraries raise."""
        kept = self.find(target)
        while kept is not None and kept.hesitates and kept.is_up:
            # What is sent now would have to be given up with the connection, in a moment.
            clock.sleep(HESITATION_SECONDS)
        if kept is not None and kept.is_up:
            return self._renew(target, kept) if kept.is_worn else kept
        self.drop(target.name)
        return self._keep(target)

    def drop(self, name: str) -> None:
        """Closes the connection to a machine, if there is one."""
        with self._lock:
            kept = self._kept.pop(name, None)
        if kept is not None:
            _close(kept.connection)

    def keep_only(self, names: Set[str]) -> None:
        """Closes the connections to all other machines."""
        with self._lock:
            others = self._kept.keys() - names
        for name in others:
            self.drop(name)

    def abandon(self, name: str) -> None:
        """Ends what comes up to a machine, and closes what is kept: whoever waits for them is told so."""
        with self._lock:
            lines = [line for line, whose in self._coming_up.items() if whose == name]
        for line in lines:
            with contextlib.suppress(OSError):  # gone meanwhile
                line.shutdown(socket.SHUT_RDWR)
        self.drop(name)

    def close(self) -> None:
        """Closes all of them."""
        with self._lock:
            connections, self._kept = list(self._kept.values()), {}
        for kept in connections:
            _close(kept.connection)
        self._jumps.close()

    def _keep(self, target: Target) -> Kept:
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Dropped),
            stop=tenacity.stop_after_attempt(DROPPED_TRIES),
            wait=tenacity.wait_random_exponential(multiplier=0.1, max=1.0),
            reraise=True,
        )
        kept = retrying(self._connect, target)
        with self._lock:
            self._kept[target.name] = kept
        self._heartbeat.start()
        return kept

    def _renew(self, target: Target, worn: Kept) -> Kept:
        """A new connection in the place of a worn one, which is not let go of before the new one is there."""
        try:
            kept = self._keep(target)
        except Exception:
            worn.limit += RENEWAL_PAUSE
            return worn
        _close(worn.connection)
        return kept

    def _connect(self, target: Target) -> Kept:
        connection = fabric.Connection(
            target.address,
            user=target.user,
            port=target.port,
            # One of its own: a connection writes into it, and others are made in other threads.
            config=fabric.Config(overrides={"run": {"hide": True}}),
            # fabric cuts fractions off, and takes 0 for no limit
            connect_timeout=math.ceil(self._connect_seconds),
            connect_kwargs=handshake_limits(self._connect_seconds) | self._logins.choose(target.key_file),
        )
        name = entry_name(connection.host, connection.port)
        self._host_keys.prepare(connection.client, target.known_hosts, name)
        started, line = clock.monotonic(), None
        try:
            if connection.gateway is None:
                line = dial(connection.host, connection.port, self._connect_seconds)
                connection.connect_kwargs["sock"] = line
                with self._lock:
                    self._coming_up[line] = target.name
            self._jumps.prepare(connection, target.known_hosts)
            connection.open()
            return keep(target, connection, line, self._silence_seconds)
        except Exception as error:
            answered = line.was_heard if line is not None else _has_greeted(connection)
            _close(connection)
            if line is not None:
                line.close()
            if not classify(error)[0].is_silence:
                raise
            if not answered:
                self._jumps.vouch(connection, error)
            if _is_drop(error) and clock.monotonic() - started < self._connect_seconds:
                raise Dropped(answered=answered) from error
            if answered:
                raise Answered(error) from error
            raise
        finally:
            if line is not None:
                with self._lock:
                    self._coming_up.pop(line, None)


def _close(connection: fabric.Connection) -> None:
    with contextlib.suppress(Exception):
        connection.close()


def _has_greeted(connection: fabric.Connection) -> bool:
    transport = connection.client.get_transport()
    return transport is not None and bool(transport.remote_version)


def _is_drop(error: Exception) -> bool:
    if isinstance(error, paramiko.AuthenticationException | paramiko.BadHostKeyException):
        return False
    if isinstance(error, paramiko.SSHException):
        return "banner" in str(error)
    return isinstance(error, EOFError | ConnectionResetError)
