"""The same job by fleetssh, ansible-playbook and pyinfra: copy a unit, link it, start it; then all again."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from bench.table import Row, tell
from fleetssh.lab import Lab

VENV = Path(__file__).parents[1] / ".venv-peers" / "bin"
ANSIBLE_AIM, PYINFRA_AIM = 40.0, 8.0
AGAIN = 3
FORKS = "50"

UNIT = "[Service]\nExecStart=/bin/sleep infinity\n"
NAME = "{tool}-bench.service"


@dataclass(frozen=True, slots=True)
class Tool:
    """A way to do the job: a command, and what it needs in its environment."""

    name: str
    command: list[str]
    env: dict[str, str]
    folder: Path

    def run(self) -> float:
        """Seconds of one run."""
        began = time.perf_counter()
        done = subprocess.run(
            self.command, cwd=self.folder, env={**os.environ, **self.env}, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        spent = time.perf_counter() - began
        assert done.returncode == 0, f"{self.name}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return spent


def fleetssh(lab: Lab, folder: Path) -> Tool:
    name = NAME.format(tool="fleetssh")
    (folder / name).write_text(f"{UNIT}[X-Fleet]\nGlobal=true\n")
    env = {"FLEETSSH_INVENTORY": str(lab.inventory_path), "FLEETSSH_STATE": str(folder / "peers.db")}
    return Tool("fleetssh", [sys.executable, "-m", "fleetssh", "start", name], env, folder)


def ansible(lab: Lab, folder: Path) -> Tool:
    """Pipelining, fifty forks, connections that stay open between two runs."""
    name = NAME.format(tool="ansible")
    (folder / name).write_text(UNIT)
    ssh = f"-o UserKnownHostsFile={lab.known_hosts_path} -o ControlMaster=auto -o ControlPersist=120s"
    (folder / "ansible.cfg").write_text(
        f"[defaults]\nforks = {FORKS}\nstdout_callback = minimal\ninterpreter_python = /usr/bin/python3\n"
        f"[ssh_connection]\npipelining = true\nssh_args = {ssh}\ncontrol_path_dir = {folder}/cp\n"
    )
    hosts = {m.name: {"ansible_host": m.address} for m in lab.machines()}
    common = {"ansible_user": "root", "ansible_ssh_private_key_file": str(lab.key_path)}
    (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": hosts, "vars": common}}))
    unit = f"/run/bench/{name}"
    tasks = [
        {"ansible.builtin.file": {"path": "/run/bench", "state": "directory"}},
        {"ansible.builtin.copy": {"src": str(folder / name), "dest": unit}, "register": "copied"},
        {"ansible.builtin.file": {"src": unit, "dest": f"/run/systemd/system/{name}", "state": "link"}},
        {
            "ansible.builtin.systemd_service": {
                "name": name,
                "state": "started",
                "daemon_reload": "{{ copied.changed }}",
            }
        },
    ]
    play = [{"hosts": "all", "gather_facts": False, "tasks": tasks}]
    (folder / "play.yml").write_text(yaml.safe_dump(play))
    command = [str(VENV / "ansible-playbook"), "-i", "hosts.yml", "play.yml"]
    return Tool("ansible", command, {"ANSIBLE_CONFIG": str(folder / "ansible.cfg")}, folder)


def pyinfra(lab: Lab, folder: Path) -> Tool:
    name = NAME.format(tool="pyinfra")
    (folder / name).write_text(UNIT)
    data = {
        "ssh_user": "root",
        "ssh_key": str(lab.key_path),
        "ssh_known_hosts_file": str(lab.known_hosts_path),
    }
    hosts = [m.address for m in lab.machines()]
    (folder / "machines.py").write_text(f"machines = ({hosts!r}, {data!r})\n")
    (folder / "deploy.py").write_text(
        "from pyinfra.operations import files, systemd\n"
        f"copied = files.put(src={str(folder / name)!r}, dest='/run/bench/{name}')\n"
        f"files.link(path='/run/systemd/system/{name}', target='/run/bench/{name}')\n"
        "systemd.daemon_reload(_if=copied.did_change)\n"
        f"systemd.service(service={name!r}, running=True)\n"
    )
    command = [str(VENV / "pyinfra"), "-y", "--parallel", FORKS, "machines.py", "deploy.py"]
    return Tool("pyinfra", command, {}, folder)


def rows(lab: Lab, folder: Path) -> Iterator[Row]:
    size = len(lab.machines())
    times: dict[str, tuple[float, float]] = {}
    makers: list[Callable[[Lab, Path], Tool]] = [fleetssh, ansible, pyinfra]
    for make in makers:
        tool = make(lab, folder)
        tell(f"{tool.name} on {size} machines")
        first = tool.run()
        check(lab, NAME.format(tool=tool.name))
        times[tool.name] = first, sorted(tool.run() for _ in range(AGAIN))[AGAIN // 2]
    for number, what in enumerate(("copy, link, start a unit", "the same again, nothing to change")):
        for peer, aim in (("ansible", ANSIBLE_AIM), ("pyinfra", PYINFRA_AIM)):
            note = "connections of ansible warm" if number and peer == "ansible" else ""
            yield Row(
                f"{size} machines, {what}", times["fleetssh"][number], "s", peer, times[peer][number], aim,
                judge_ratio=True, at_least=True, note=note,
            )  # fmt: skip


def check(lab: Lab, name: str) -> None:
    """The job was done: every machine says so itself."""
    for machine in lab.machines():
        said = lab.run_inside(machine.name, ["systemctl", "is-active", name]).stdout.strip()
        assert said == "active", f"{machine.name}: {name} is {said}"
