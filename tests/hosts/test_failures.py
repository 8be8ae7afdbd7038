"""Which kind of failure an exception is: the kinds mean different things."""

from __future__ import annotations

import errno
import socket

import paramiko
import pytest

from fleetssh.core.sighting import Failure
from fleetssh.hosts.failures import Answered, Dropped, classify
from fleetssh.hosts.hostkeys import UnknownHostKey

KEY = paramiko.RSAKey.generate(1024)


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), Failure.REFUSED),
        (Dropped(answered=False), Failure.STALLED),
        (Dropped(answered=True), Failure.HALF),
        (Answered(EOFError()), Failure.HALF),
        (Answered(TimeoutError()), Failure.HALF),
        (OSError(errno.EHOSTUNREACH, "No route to host"), Failure.NO_ROUTE),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), Failure.NO_ROUTE),
        (TimeoutError("timed out"), Failure.TIMEOUT),
        (OSError(errno.ETIMEDOUT, "Connection timed out"), Failure.TIMEOUT),
        (paramiko.SSHException("Error reading SSH protocol banner"), Failure.STALLED),
        (paramiko.SSHException("No existing session"), Failure.STALLED),
        (paramiko.SSHException("Timeout opening channel."), Failure.STALLED),
        (paramiko.AuthenticationException("Authentication timeout."), Failure.STALLED),
        (paramiko.AuthenticationException("Authentication failed."), Failure.LOGIN),
        (paramiko.PasswordRequiredException("Private key file is encrypted"), Failure.LOGIN),
        (paramiko.SSHException("No authentication methods available"), Failure.LOGIN),
        (paramiko.BadHostKeyException("m1", KEY, KEY), Failure.HOST_KEY),
        (UnknownHostKey("its key is not in known_hosts"), Failure.HOST_KEY),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), Failure.LOCAL),
        (FileNotFoundError("its key file /k does not exist"), Failure.LOCAL),
        (PermissionError(errno.EACCES, "Permission denied"), Failure.LOCAL),
        (OSError(errno.EHOSTDOWN, "Host is down", "/home/me/.ssh/known_hosts"), Failure.LOCAL),
        (OSError(errno.ETIMEDOUT, "Connection timed out", "/home/me/.ssh/known_hosts"), Failure.LOCAL),
    ],
    ids=lambda value: getattr(value, "name", type(value).__name__),
)
def test_every_failure_has_its_kind(error: Exception, failure: Failure) -> None:
    kind, text = classify(error)
    assert kind is failure
    assert "Errno" not in text


def test_only_silence_may_lead_to_loss() -> None:
    silent = {failure for failure in Failure if failure.is_silence}
    assert silent == {Failure.REFUSED, Failure.NO_ROUTE, Failure.TIMEOUT, Failure.STALLED}
