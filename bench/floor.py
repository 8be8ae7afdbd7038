"""The floor: what any SSH tool must do - connect, run one command, read its answer - with bare paramiko."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import paramiko

from fleetssh.hosts.crew import FORKS
from fleetssh.lab import Lab


class Floor:
    """One client a machine of a lab."""

    def __init__(self, lab: Lab) -> None:
        self._addresses = [machine.address for machine in lab.machines()]
        self._key, self._known = str(lab.key_path), str(lab.known_hosts_path)
        self._clients: list[paramiko.SSHClient] = []

    def cold(self) -> None:
        """Connects to every machine and runs one command."""
        self.close()
        with ThreadPoolExecutor(FORKS) as pool:
            self._clients = list(pool.map(self._connect, self._addresses))
            list(pool.map(_ask, self._clients))

    def warm(self) -> None:
        """Runs one command on every machine over the connections that there are."""
        with ThreadPoolExecutor(FORKS) as pool:
            list(pool.map(_ask, self._clients))

    def close(self) -> None:
        """Closes the connections."""
        for client in self._clients:
            client.close()
        self._clients = []

    def _connect(self, address: str) -> paramiko.SSHClient:
        client = paramiko.SSHClient()
        client.load_host_keys(self._known)
        client.connect(
            address, username="root", key_filename=self._key, look_for_keys=False, allow_agent=False
        )
        return client


def _ask(client: paramiko.SSHClient) -> None:
    client.exec_command("true")[1].read()
