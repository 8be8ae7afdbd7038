"""Dialling: a TCP connection to a port, and whose fault it is when there is none."""

from __future__ import annotations

import contextlib
import socket

from fleetssh.hosts.failures import UNROUTABLE
from fleetssh.hosts.keeping import SILENCE, Line


class NoWayError(Exception):
    """There is no way out of this computer, which says nothing of the machine."""


def dial(host: str, port: int, timeout_seconds: float) -> Line:
    """A line to a port. Raises OSError, and NoWayError where nothing leads there from here."""
    line = Line(fileno=_connect(host, port, timeout_seconds).detach())
    line.settimeout(timeout_seconds)
    # Without it a command waits 40 ms for the other side's delayed acknowledgement.
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return line


def _connect(host: str, port: int, timeout_seconds: float) -> socket.socket:
    """As socket.create_connection, which raises the last of several errors; here that which accuses the
    machine least. Where IPv6 leads nowhere, that is no word on what happened by IPv4."""
    try:
        return socket.create_connection((host, port), timeout=timeout_seconds, all_errors=True)
    except ExceptionGroup as errors:
        error = min(errors.exceptions, key=_accuses)
    if getattr(error, "errno", None) in UNROUTABLE and not _has_route(host, port):
        raise NoWayError("this computer has no route to it") from error
    raise error


def _has_route(host: str, port: int) -> bool:
    """Whether this computer's own routing table leads there. To connect a socket for datagrams asks that, and
    sends nothing."""
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM):
        with contextlib.suppress(OSError), socket.socket(family, kind, protocol) as asking:
            asking.connect(address)
            return True
    return False


def _accuses(error: Exception) -> int:
    """0: something here failed; 1: its kernel lives; 2: nothing was heard of it."""
    if isinstance(error, ConnectionRefusedError):
        return 1
    return 2 if isinstance(error, TimeoutError) or getattr(error, "errno", None) in SILENCE else 0
