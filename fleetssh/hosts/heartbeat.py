"""The heartbeat of kept connections: a word where nothing is heard, and an end to those that fell silent."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection

import paramiko

from fleetssh import clock
from fleetssh.hosts.keeping import KEEPALIVES, Kept

LOOKS = 6
"""At a machine that owes an acknowledgement, in the time that silence may last."""

SHORTEST_SECONDS = 0.05
"""Between two looks at anything: what is due at nearly the same time is done together."""

KEEPALIVE = "keepalive@openssh.com"
"""A request that every sshd knows, and does not answer."""


class Heartbeat:
    """One thread for all connections while there are any. The library would send keepalives from a thread for
    each, and waking that costs twice what it sends. Safe to use from several threads."""

    def __init__(self, connections: Callable[[], Collection[Kept]], silence_seconds: float) -> None:
        self._connections = connections
        self._pause = silence_seconds / KEEPALIVES
        self._look = silence_seconds / LOOKS
        self._lock = threading.Lock()
        self._beats = False

    def start(self) -> None:
        """To be called when there is a connection more."""
        with self._lock:
            if not self._beats:
                threading.Thread(target=self._beat, daemon=True).start()
                self._beats = True

    def _beat(self) -> None:
        while True:
            with self._lock:
                kept = self._connections()
                self._beats = bool(kept)
            if not kept:
                return
            due = min(self._look_at(connection) for connection in kept)
            clock.sleep(max(due, SHORTEST_SECONDS))

    def _look_at(self, kept: Kept) -> float:
        """Returns in how many seconds to do so again, at the latest."""
        if kept.line is None:
            return self._pause
        transport = kept.connection.transport
        owes, unheard = kept.line.contact()
        if owes:
            if kept.line.is_silent():
                transport.close()  # which ends whatever waits on it
            return self._look
        if unheard + SHORTEST_SECONDS < self._pause:
            return self._pause - unheard
        if _is_free(transport):
            with contextlib.suppress(EOFError, OSError, paramiko.SSHException):
                transport.global_request(KEEPALIVE, wait=False)
        return self._look


def _is_free(transport: paramiko.Transport) -> bool:
    """Whether a message goes out at once: nobody is sending one, and no new keys are being agreed upon. Else
    whoever is at it would hold up the heartbeat of all."""
    return transport.clear_to_send.is_set() and not transport.clear_to_send_lock.locked()
