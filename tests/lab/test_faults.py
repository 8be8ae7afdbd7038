"""What each fault does to a machine, seen from inside it and from its peers."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from fleetssh.core.errors import LabError
from fleetssh.lab import Condition, Lab
from tests.lab.host import eventually, greeting
from tests.lab.test_machines import boot_id

pytestmark = pytest.mark.live


def state(lab: Lab, name: str) -> Condition:
    return next(machine.state for machine in lab.machines() if machine.name == name)


def address(lab: Lab, name: str) -> str:
    return next(machine.address for machine in lab.machines() if machine.name == name)


def hears(lab: Lab, listener: str, speaker: str) -> bool:
    """Whether one machine gets an sshd greeting from another."""
    probe = f"read -t 2 -n 4 word </dev/tcp/{address(lab, speaker)}/22 && [ $word = SSH- ]"
    return lab.run_inside(listener, ["timeout", "3", "bash", "-c", probe]).returncode == 0


def test_a_power_cut_keeps_disk_and_machine_id_and_the_next_boot_is_a_new_one(lab: Lab) -> None:
    before = boot_id(lab, "m1")
    lab.run_inside("m1", ["sh", "-c", "echo kept >/root/note; echo lost >/run/note"])
    lab.kill("m1")
    assert state(lab, "m1") is Condition.OFF
    assert greeting(address(lab, "m1")) == "unreachable"
    lab.boot("m1")
    assert greeting(address(lab, "m1")) == "greeted"
    assert boot_id(lab, "m1") != before
    assert lab.run_inside("m1", ["cat", "/root/note"]).stdout == "kept\n"
    assert lab.run_inside("m1", ["cat", "/run/note"]).returncode == 1
    found = next(machine for machine in lab.machines() if machine.name == "m1")
    assert lab.run_inside("m1", ["cat", "/etc/machine-id"]).stdout.strip() == found.machine_id


def test_a_power_cut_says_no_goodbye_to_open_connections(lab: Lab) -> None:
    with socket.create_connection((address(lab, "m1"), 22), timeout=2) as connection:
        assert connection.recv(4) == b"SSH-"
        connection.recv(1000)
        lab.kill("m1")
        connection.settimeout(1.5)
        with pytest.raises(TimeoutError):
            connection.recv(1)


def test_killing_and_booting_twice_is_harmless(lab: Lab) -> None:
    lab.kill("m2")
    lab.kill("m2")
    lab.boot("m2")
    before = boot_id(lab, "m2")
    lab.boot("m2")
    assert boot_id(lab, "m2") == before


def test_a_reboot_is_orderly(lab: Lab) -> None:
    before = boot_id(lab, "m3")
    lab.reboot("m3")
    assert boot_id(lab, "m3") != before
    assert greeting(address(lab, "m3")) == "greeted"
    last_words = lab.run_inside("m3", ["journalctl", "--boot=-1", "--output=cat"]).stdout
    assert "Reached target poweroff.target" in last_words


def test_a_frozen_machine_connects_and_says_nothing_until_it_is_thawed(lab: Lab) -> None:
    lab.freeze("m2")
    lab.freeze("m2")
    assert state(lab, "m2") is Condition.FROZEN
    assert greeting(address(lab, "m2")) == "silent"
    lab.thaw("m2")
    assert state(lab, "m2") is Condition.RUNNING
    assert greeting(address(lab, "m2")) == "greeted"


def test_a_frozen_machine_can_be_killed_and_rebooted(lab: Lab) -> None:
    lab.freeze("m2")
    lab.kill("m2")
    assert state(lab, "m2") is Condition.OFF
    lab.boot("m2")
    before = boot_id(lab, "m2")
    lab.freeze("m2")
    lab.reboot("m2")
    assert boot_id(lab, "m2") != before


def test_a_cut_machine_runs_on_unreachable_until_it_is_healed(lab: Lab) -> None:
    before = boot_id(lab, "m2")
    lab.cut("m2")
    assert state(lab, "m2") is Condition.CUT
    assert greeting(address(lab, "m2")) == "unreachable"
    assert not hears(lab, "m1", "m2")
    assert lab.run_inside("m2", ["systemctl", "is-active", "ssh"]).stdout == "active\n"
    lab.heal("m2")
    assert state(lab, "m2") is Condition.RUNNING
    assert greeting(address(lab, "m2"), timeout=5) == "greeted"
    assert boot_id(lab, "m2") == before


def test_a_one_way_cut_loses_only_the_answers_to_the_controller(lab: Lab) -> None:
    lab.cut("m2", one_way=True)
    assert greeting(address(lab, "m2")) == "unreachable"
    assert hears(lab, "m1", "m2")
    lab.heal("m2")
    assert greeting(address(lab, "m2"), timeout=5) == "greeted"


def test_a_cut_cable_stays_cut_over_a_reboot(lab: Lab) -> None:
    lab.cut("m3")
    lab.reboot("m3")
    assert state(lab, "m3") is Condition.CUT
    assert greeting(address(lab, "m3")) == "unreachable"
    lab.heal("m3")
    assert greeting(address(lab, "m3"), timeout=5) == "greeted"


def test_a_machine_that_is_off_cannot_be_frozen(lab: Lab) -> None:
    lab.kill("m1")
    with pytest.raises(LabError, match="m1 is off") as caught:
        lab.freeze("m1")
    assert caught.value.hint == "fleetssh lab boot m1"


def test_a_machine_whose_leader_was_killed_is_off_and_boots_again(lab: Lab) -> None:
    first = next(machine.pid for machine in lab.machines() if machine.name == "m1")
    assert first is not None
    stat = Path(f"/proc/{first}/stat").read_text()
    leader = int(stat.rpartition(")")[2].split()[1])
    os.kill(leader, signal.SIGKILL)
    assert eventually(lambda: state(lab, "m1") is Condition.OFF)
    lab.boot("m1")
    assert greeting(address(lab, "m1")) == "greeted"


def test_a_machine_that_cannot_boot_is_told_with_the_end_of_its_console(
    new_lab: Callable[[str], Lab],
) -> None:
    lab = new_lab("broken")
    lab.up(1)
    lab.kill("m1")
    shutil.rmtree(lab.folder / "machines/m1/disk/usr", ignore_errors=True)
    (lab.folder / "machines/m1/disk/usr").write_text("not a folder any more")
    with pytest.raises(LabError, match="m1 ended while it booted") as caught:
        lab.up(1)
    assert "/sbin/init" in caught.value.message or "os-release" in caught.value.message
    assert str(lab.folder / "machines/m1/console.log") in caught.value.hint
    assert state(lab, "m1") is Condition.OFF


def test_a_machine_that_shuts_itself_down_is_off_and_unreachable(lab: Lab) -> None:
    lab.run_inside("m1", ["systemctl", "poweroff"])
    assert eventually(lambda: state(lab, "m1") is Condition.OFF, within=15)
    assert eventually(lambda: greeting(address(lab, "m1")) == "unreachable")
    lab.boot("m1")
    assert greeting(address(lab, "m1")) == "greeted"


def connects(target: str, within: float) -> bool:
    try:
        with socket.create_connection((target, 22), timeout=within):
            return True
    except OSError:
        return False


def test_a_lossy_cable_loses_some_until_it_is_healed(lab: Lab) -> None:
    lab.lose("m2", 50)
    lab.lose("m2", 50)
    tried = [connects(address(lab, "m2"), 0.2) for _ in range(40)]
    assert {True, False} == set(tried)
    lab.heal("m2")
    assert all(connects(address(lab, "m2"), 0.5) for _ in range(20))
    lab.lose("m2", 99)
    lab.lose("m2", 0)
    assert all(connects(address(lab, "m2"), 0.5) for _ in range(20))
    with pytest.raises(LabError, match="0 to 99 %"):
        lab.lose("m2", 100)


def test_an_isolated_controller_reaches_nobody_and_the_machines_run_on(lab: Lab) -> None:
    before = boot_id(lab, "m1")
    lab.isolate()
    try:
        assert [greeting(machine.address) for machine in lab.machines()] == ["unreachable"] * 3
        assert lab.run_inside("m1", ["systemctl", "is-active", "ssh"]).stdout == "active\n"
    finally:
        lab.rejoin()
    assert [greeting(machine.address, timeout=5) for machine in lab.machines()] == ["greeted"] * 3
    assert boot_id(lab, "m1") == before


def test_who_runs_is_seen_from_outside(lab: Lab) -> None:
    group = lab.services_folder("m3") / "ssh.service" / "cgroup.procs"
    assert group.read_text().split()
    lab.cut("m3")
    assert group.read_text().split()
    lab.run_inside("m3", ["systemctl", "stop", "ssh"])
    assert not group.exists() or not group.read_text().split()
    lab.run_inside("m3", ["systemctl", "start", "ssh"])
    lab.kill("m3")
    with pytest.raises(LabError, match="m3 has no services"):
        lab.services_folder("m3")
