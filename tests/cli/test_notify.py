"""What systemd is told, as systemd would hear it: by a datagram socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetssh import clock
from fleetssh.cli.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """Where systemd listens, and how it names that in the environment."""
    name = f"@fleetssh-test-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0" + name[1:] if name.startswith("@") else name)
        sock.settimeout(5)
        yield sock, name


def heard(manager: socket.socket) -> list[str]:
    return manager.recv(4096).decode().split("\n")


def test_the_manager_hears_how_the_service_does(manager: tuple[socket.socket, str]) -> None:
    sock, name = manager
    notifier = Notifier({"NOTIFY_SOCKET": name})
    notifier.ready()
    assert heard(sock) == ["READY=1"]
    notifier.status("3 machines up")
    assert heard(sock) == ["STATUS=3 machines up"]
    notifier.stopping()
    assert heard(sock) == ["STOPPING=1"]


def test_a_reload_carries_the_moment_at_which_it_began(manager: tuple[socket.socket, str]) -> None:
    sock, name = manager
    before = clock.monotonic()
    Notifier({"NOTIFY_SOCKET": name}).reloading()
    word, moment = heard(sock)
    assert word == "RELOADING=1"
    key, _, value = moment.partition("=")
    assert key == "MONOTONIC_USEC"
    assert int(before * 1e6) <= int(value) <= clock.monotonic() * 1e6


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"WATCHDOG_USEC": "5000000"}, True),
        ({"WATCHDOG_USEC": "5000000", "WATCHDOG_PID": str(os.getpid())}, True),
        ({"WATCHDOG_USEC": "5000000", "WATCHDOG_PID": "1"}, False),  # inherited, and meant for another
        ({}, False),
    ],
)
def test_a_watchdog_hears_from_whom_it_watches(
    manager: tuple[socket.socket, str], environ: dict[str, str], told: bool
) -> None:
    sock, name = manager
    notifier = Notifier({"NOTIFY_SOCKET": name, **environ})
    notifier.alive()
    notifier.stopping()
    assert heard(sock) == (["WATCHDOG=1"] if told else ["STOPPING=1"])


def test_without_a_manager_nothing_happens(tmp_path: Path) -> None:
    for environ in ({}, {"NOTIFY_SOCKET": str(tmp_path / "gone")}, {"NOTIFY_SOCKET": "@" + "x" * 300}):
        notifier = Notifier({"WATCHDOG_USEC": "1", **environ})
        notifier.ready()
        notifier.alive()
