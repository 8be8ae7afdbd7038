"""Kept connections: how a machine's silence is noticed on one, and when one is worn out."""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
from dataclasses import dataclass
from typing import TypeAlias
from zlib import crc32

import fabric

from fleetssh import clock
from fleetssh.hosts import Target
from fleetssh.hosts.failures import UNROUTABLE

Way: TypeAlias = tuple[str, int, str | None, str | None, str | None]
"""Address, port, login name, key file and known_hosts."""

SILENCE_SECONDS = 10.0
"""Whose kernel acknowledges nothing for so long is not there: for commands, which can wait."""

KEEPALIVES = 2.5
"""So often something is said while silence may last: there always is a message under way that wants an
acknowledgement. The sooner one is missed, the likelier the loop's next pass asks other machines at once."""

AHEAD_BYTES = 32 * 1024
"""The library reads twice for every message; most of what a machine says in a visit comes at once."""

PATIENT_TRIES = 4
"""A slow or lossy line is given so many times as long as its kernel waits before it sends something again."""

WORN_CHANNELS = 200
"""A connection is replaced after so many visits: paramiko keeps an entry for every channel that there ever
was on it (its issue 1685), and a new connection costs a hundredth of so many visits."""

WORN_SPREAD = 100
"""Machines differ by up to so many visits, so that they are not all connected anew in one pass."""

SILENCE = frozenset({errno.ETIMEDOUT}) | UNROUTABLE
"""How the kernel says that nobody acknowledges what was sent."""

IS_LINUX = hasattr(socket, "TCP_USER_TIMEOUT") and hasattr(socket, "TCP_INFO")
"""Other kernels find silence out by themselves, after minutes."""

TCP_INFO = struct.Struct("=2x B 5x 24I")
RETRANSMITS, RTO, UNACKED, LAST_DATA_RECEIVED, LAST_ACK_RECEIVED = 0, 1, 5, 12, 13
"""Among the numbers of the kernel's ``struct tcp_info``: how often it has sent again what nobody has
acknowledged, microseconds until it does so, packets on their way, and twice milliseconds."""
NOTHING_KNOWN = (0,) * 25


class Line(socket.socket):
    """A TCP connection that knows whether its other side fell silent: ``silent_since`` is then when that was
    last heard of, on the clock of deadlines. ``was_heard`` tells whether it ever said anything."""

    silent_since: float | None = None
    was_heard = False
    _patience = SILENCE_SECONDS
    _ahead = b""

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """As socket.recv, in one thread at a time."""
        if not self._ahead:
            try:
                self._ahead = super().recv(AHEAD_BYTES, flags)
            except OSError as error:
                self._learn(error)
                raise
            self.was_heard = self.was_heard or bool(self._ahead)
        data, self._ahead = self._ahead[:size], self._ahead[size:]
        return data

    def send(self, data: bytes, flags: int = 0, /) -> int:  # type: ignore[override]
        """As socket.send."""
        try:
            return super().send(data, flags)
        except OSError as error:
            self._learn(error)
            raise

    def close(self) -> None:
        """As socket.close; whoever waits to read or to write is told at once."""
        with contextlib.suppress(OSError):  # closed before, or by the other side
            self.shutdown(socket.SHUT_RDWR)
        super().close()

    def expect_answers(self, within_seconds: float) -> None:
        """From now on the other side is silent when it was not heard of for so long, or for longer on a slow
        line, although it owes an acknowledgement. The kernel ends the connection at about the same time: it
        counts from what it has sent, which is up to a pause between keepalives later."""
        if IS_LINUX:  # elsewhere deadlines bound every visit
            slow = PATIENT_TRIES * self._info()[RTO] / 1e6
            self._patience = max(within_seconds, slow)
            unheard = self._patience * (1 - 1 / KEEPALIVES)
            self.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(1000 * unheard))

    def hesitates(self) -> bool:
        """Whether the other side owes an acknowledgement for so long that the kernel has sent again."""
        return self._info()[RETRANSMITS] > 0

    def is_silent(self) -> bool:
        """Whether the other side has fallen silent, and never came back since. After a pause of our own it
        was not heard of for long, but what is on its way then left just now."""
        if self.silent_since is None:
            info = self._info()
            if info[UNACKED] and info[RETRANSMITS] and _last_heard(info) > self._patience:
                self._fall_silent(info)
        return self.silent_since is not None

    def contact(self) -> tuple[bool, float]:
        """Whether the other side owes an acknowledgement, and how many seconds ago it was heard of."""
        info = self._info()
        return info[UNACKED] > 0, _last_heard(info)

    def _learn(self, error: OSError) -> None:
        if error.errno in SILENCE and self.silent_since is None:
            self._fall_silent(self._info())

    def _fall_silent(self, info: tuple[int, ...]) -> None:
        """Since it was last heard of, but a pause of our own is no part of a silence."""
        self.silent_since = clock.monotonic() - min(_last_heard(info), self._patience)

    def _info(self) -> tuple[int, ...]:
        """What the kernel knows; nothing of one that was closed meanwhile, and elsewhere than on Linux."""
        try:
            return TCP_INFO.unpack(self.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO.size))
        except (OSError, AttributeError, struct.error):
            return NOTHING_KNOWN


def _last_heard(info: tuple[int, ...]) -> float:
    """How long ago, in seconds."""
    return min(info[LAST_DATA_RECEIVED], info[LAST_ACK_RECEIVED]) / 1000


@dataclass(slots=True)
class Kept:
    """A connection that is kept for the next visit to where it leads, by the same ``way``. ``line`` is
    ``None`` behind a jump host; ``channels`` counts what it was used for, up to ``limit``."""

    way: Way
    connection: fabric.Connection
    line: Line | None
    limit: int
    channels: int = 0

    @property
    def is_up(self) -> bool:
        """Whether nobody has ended it, and its machine has not fallen silent."""
        return bool(self.connection.is_connected) and self.silent_since is None

    @property
    def hesitates(self) -> bool:
        """Whether its machine may be about to fall silent."""
        return self.line is not None and self.line.hesitates()

    @property
    def is_ready(self) -> bool:
        """Whether the next visit can go out on it at once."""
        return self.is_up and not self.is_worn and not self.hesitates

    @property
    def is_worn(self) -> bool:
        """Whether it is time for a new one."""
        return self.channels >= self.limit

    @property
    def silent_since(self) -> float | None:
        """When the machine was last heard of, if it is known to have fallen silent."""
        return self.line.silent_since if self.line else None


def way_to(target: Target) -> Way:
    """What a connection depends on: a target that differs in any of it needs another one."""
    return (target.address, target.port, target.user, target.key_file, target.known_hosts)


def keep(target: Target, connection: fabric.Connection, line: Line | None, silence_seconds: float) -> Kept:
    """Has an open connection notice silence of its machine, between visits too (see Heartbeat)."""
    # By itself the library wakes ten times a second to see whether it was closed or has a keepalive to send.
    # But it is woken when it is closed, and a line has a heartbeat.
    if line is not None and IS_LINUX:
        line.expect_answers(silence_seconds)
        line.settimeout(None)
    else:
        pause = silence_seconds / KEEPALIVES
        connection.transport.sock.settimeout(pause)
        connection.transport.set_keepalive(pause / 2)
    limit = WORN_CHANNELS + crc32(target.name.encode()) % WORN_SPREAD
    return Kept(way_to(target), connection, line, limit)
