"""sd_notify: telling systemd how its service does, when it was systemd that started us."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping

from fleetssh import clock

BUFFER_SECONDS = 1.0
"""How long a message may wait for room with systemd: it must not hold up a pass."""

MICROSECONDS = 1_000_000


class Notifier:
    """The service manager, as far as it listens. Where there is none, and where it does not take a message,
    nothing happens: what watches over machines does not end because nobody watches over it."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        watched = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self._is_watched = watched and environ.get("WATCHDOG_USEC", "0") != "0"

    def ready(self) -> None:
        """The service has started, or has reloaded."""
        self._send("READY=1")

    def reloading(self) -> None:
        """The service reads its configuration anew; ``ready`` says that it is done."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={int(clock.monotonic() * MICROSECONDS)}")

    def stopping(self) -> None:
        """The service ends."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """One line for ``systemctl status``."""
        self._send(f"STATUS={text}")

    def alive(self) -> None:
        """The service does not hang (``WatchdogSec=``)."""
        if self._is_watched:
            self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        # systemd's spelling of the abstract namespace
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.settimeout(BUFFER_SECONDS)
            sock.sendto("\n".join(lines).encode(), address)
