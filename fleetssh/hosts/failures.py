"""Which kind of failure an exception of the SSH library is; the kinds mean different things (rule 1)."""

from __future__ import annotations

import errno
import socket

import paramiko

from fleetssh.core.sighting import Failure
from fleetssh.hosts.attempts import Hung, StillHung
from fleetssh.hosts.hostkeys import UnknownHostKey
from fleetssh.hosts.jumps import JumpHostError
from fleetssh.hosts.logins import KeyFileError

STALLS = ("No existing session", "Authentication timeout", "Timeout")
"""How the library says that time ran out in the middle of a handshake: the machine's kernel answers and its
sshd does not."""

CONNECT_FAILED = 2
"""RFC 4254: why a jump host did not open a channel to a machine. It does not say whether that was refused,
had no route or took too long."""

UNROUTABLE = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN})


class Dropped(Exception):
    """sshd closed the connection before we were let in: it is busy (MaxStartups), so asking again is right.
    Some versions say so before (``answered``)."""

    def __init__(self, *, answered: bool) -> None:
        super().__init__()
        self.answered = answered


class Answered(Exception):
    """sshd said something to us, or even let us in, before ``error``: whatever that is, it is no silence."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def classify(error: Exception) -> tuple[Failure, str]:
    """The kind and a short text for a person."""
    if isinstance(error, Dropped) and error.answered:
        return Failure.HALF, "its sshd answered, and then closed the connection"
    if isinstance(error, Dropped | ConnectionResetError | EOFError):
        return Failure.STALLED, "sshd closed the connection before it answered"
    if isinstance(error, Answered) and isinstance(error.error, paramiko.ChannelException):
        return Failure.HALF, "its sshd lets us in, and opens no session (MaxSessions?)"
    if isinstance(error, Answered):
        kind, text = classify(error.error)
        return Failure.HALF, f"its sshd answered, and then: {text or kind}"
    if isinstance(error, StillHung):
        return Failure.LOCAL, "the last visit still hangs here"
    if isinstance(error, Hung):
        return Failure.HALF, "it hangs: its connection neither came up nor failed"
    if isinstance(error, KeyFileError):
        return Failure.LOCAL, str(error)
    if isinstance(error, JumpHostError):
        kind, text = classify(error.cause)
        return Failure.LOCAL, f"{error.way}: {kind}: {text}".removesuffix(": ")
    text = " ".join((getattr(error, "strerror", None) or str(error)).split())
    if isinstance(file := getattr(error, "filename", None), str):
        # A file here. Where it is on a share that is gone, "host is down" does not mean the machine.
        return Failure.LOCAL, f"{file}: {text}"
    if isinstance(error, paramiko.SSHException):
        return _classify_ssh(error, text)
    return _classify_network(error, text)


def _classify_ssh(error: paramiko.SSHException, text: str) -> tuple[Failure, str]:
    match error:
        case paramiko.BadHostKeyException():
            return Failure.HOST_KEY, "its host key has changed; nothing is sent to it"
        case UnknownHostKey():
            return Failure.HOST_KEY, text
        case paramiko.ChannelException() if error.code == CONNECT_FAILED:
            return Failure.REFUSED, "its jump host could not connect to it"
        case _ if text.startswith(STALLS):
            return Failure.STALLED, "sshd stopped answering"
        case _ if "banner" in text:
            return Failure.STALLED, "sshd never said hello"
        case paramiko.AuthenticationException():
            return Failure.LOGIN, text or "no key was accepted"
        case _ if "No authentication methods" in text:
            return Failure.LOGIN, "there is no key to offer"
        case _:
            return Failure.LOCAL, text or type(error).__name__


def _classify_network(error: Exception, text: str) -> tuple[Failure, str]:
    match error:
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
        case _:
            return Failure.LOCAL, text or type(error).__name__
