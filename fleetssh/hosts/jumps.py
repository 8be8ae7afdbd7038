"""Jump hosts (``ProxyJump`` in the ssh configuration): one checked connection to each, shared by all."""

from __future__ import annotations

import contextlib
import math
import threading

import fabric
import paramiko

from fleetssh.hosts.hostkeys import HostKeys, entry_name
from fleetssh.hosts.logins import handshake_limits


class JumpHostError(Exception):
    """A jump host cannot be used, which says nothing of the machines behind it. ``way`` names it."""

    def __init__(self, way: str, cause: Exception) -> None:
        super().__init__(way)
        self.way = way
        self.cause = cause


class JumpHosts:
    """The jump hosts of a run. Fabric would open a connection to the jump host for every machine behind it,
    more than its sshd lets in at once (MaxStartups), and take whatever host key it shows (rule 9)."""

    def __init__(self, host_keys: HostKeys, connect_seconds: float) -> None:
        self._host_keys = host_keys
        self._connect_seconds = connect_seconds
        self._hops: dict[str, tuple[fabric.Connection, threading.Lock]] = {}
        self._lock = threading.Lock()

    def prepare(self, connection: fabric.Connection, known_hosts: str | None) -> None:
        """Opens the jump host that ``connection`` goes through, if it goes through one and that is not open
        yet. Raises JumpHostError when that fails."""
        if not isinstance(connection.gateway, fabric.Connection):
            return
        connection.gateway = self._open(connection.gateway, known_hosts)

    def vouch(self, connection: fabric.Connection, error: Exception) -> None:
        """Has the jump host of a ``connection`` that did not come up show that it is there, if only by a
        refusal. Raises JumpHostError for ``error`` when it is not; then the next goes by a new connection."""
        hop = connection.gateway
        if hop is None:
            return
        if not isinstance(hop, fabric.Connection):
            # Whether the machine is silent, or what leads there, only the other program knows.
            raise JumpHostError("its ProxyCommand", error) from error
        try:
            hop.transport.open_session(timeout=self._connect_seconds).close()
        except paramiko.ChannelException:
            return
        except Exception:
            with contextlib.suppress(Exception):
                hop.close()
            raise JumpHostError(_name(hop), error) from error

    def close(self) -> None:
        """Closes them, and with them every connection behind them."""
        with self._lock:
            hops, self._hops = list(self._hops.values()), {}
        for hop, _ in hops:
            with contextlib.suppress(Exception):
                hop.close()

    def _open(self, hop: fabric.Connection, known_hosts: str | None) -> fabric.Connection:
        self.prepare(hop, known_hosts)
        with self._lock:
            shared, opening = self._hops.setdefault(_key(hop), (hop, threading.Lock()))
        with opening:
            if not shared.is_connected:
                self._host_keys.prepare(shared.client, known_hosts, entry_name(shared.host, shared.port))
                shared.connect_timeout = math.ceil(self._connect_seconds)
                for limit, seconds in handshake_limits(self._connect_seconds).items():
                    shared.connect_kwargs[limit] = seconds
                try:
                    shared.open()
                except Exception as error:
                    self.vouch(shared, error)
                    raise JumpHostError(_name(shared), error) from error
                # Otherwise the library waits an hour for a machine that the jump host cannot reach.
                shared.transport.channel_timeout = self._connect_seconds
        return shared


def _name(hop: fabric.Connection) -> str:
    return f"its jump host {hop.host}"


def _key(hop: fabric.Connection) -> str:
    through = f" through {_key(hop.gateway)}" if isinstance(hop.gateway, fabric.Connection) else ""
    return f"{hop.user}@{hop.host}:{hop.port}{through}"
