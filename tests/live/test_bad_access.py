"""Keys, host keys and sudo that are not as they should be: what is wrong, where, and nobody is given up."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.live.conftest import Fleet
from tests.live.misuse import run_inside
from tests.live.outside import edit_inventory, kinds, pinned, traces


@pytest.fixture
def web(fleet: Fleet) -> Fleet:
    """web.service runs on m2; a single look decides."""
    fleet.env |= {"FLEETSSH_LOST_AFTER_LOOKS": "1", "FLEETSSH_LOST_AFTER_SECONDS": "0"}
    fleet.env.pop("SSH_AUTH_SOCK", None)
    fleet.unit("web.service", pinned("m2"))
    fleet.run("start", "web")
    return fleet


def reach_m2_by(fleet: Fleet, ways: dict[str, dict[str, object]]) -> None:
    """The inventory has m2 once more for each way to reach it."""
    edit_inventory(
        fleet, lambda _, hosts: hosts.update({name: {**hosts["m2"], **way} for name, way in ways.items()})
    )


def check_told(fleet: Fleet, told: dict[str, str]) -> None:
    """Two passes: each way is told by its own reason, m1 to m3 are as they were, and web runs on."""
    before = traces(fleet)
    for _ in range(2):
        answer = fleet.run("reconcile", code=4)
        assert answer.out == ""
        first, *lines = answer.err.splitlines()
        assert re.match("WARNING: hosts .* have the same address", first)
        assert len(lines) == len(told)
        for name, says in told.items():
            (line,) = [line for line in lines if line.startswith(f"{name}: ")]
            assert re.match(f"{name}: {says}", line), line
    assert traces(fleet) == before
    assert kinds(fleet, "m2", "web.service") == ["start"]


# ---------------------------------------------------------------- our own keys


def keygen(path: Path, *options: str) -> None:
    command = ["ssh-keygen", "-q", "-f", str(path), *options]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)


def half(path: Path) -> None:
    keygen(path, "-t", "ed25519", "-N", "")
    path.write_bytes(path.read_bytes()[:150])


def public(path: Path) -> None:
    keygen(path.with_suffix(""), "-t", "ed25519", "-N", "")


KEYS: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, "cannot be read: No such file or directory"),
    "folder": (lambda path: path.mkdir(), "is no file"),
    "empty": (lambda path: path.touch(), "is no private key"),
    "text": (lambda path: path.write_text("open sesame\n"), "is no private key"),
    "noise": (lambda path: path.write_bytes(bytes(range(256)) * 9), "is no private key"),
    "half": (half, "is no private key"),
    "key.pub": (public, "is no private key"),
    "locked": (lambda path: keygen(path, "-t", "ed25519", "-N", "a passphrase"), "is encrypted"),
    "stranger": (lambda path: keygen(path, "-t", "ed25519", "-N", ""), "login refused"),
    "stranger-rsa": (lambda path: keygen(path, "-t", "rsa", "-b", "2048", "-N", ""), "login refused"),
    "stranger-pem": (lambda path: keygen(path, "-t", "ecdsa", "-m", "PEM", "-N", ""), "login refused"),
}


def test_a_key_that_is_none_is_named_with_what_is_wrong(web: Fleet) -> None:
    told = {}
    ways: dict[str, dict[str, object]] = {}
    for name, (make, says) in KEYS.items():
        path = web.folder / name
        make(path)
        ways[name] = {"ansible_ssh_private_key_file": str(path)}
        refused = says == "login refused"
        told[name] = says if refused else f"cannot connect from here: its key file {path} {says}"
    ways["unreadable"] = {"ansible_ssh_private_key_file": "/proc/self/mem"}
    told["unreadable"] = "cannot connect from here: its key file /proc/self/mem cannot be read: "
    reach_m2_by(web, ways)
    check_told(web, told)


# ---------------------------------------------------------------- the machine's keys

KNOWN: dict[str, tuple[Callable[[Path], object], str]] = {
    "none": (lambda path: None, "its key ssh-ed25519 SHA256:.* is not in"),
    "nothing": (lambda path: path.touch(), "its key ssh-ed25519 SHA256:.* is not in"),
    "noise": (
        lambda path: path.write_bytes(bytes(range(256)) * 9),
        "its key ssh-ed25519 SHA256:.* is not in",
    ),
    "folder": (lambda path: path.mkdir(), ""),
}


def test_a_machine_whose_key_nobody_knows_is_sent_nothing(web: Fleet) -> None:
    ways: dict[str, dict[str, object]] = {}
    for name, (make, _) in KNOWN.items():
        make(web.folder / name)
        ways[name] = {"fleet_known_hosts": str(web.folder / name)}
    reach_m2_by(web, ways)
    check_told(
        web,
        {
            name: f"host key not trusted: {says}"
            if says
            else "(host key not trusted|cannot connect from here): "
            for name, (_, says) in KNOWN.items()
        },
    )


# ---------------------------------------------------------------- becoming root

SUDOERS = {
    "asks": "asks ALL=(ALL) ALL",
    "other": "other ALL=(ALL) NOPASSWD: /bin/true",
    "console": "Defaults:console requiretty\nconsole ALL=(ALL) NOPASSWD: ALL",
    "noone": "",
    "daemon": "daemon ALL=(nobody) NOPASSWD: ALL",
}
"""Users and what sudo is told of them: none of them may do what a visit needs."""


@pytest.fixture
def sudoers(web: Fleet) -> Iterator[Fleet]:
    users = " ".join(SUDOERS)
    rules = "\n".join(SUDOERS.values())
    run_inside(
        web,
        "m2",
        f"set -e; for user in {users}; do id $user || useradd -M $user\n"
        "usermod -d /run/homes/$user -s /bin/bash $user\n"
        "mkdir -p /run/homes/$user/.ssh; cp /root/.ssh/authorized_keys /run/homes/$user/.ssh/\n"
        "chown -R $user /run/homes/$user; done\n"
        f"echo '{rules}' >/etc/sudoers.d/test",
    )
    yield web
    run_inside(
        web,
        "m2",
        "rm /etc/sudoers.d/test; usermod -d /usr/sbin -s /usr/sbin/nologin daemon\n"
        f"for user in {users.replace(' daemon', '')}; do userdel $user; done; rm -r /run/homes",
    )


def test_a_login_that_may_not_become_root_is_told_with_sudos_words(sudoers: Fleet) -> None:
    ways: dict[str, dict[str, object]] = {
        name: {"ansible_user": name, "ansible_become": True} for name in (*SUDOERS, "nosudo")
    }
    ways["plain"] = {"ansible_user": "ops"}
    reach_m2_by(sudoers, ways)
    check_told(
        sudoers,
        {
            **dict.fromkeys(("asks", "other", "noone", "nosudo", "daemon"), "sudo refused: sudo: "),
            "console": "sudo refused: sudo: sorry, you must have a tty",
            "plain": "login is not root: set `ansible_become: true` in the inventory",
        },
    )


def test_a_machine_without_sudo_is_told_so(web: Fleet) -> None:
    run_inside(web, "m2", "mv /usr/bin/sudo /usr/bin/sudo.away")
    try:
        reach_m2_by(web, {"ops": {"ansible_user": "ops", "ansible_become": True}})
        check_told(web, {"ops": "sudo refused: .*sudo: command not found"})
    finally:
        run_inside(web, "m2", "mv /usr/bin/sudo.away /usr/bin/sudo")
