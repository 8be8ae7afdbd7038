"""The lab's parts that need neither root nor machines."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fleetssh.core.errors import LabError
from fleetssh.lab import image, places, processes
from fleetssh.lab.ledger import Cable, LabEntry, Ledger, MachineEntry
from fleetssh.lab.locks import held
from fleetssh.lab.naming import MAX_MACHINES, derive_names
from fleetssh.lab.network import Subnet, machine_address
from fleetssh.lab.processes import Process

LONGEST_LINK_NAME = 15
"""The kernel's IFNAMSIZ, without its closing zero."""


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen(["sleep", "60"])
    yield child
    child.kill()
    child.wait()


def test_a_recycled_pid_is_never_signalled(sleeper: subprocess.Popen[bytes]) -> None:
    true = processes.identify(sleeper.pid)
    assert true is not None
    for other in (replace(true, started=true.started - 1), replace(true, boot="another boot")):
        processes.send(other, signal.SIGKILL)
        assert not processes.is_alive(other)
        assert processes.wait_gone(other, 0)
    assert processes.is_alive(true)
    assert not processes.wait_gone(true, 0.01)
    processes.send(true, signal.SIGKILL)
    assert processes.wait_gone(true, 5)


def test_a_process_that_only_waits_to_be_reaped_is_gone(sleeper: subprocess.Popen[bytes]) -> None:
    true = processes.identify(sleeper.pid)
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert not processes.is_alive(true)


def test_the_ledger_gives_back_what_was_written(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    lab = LabEntry("fleet", "abcdef", "10.200.0.0/24", "/image")
    machines = (
        MachineEntry(2, "22" * 16, "ssh-ed25519 AAAA", Process(12, 345, "boot"), Cable.ONE_WAY),
        MachineEntry(10, "33" * 16),
    )
    assert (ledger.read_lab(), ledger.read_machines()) == (None, ())
    ledger.write_lab(lab)
    for entry in reversed(machines):
        ledger.write_machine(entry)
    assert (ledger.read_lab(), ledger.read_machines()) == (lab, machines)
    ledger.forget()
    assert (ledger.read_lab(), ledger.read_machines()) == (None, ())


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 99}', '{"version": 1, "name": "x"}'])
def test_a_damaged_ledger_is_told_with_the_way_out(tmp_path: Path, text: str) -> None:
    (tmp_path / "lab.json").write_text(text)
    with pytest.raises(LabError, match="damaged") as caught:
        Ledger(tmp_path).read_lab()
    assert "lab down" in caught.value.hint


def test_names_fit_and_differ_between_folders() -> None:
    names = derive_names("fleet", Path("/a"))
    other = derive_names("fleet", Path("/b"))
    assert len(names.port(MAX_MACHINES)) <= LONGEST_LINK_NAME
    assert {names.bridge, names.port(1), names.port(11)}.isdisjoint(
        {other.bridge, other.port(1), other.port(11)}
    )
    assert names.owns_link(names.bridge)
    assert names.owns_link(names.port(11))
    assert not names.owns_link(other.port(1))
    assert not names.owns_link(f"{names.bridge}x")
    assert len({names.mac(number) for number in range(MAX_MACHINES + 1)}) == MAX_MACHINES + 1


def test_every_machine_has_an_address_inside_the_subnet() -> None:
    subnet = Subnet("10.200.0.0/24")
    addresses = {machine_address(subnet, number) for number in range(1, MAX_MACHINES + 1)}
    assert len(addresses) == MAX_MACHINES
    assert "10.200.0.11" in addresses
    assert "10.200.0.255" not in addresses


def test_a_lock_that_is_held_ends_in_a_sentence_not_in_waiting_forever(tmp_path: Path) -> None:
    told: list[str] = []
    with (
        held(tmp_path / "lock", 1),
        pytest.raises(LabError, match="another fleetssh lab command"),
        held(tmp_path / "lock", 0.1, on_wait=lambda: told.append("waiting")),
    ):
        pass
    assert told == ["waiting"]
    with held(tmp_path / "lock", 1, shared=True), held(tmp_path / "lock", 1, shared=True):
        pass


def test_the_image_is_cached_by_its_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETSSH_LAB_CACHE", str(tmp_path))
    first = image.image_path()
    assert first.parent == tmp_path
    assert image.image_path() == first
    monkeypatch.setattr(image, "HOOKS", (*image.HOOKS, "true"))
    assert image.image_path() != first


def test_labs_lie_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETSSH_LAB_DIR", str(tmp_path / "labs"))
    assert places.lab_folder("demo") == tmp_path / "labs" / "demo"
    monkeypatch.delenv("FLEETSSH_LAB_DIR")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert places.lab_folder("demo") == tmp_path / "state/fleetssh/labs/demo"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert places.lab_folder("demo") == Path.home() / ".local/state/fleetssh/labs/demo"
