"""fleet's whole-system tests of its client, over real sshd: host keys, environment, jump host, ssh."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fleetssh import __version__
from tests.live.conftest import Fleet, wait_for
from tests.live.outside import configure_ssh, service
from tests.live.walking import home_of

ACCEPT = "--accept-new-host-keys"
HOST_KEY = "/etc/ssh/ssh_host_ed25519_key"


@contextmanager
def new_host_key(fleet: Fleet, machine: str) -> Iterator[None]:
    """The machine is built anew, as far as its host key goes; afterwards it has its old one again."""
    swap = f"ssh-keygen -q -t ed25519 -N '' -f {HOST_KEY}.new && mv {HOST_KEY} {HOST_KEY}.old"
    make = f"{swap} && mv {HOST_KEY}.new {HOST_KEY} && systemctl restart ssh"
    back = f"mv {HOST_KEY}.old {HOST_KEY} && rm -f {HOST_KEY}.new.pub && systemctl restart ssh"
    assert fleet.lab.run_inside(machine, ["/bin/sh", "-c", make]).returncode == 0
    try:
        yield
    finally:
        assert fleet.lab.run_inside(machine, ["/bin/sh", "-c", back]).returncode == 0


def test_host_keys_are_learned_where_asked_for_and_a_changed_one_is_refused(fleet: Fleet) -> None:
    """F-001. fleet asked on standard input; here a flag says yes, and nobody is ever asked."""
    keys = fleet.folder / "known_hosts"
    keys.touch()
    fleet.env["FLEETSSH_KNOWN_HOSTS_FILE"] = str(keys)
    uptime = ["ssh", "m2", "uptime"]
    assert "host key not trusted" in fleet.run(*uptime, stdin="yes\n", code=4).err
    assert keys.read_text() == ""

    assert "load average" in fleet.run(ACCEPT, *uptime).out
    address = next(machine.address for machine in fleet.lab.machines() if machine.name == "m2")
    (line,) = keys.read_text().splitlines()
    assert line.startswith(f"{address} ssh-ed25519 ")
    assert "load average" in fleet.run(*uptime).out

    with new_host_key(fleet, "m2"):
        # With -A it is the system's own ssh that connects: the same must hold for it.
        for flags in ([], [ACCEPT], ["-A"], ["-A", ACCEPT]):
            refused = fleet.run("ssh", *flags, *uptime[1:], stdin="yes\n", code=4)
            assert "load average" not in refused.out
        assert "host key has changed" in fleet.run(ACCEPT, *uptime, code=4).err
        assert keys.read_text() == f"{line}\n"

        keys.write_text("")
        assert "load average" in fleet.run("ssh", "-A", ACCEPT, *uptime[1:]).out
        keys.write_text("")
        assert len(fleet.run(ACCEPT, "list-machines", "--no-legend").rows) == 3
        assert len(keys.read_text().splitlines()) == 3
        assert "load average" in fleet.run(*uptime).out


@pytest.mark.parametrize("prefix", ["FLEETSSH", "FLEETCTL"])
def test_the_environment_alone_says_which_cluster(fleet: Fleet, prefix: str) -> None:
    """F-002. fleet's variable named the endpoint; here one names the machines and one the state."""
    settings = {name: value for name, value in fleet.env.items() if name.startswith("FLEETSSH_")}
    others = {name: value for name, value in fleet.env.items() if name not in settings}
    fleet.env = others | {name.replace("FLEETSSH", prefix): value for name, value in settings.items()}
    assert len(fleet.run("list-machines", "--no-legend").rows) == 3
    fleet.unit("web.service", service())
    fleet.run("submit", "web")

    fleet.env = others
    assert "no inventory" in fleet.run("list-machines", code=1).err
    state, machines = settings["FLEETSSH_STATE"], settings["FLEETSSH_INVENTORY"]
    assert fleet.run("--state", state, "list-unit-files", "--no-legend", "--fields=unit").rows == [
        ["web.service"]
    ]
    assert len(fleet.run("--state", state, "--inventory", machines, "list-machines").rows) == 4


def test_version_and_help(fleet: Fleet) -> None:
    """F-006, F-007, F-008."""
    assert fleet.run("version").out == f"fleetssh version {__version__}\n"
    assert __version__ in fleet.run("help").out
    shown = {fleet.run(*words).out for words in ([], ["--help"], ["-h"], ["help"])}
    assert len(shown) == 1
    assert "list-unit-files" in shown.pop()


@pytest.fixture
def through_m1(fleet: Fleet) -> Path:
    """m2 and m3 can only be reached through m1; gives the user's own file of host keys, which is empty."""
    at = {machine.name: machine.address for machine in fleet.lab.machines()}
    for machine in ("m2", "m3"):
        fleet.lab.cut(machine, one_way=True)
    config = (
        f"Host {at['m1']}\n  User root\n  IdentityFile {fleet.lab.key_path}\n"
        f"Host {at['m2']} {at['m3']}\n  ProxyJump {at['m1']}\n"
    )
    keys = configure_ssh(fleet, config) / "known_hosts"
    keys.touch()
    fleet.env["FLEETSSH_KNOWN_HOSTS_FILE"] = str(keys)
    return keys


def test_a_batch_of_units_starts_through_a_jump_host(fleet: Fleet, through_m1: Path) -> None:
    """F-031. fleet's ``--tunnel`` is a ``ProxyJump`` for every connection to the machines behind it."""
    fleet.unit("hello.service", service())
    fleet.unit("hello@.service", service())
    answer = fleet.run(ACCEPT, "start", "hello")
    assert "rror" not in answer.err
    answer = fleet.run("start", *(f"hello@{number}" for number in range(1, 11)))
    assert answer.err == ""
    units = fleet.units()
    assert len(units) == 11
    assert {row[1:] for (row,) in units.values()} == {("active", "running")}
    inside = ["/bin/sh", "-c", "systemctl list-units --plain --no-legend 'hello*' --state=running | wc -l"]
    counts = {name: int(fleet.lab.run_inside(name, inside).stdout) for name in fleet.machine_ids()}
    assert sum(counts.values()) == 11
    assert min(counts.values()) >= 3

    # Each machine is shown by its own address, not by the one that leads to it.
    shown = {ip for _, ip, _ in fleet.run("list-machines", "--no-legend").rows}
    assert shown == {machine.address for machine in fleet.lab.machines()}

    known = sorted(through_m1.read_text().split()[::3])
    assert set(known) == {machine.address for machine in fleet.lab.machines()}
    (through_m1.parent / "config").unlink()
    silent = fleet.run("reconcile", code=4).err
    assert "m1" not in silent and "m2" in silent and "m3" in silent


def test_the_key_of_a_jump_host_is_checked(fleet: Fleet, through_m1: Path) -> None:
    """F-031: fleet's tunnel was checked as strictly as what it led to."""
    for _ in ("unknown", "changed"):
        refused = fleet.run("list-machines", code=None)
        assert refused.err.count("host key not trusted") == 3
        assert refused.out.count("\n") <= 1
        at = {machine.name: machine.address for machine in fleet.lab.machines()}
        keys = fleet.lab.known_hosts_path.read_text().splitlines()
        by_address = {line.split(",")[0]: line.split(" ", 1)[1] for line in keys}
        swapped = {at["m1"]: at["m2"], at["m2"]: at["m2"], at["m3"]: at["m3"]}
        through_m1.write_text("".join(f"{a} {by_address[b]}\n" for a, b in swapped.items()))
        fleet.env["FLEETSSH_ACCEPT_NEW_HOST_KEYS"] = "true"
    true = "".join(f"{address} {key}\n" for address, key in by_address.items())
    through_m1.write_text(true)
    assert len(fleet.run("list-machines", "--no-legend").rows) == 3
    assert through_m1.read_text() == true


def test_the_machine_of_a_unit_is_a_word_away(fleet: Fleet) -> None:
    """F-040."""
    text = service(command="/bin/sh -c 'while :; do echo Hello, World!; sleep 0.2; done'")
    fleet.unit("hello.service", text)
    assert "Triggered unit hello.service start" in fleet.run("start", "--no-block", "hello").out
    wait_for(lambda: "active (running)" in fleet.run("status", "hello", code=None).out, what="the unit")
    assert "Active: active" in fleet.run("status", "hello").out
    assert fleet.run("ssh", "hello", "echo", "foo").out == "foo\n"
    assert fleet.run("ssh", "hello", "hostname").out == f"{home_of(fleet, 'hello.service')}\n"
    assert "Hello, World!" in fleet.run("journal", "--sudo", "hello").out
