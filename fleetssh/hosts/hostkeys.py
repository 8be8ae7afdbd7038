"""Host keys are checked: known_hosts files, and trust on first use only where it was asked for."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import paramiko

SYSTEM_FILE = Path("/etc/ssh/ssh_known_hosts")


class UnknownHostKey(paramiko.SSHException):
    """The machine showed a key that no known_hosts file has."""


class HostKeys:
    """The known_hosts files of a run, each read once however many machines there are.

    With ``accept_new`` an unknown key is trusted on first use and written down; a changed key never is.
    """

    def __init__(self, *, accept_new: bool) -> None:
        self._accept_new = accept_new
        self._tables: dict[str, paramiko.HostKeys] = {}
        self._lock = threading.Lock()

    def prepare(self, client: paramiko.SSHClient, known_hosts: str | None, name: str) -> None:
        """Gives ``client`` the keys known for ``name`` (``host`` or ``[host]:port``) and our policy."""
        path = known_hosts or str(Path("~/.ssh/known_hosts").expanduser())
        keys = client.get_host_keys()
        for table in (self._table(path), *(() if known_hosts else (self._table(str(SYSTEM_FILE)),))):
            for key_type, key in (table.lookup(name) or {}).items():
                keys.add(name, key_type, key)
        client.set_missing_host_key_policy(_Policy(self, path))

    def learn(self, path: str, name: str, key: paramiko.PKey) -> bool:
        """Writes a new key down; False when that was not asked for."""
        if not self._accept_new:
            return False
        with self._lock:
            file = Path(path)
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with file.open("a", encoding="ascii") as lines:
                lines.write(f"{name} {key.get_name()} {key.get_base64()}\n")
        return True

    def _table(self, path: str) -> paramiko.HostKeys:
        with self._lock:
            if path not in self._tables:
                table = paramiko.HostKeys()
                if os.access(path, os.R_OK):
                    table.load(path)
                self._tables[path] = table
            return self._tables[path]


class _Policy(paramiko.MissingHostKeyPolicy):
    def __init__(self, keys: HostKeys, path: str) -> None:
        self._keys = keys
        self._path = path

    def missing_host_key(self, _client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        if not self._keys.learn(self._path, hostname, key):
            raise UnknownHostKey(f"its key {key.get_name()} {key.fingerprint} is not in {self._path}")
