"""An SSH server of this process that lets everybody in, and waiting for what other threads do."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress

import paramiko

from fleetssh import clock

KEY = paramiko.ECDSAKey.generate()
REPLY = b"not a reply\n"


class Everybody(paramiko.ServerInterface):
    """Lets everybody in, and answers every command with nonsense at once."""

    def __init__(self, server: Server) -> None:
        self.commands = server.commands
        self.requests = server.requests
        self.opens = server.opens
        self.executes = server.executes

    def get_allowed_auths(self, _username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, _username: str, _key: paramiko.PKey) -> int:
        return paramiko.AUTH_SUCCESSFUL

    def check_global_request(self, kind: str, _message: paramiko.Message) -> bool:
        self.requests.append(kind)
        return False

    def check_channel_request(self, _kind: str, _number: int) -> int:
        self.opens.wait()
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self.commands.append(command)
        self.executes.wait()
        threading.Thread(target=self._answer, args=(channel,), daemon=True).start()
        return True

    def _answer(self, channel: paramiko.Channel) -> None:
        with suppress(OSError):  # who asked has gone
            while channel.recv(65536):
                pass
            channel.sendall(REPLY)
            channel.send_exit_status(0)
            channel.close()


class Server:
    """An SSH server of this process; ``transports`` are all connections that there ever were."""

    def __init__(self) -> None:
        self.transports: list[paramiko.Transport] = []
        self.commands: list[bytes] = []
        self.requests: list[str] = []  # those that ask for no session
        self.refuses = False
        self.opens = threading.Event()  # unless it is cleared, which leaves every session unopened
        self.opens.set()
        self.executes = threading.Event()  # unless it is cleared, which leaves every command unanswered
        self.executes.set()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._socket.accept()
            except OSError:
                return
            if self.refuses:
                peer.close()
                continue
            transport = paramiko.Transport(peer)
            transport.add_server_key(KEY)
            self.transports.append(transport)
            transport.start_server(server=Everybody(self), event=threading.Event())

    def close(self) -> None:
        self.opens.set()
        self.executes.set()
        with suppress(OSError):  # closed before
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()
        for transport in self.transports:
            transport.close()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = clock.monotonic() + 30
    while not condition():
        assert clock.monotonic() < deadline, "waited 30 s"
        clock.sleep(0.02)
