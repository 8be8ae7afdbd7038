"""Host keys are checked: known_hosts files, and trust on first use only where it was asked for."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import paramiko
from paramiko.hostkeys import HostKeyEntry, InvalidHostKey

SYSTEM_FILE = Path("/etc/ssh/ssh_known_hosts")
SSH_PORT = 22


def entry_name(host: str, port: int) -> str:
    """How a known_hosts file names a machine: ``host``, or ``[host]:port`` when the port is not 22."""
    return host if port == SSH_PORT else f"[{host}]:{port}"


class UnknownHostKey(paramiko.SSHException):
    """The machine showed a key that no known_hosts file has."""


class HostKeys:
    """The known_hosts files of a run, each read once however many machines there are.

    With ``accept_new`` an unknown key is trusted on first use and written down; a changed key never is.
    """

    def __init__(self, *, accept_new: bool) -> None:
        self._accept_new = accept_new
        self._tables: dict[str, tuple[HostKeyEntry, ...]] = {}
        self._lock = threading.Lock()

    def prepare(self, client: paramiko.SSHClient, known_hosts: str | None, name: str) -> None:
        """Gives ``client`` the keys known for ``name`` (``host`` or ``[host]:port``) and our policy."""
        path = known_hosts or str(Path("~/.ssh/known_hosts").expanduser())
        keys = client.get_host_keys()
        for table in (self._table(path), *(() if known_hosts else (self._table(str(SYSTEM_FILE)),))):
            for entry in table:
                if entry.key is not None and _is_meant(name, entry.hostnames or ()):
                    keys.add(name, entry.key.get_name(), entry.key)
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

    def _table(self, path: str) -> tuple[HostKeyEntry, ...]:
        with self._lock:
            if path not in self._tables:
                self._tables[path] = tuple(_entries(Path(path)))
            return self._tables[path]


def _entries(path: Path) -> Iterator[HostKeyEntry]:
    """The lines of a known_hosts file; those that mean nothing, or something to OpenSSH alone (markers like
    ``@cert-authority``), are passed over, and a file that is not there has none."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except (FileNotFoundError, PermissionError):
        return
    for number, line in enumerate(map(str.strip, lines), 1):
        if line and not line.startswith(("#", "@")):
            with contextlib.suppress(InvalidHostKey, paramiko.SSHException):
                if entry := HostKeyEntry.from_line(line, number):
                    yield entry


def _is_meant(name: str, patterns: Iterable[str]) -> bool:
    """sshd(8): one of the patterns matches, and none that is negated."""
    hits = [pattern for pattern in patterns if _matches(pattern.removeprefix("!"), name)]
    return bool(hits) and not any(pattern.startswith("!") for pattern in hits)


def _matches(pattern: str, name: str) -> bool:
    if pattern.startswith("|1|"):
        with contextlib.suppress(ValueError, IndexError, AssertionError):  # it only looks like a hash
            return paramiko.HostKeys.hash_host(name, pattern) == pattern
        return False
    if "*" not in pattern and "?" not in pattern:
        return pattern == name
    parts = (
        ".*" if part == "*" else "." if part == "?" else re.escape(part)
        for part in re.split(r"([*?])", pattern)
    )
    return re.fullmatch("".join(parts), name, re.DOTALL) is not None


class _Policy(paramiko.MissingHostKeyPolicy):
    def __init__(self, keys: HostKeys, path: str) -> None:
        self._keys = keys
        self._path = path

    def missing_host_key(self, _client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        if not self._keys.learn(self._path, hostname, key):
            shown = f"{key.get_name()} {key.fingerprint}"
            raise UnknownHostKey(f"its key {shown} is not in {self._path}; --accept-new-host-keys trusts it")
