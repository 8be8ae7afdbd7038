"""A connection that breaks off: abruptly, at a chosen byte of what one visit sends or hears.

Runs in a child of ``killing.ForkServer``, under the real carrier on a real connection: only how many bytes
come through is decided here.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

FRAME = b"\nFLEETSSH "


@dataclass(frozen=True)
class Cut:
    """Where to cut. ``visit`` counts the commands that this run sends to the machine, from 1.

    ``sent``: so many bytes into the program, a negative number counted from its end. ``heard``: so many bytes
    after the frame number ``frame`` of the reply begins, or after its very begin for 0. ``late``: not before
    the machine has finished, though nothing more is heard. With none of these nothing is cut.
    """

    visit: int
    sent: int | None = None
    frame: int = 0
    heard: int | None = None
    late: bool = False


class Scissors:
    """Stands between the carrier and paramiko's channels."""

    def __init__(self, cut: Cut, heard: str) -> None:
        self._cut = cut
        self._visit = 0
        self._channel: Any = None
        self._received = b""
        self._severed = False
        self._record = os.open(heard, os.O_WRONLY)

    def attach(self) -> None:
        """From now on every channel goes through here."""
        from paramiko import Channel

        command: Callable[[Channel, str], None] = Channel.exec_command
        send: Callable[[Channel, bytes], None] = Channel.sendall
        receive: Callable[[Channel, int], bytes] = Channel.recv

        def exec_command(channel: Channel, text: str) -> None:
            self._visit += 1
            if self._visit == self._cut.visit:
                self._channel = channel
            command(channel, text)

        def sendall(channel: Channel, data: bytes) -> None:
            if channel is not self._channel or self._cut.sent is None:
                send(channel, data)
                return
            send(channel, data[: self._cut.sent])
            channel.transport.sock.shutdown(socket.SHUT_RDWR)
            send(channel, data[self._cut.sent :])

        def recv(channel: Channel, size: int) -> bytes:
            return self._recv(channel, receive) if channel is self._channel else receive(channel, size)

        Channel.exec_command = exec_command  # type: ignore[method-assign, assignment]
        Channel.sendall = sendall  # type: ignore[method-assign, assignment]
        Channel.recv = recv  # type: ignore[method-assign]

    def _recv(self, channel: Any, receive: Callable[[Any, int], bytes]) -> bytes:
        if self._severed:
            return b""
        if self._is_here():
            if self._cut.late:
                channel.status_event.wait()
            channel.transport.sock.shutdown(socket.SHUT_RDWR)
            self._severed = True
            return b""
        data = receive(channel, 1)
        os.write(self._record, data)
        self._received += data
        return data

    def _is_here(self) -> bool:
        """Whether what was heard reaches to the cut: the numbers in a frame are not always equally long."""
        if self._cut.heard is None:
            return False
        begin = max(0, self._received.rfind(FRAME))
        return (self._received.count(FRAME), len(self._received) - begin) >= (
            self._cut.frame,
            self._cut.heard,
        )
