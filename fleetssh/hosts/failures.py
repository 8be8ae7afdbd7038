"""Which kind of failure an exception of the SSH library is; the kinds mean different things (rule 1)."""

from __future__ import annotations

import errno
import socket

import paramiko

from fleetssh.core.model import Failure
from fleetssh.hosts.hostkeys import UnknownHostKey

UNROUTABLE = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN})


class Dropped(Exception):
    """sshd closed the connection before it said hello: it is busy (MaxStartups), so asking again is right."""


def classify(error: Exception) -> tuple[Failure, str]:
    """The kind and a short text for a person."""
    text = " ".join((getattr(error, "strerror", None) or str(error)).split())
    match error:
        case paramiko.BadHostKeyException():
            return Failure.HOST_KEY, "its host key has changed; nothing is sent to it"
        case UnknownHostKey():
            return Failure.HOST_KEY, text
        case paramiko.AuthenticationException():
            return Failure.LOGIN, text or "no key was accepted"
        case Dropped() | ConnectionResetError() | EOFError():
            return Failure.REFUSED, "sshd closed the connection before it answered"
        case TimeoutError():
            return Failure.TIMEOUT, "" if text == "timed out" else text
        case ConnectionRefusedError():
            return Failure.REFUSED, "nothing listens on its SSH port"
        case socket.gaierror():
            return Failure.LOCAL, f"its name cannot be looked up: {text}"
        case OSError() if error.errno in UNROUTABLE:
            return Failure.NO_ROUTE, ""
        case OSError() if error.errno == errno.ETIMEDOUT:
            return Failure.TIMEOUT, ""
        case paramiko.SSHException() if "No authentication methods" in text:
            return Failure.LOGIN, "there is no key to offer"
        case paramiko.SSHException() if "banner" in text:
            return Failure.TIMEOUT, "connected, but sshd never said hello"
        case _:
            return Failure.LOCAL, text or type(error).__name__
