"""A lab that is up: its machines, and how they are reached."""

from __future__ import annotations

import subprocess
import uuid

import pytest
import yaml
from click.testing import CliRunner

from fleetssh.cli.lab import lab as verbs
from fleetssh.core.errors import LabError
from fleetssh.lab import Condition, Lab
from tests.lab.host import greeting

pytestmark = pytest.mark.live


def boot_id(lab: Lab, name: str) -> str:
    return lab.run_inside(name, ["cat", "/proc/sys/kernel/random/boot_id"]).stdout.strip()


def ssh(lab: Lab, user: str, name: str, command: str) -> subprocess.CompletedProcess[str]:
    address = next(machine.address for machine in lab.machines() if machine.name == name)
    options = [
        "BatchMode=yes",
        "ConnectTimeout=5",
        "StrictHostKeyChecking=yes",
        "GlobalKnownHostsFile=/dev/null",
    ]
    return subprocess.run(
        [
            *(
                "ssh",
                "-F",
                "none",
                "-i",
                str(lab.key_path),
                "-o",
                f"UserKnownHostsFile={lab.known_hosts_path}",
            ),
            *(word for option in options for word in ("-o", option)),
            *(f"{user}@{address}", command),
        ],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def test_all_machines_run_systemd_and_greet_when_up_returns(lab: Lab) -> None:
    machines = lab.machines()
    assert [machine.name for machine in machines] == ["m1", "m2", "m3"]
    for machine in machines:
        assert machine.state is Condition.RUNNING
        assert greeting(machine.address) == "greeted"
        assert lab.run_inside(machine.name, ["systemctl", "is-system-running"]).stdout == "running\n"
        assert lab.run_inside(machine.name, ["hostname"]).stdout == f"{machine.name}\n"
        assert lab.run_inside(machine.name, ["cat", "/etc/machine-id"]).stdout == f"{machine.machine_id}\n"
        assert uuid.UUID(machine.machine_id).hex == machine.machine_id


def test_the_key_logs_in_with_checked_host_keys(lab: Lab) -> None:
    for machine in lab.machines():
        answer = ssh(lab, "root", machine.name, "hostname")
        assert (answer.returncode, answer.stdout) == (0, f"{machine.name}\n"), answer.stderr


def test_every_machine_has_host_keys_of_its_own(lab: Lab) -> None:
    keys = [line.split()[2] for line in lab.known_hosts_path.read_text().splitlines()]
    assert len(set(keys)) == 3


def test_ops_may_become_root_and_nosudo_may_not(lab: Lab) -> None:
    assert ssh(lab, "ops", "m1", "sudo -n id -un").stdout == "root\n"
    refused = ssh(lab, "nosudo", "m1", "sudo -n id -un")
    assert refused.returncode == 1
    assert "password is required" in refused.stderr


def test_the_inventory_says_how_to_reach_every_machine(lab: Lab) -> None:
    group = yaml.safe_load(lab.inventory_path.read_text())["all"]
    assert group["vars"] == {
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(lab.key_path),
        "fleet_known_hosts": str(lab.known_hosts_path),
    }
    assert {name: host["ansible_host"] for name, host in group["hosts"].items()} == {
        machine.name: machine.address for machine in lab.machines()
    }
    assert group["hosts"]["m2"]["fleet_metadata"] == {"name": "m2", "region": "us-east", "disk": "ssd"}


def test_units_of_one_machine_live_and_die_apart_from_those_of_another(lab: Lab) -> None:
    for name in ("m1", "m2"):
        assert lab.run_inside(name, ["systemd-run", "--unit=x", "sleep", "infinity"]).returncode == 0
    assert lab.run_inside("m1", ["systemctl", "stop", "x"]).returncode == 0
    assert lab.run_inside("m1", ["systemctl", "is-active", "x"]).stdout == "inactive\n"
    assert lab.run_inside("m2", ["systemctl", "is-active", "x"]).stdout == "active\n"
    assert lab.run_inside("m2", ["systemctl", "stop", "x"]).returncode == 0


def test_machines_have_no_way_out(lab: Lab) -> None:
    assert "default" not in lab.run_inside("m1", ["ip", "route"]).stdout
    refused = lab.run_inside("m1", ["ip", "route", "get", "192.0.2.1"])
    assert "unreachable" in refused.stderr


def test_up_again_leaves_running_machines_alone(lab: Lab) -> None:
    before = lab.machines()
    boots = [boot_id(lab, machine.name) for machine in before]
    lab.freeze("m2")
    lab.up(3)
    assert [machine.pid for machine in lab.machines()] == [machine.pid for machine in before]
    assert [machine.state.value for machine in lab.machines()] == ["running", "frozen", "running"]
    lab.thaw("m2")
    assert [boot_id(lab, machine.name) for machine in before] == boots


def test_up_boots_what_is_off(lab: Lab) -> None:
    lab.kill("m3")
    lab.up(2)
    assert [machine.state.value for machine in lab.machines()] == ["running"] * 3


def test_an_unknown_machine_is_told_with_those_there_are(lab: Lab) -> None:
    with pytest.raises(LabError, match="no machine m9") as caught:
        lab.kill("m9")
    assert caught.value.hint == "it has m1, m2, m3"


def test_the_verbs_print_answers_on_stdout_and_progress_on_stderr(lab: Lab) -> None:
    place = ["--name", lab.name, "--dir", str(lab.folder)]
    runner = CliRunner()
    up = runner.invoke(verbs, ["up", "--machines", "3", *place], catch_exceptions=False)
    assert up.stdout == f"export FLEETSSH_INVENTORY={lab.inventory_path}\n"
    assert "m1 is up at " in up.stderr
    assert runner.invoke(verbs, ["kill", "m1", "m3", *place]).stderr == "m1 has no power\nm3 has no power\n"
    rows = [line.split() for line in runner.invoke(verbs, ["list", *place]).stdout.splitlines()]
    assert rows[0] == ["NAME", "ADDRESS", "STATE", "MACHINE"]
    assert [row[2] for row in rows[1:]] == ["off", "running", "off"]
    assert runner.invoke(verbs, ["boot", "m1", "m3", *place]).stderr == "m1 is up\nm3 is up\n"
