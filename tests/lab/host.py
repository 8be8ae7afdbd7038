"""What this computer holds of labs: a witness that asks the kernel, not the lab."""

from __future__ import annotations

import re
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

GRACE = 5.0
"""Seconds for what the kernel does by itself after a process has died."""


@dataclass(frozen=True)
class Host:
    """Everything that a lab might leave behind, apart from files and processes."""

    links: frozenset[str]
    routes: frozenset[str]
    namespaces: frozenset[str]
    mounts: frozenset[str]
    groups: frozenset[str]
    runtime: frozenset[str]

    def beyond(self, other: Host, digest: str) -> dict[str, set[str]]:
        """What is here and not in ``other``, leaving out what other labs do at the same time."""
        grown = {
            field: {
                item for item in getattr(self, field) - getattr(other, field) if not _foreign(item, digest)
            }
            for field in self.__dataclass_fields__
        }
        return {field: items for field, items in grown.items() if items}


def _foreign(item: str, digest: str) -> bool:
    metric = 4096 + int(digest, 16) % 60000
    if item.startswith("unreachable"):
        return not item.endswith(f"metric {metric}")
    marks = re.findall(r"(?:\bfl|-)([0-9a-f]{6})(?![0-9a-f])", item)
    return bool(marks) and digest not in marks


def look() -> Host:
    routes = _lines("ip", "-4", "route", "show", "table", "all")
    return Host(
        links=frozenset(path.name for path in Path("/sys/class/net").iterdir()),
        routes=frozenset(" ".join(line.split()) for line in routes),
        namespaces=frozenset(_lines("ip", "netns", "list")),
        mounts=frozenset(Path("/proc/mounts").read_text().splitlines()),
        groups=frozenset(
            str(path)
            for path in Path("/sys/fs/cgroup").rglob("*")
            if path.is_dir() and "fleetssh" in str(path)
        ),
        runtime=frozenset(map(str, Path("/run/systemd/nspawn").glob("*/*"))),
    )


def processes_of(digest: str) -> dict[int, str]:
    """Processes that name the lab in their command line, or sit in its control groups, by pid."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            groups = (folder / "cgroup").read_text()
        except OSError:
            continue
        if f"-{digest}-m" in command or f"-{digest}/" in groups:
            found[int(folder.name)] = command
    return found


def network_namespaces(pids: list[int]) -> set[str]:
    return {str(Path(f"/proc/{pid}/ns/net").readlink()) for pid in pids}


def all_network_namespaces() -> set[str]:
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            found.add(str((folder / "ns/net").readlink()))
        except OSError:
            continue
    return found


def eventually(condition: Callable[[], bool], within: float = GRACE) -> bool:
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def greeting(address: str, timeout: float = 1.0) -> str:
    """What comes of knocking at a machine's sshd: its greeting, or the kind of failure."""
    try:
        with socket.create_connection((address, 22), timeout=timeout) as connection:
            return "greeted" if connection.recv(4) == b"SSH-" else "closed"
    except ConnectionRefusedError:
        return "refused"
    except TimeoutError:
        # The same class for both: tell a connection that was never made from a word that never came.
        return "silent" if _connects(address, timeout) else "unreachable"
    except OSError:
        return "unreachable"


def _connects(address: str, timeout: float) -> bool:
    try:
        socket.create_connection((address, 22), timeout=timeout).close()
    except OSError:
        return False
    return True


def _lines(*argv: str) -> list[str]:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
