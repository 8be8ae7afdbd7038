"""An introduction to orchestration, replayed: restarts, a node that goes, templates, together and apart."""

from __future__ import annotations

from tests.live.conftest import Fleet, wait_for
from tests.live.walking import HELLO, MACHINES, home_of, running, running_on, table, unit_files

# As the tutorial's container: it ends well when it is asked to stop, and badly when it is killed.
PYTHON_TEST = """\
[Unit]
Description=Python service
After=docker.service

[Service]
TimeoutStartSec=0
Restart=on-failure

ExecStartPre=-/bin/false
ExecStartPre=/bin/true

ExecStart=/bin/sh -c "trap 'exit 0' TERM; while true; do sleep .1; done"
"""

HELLO_WORLD = f"""\
[Unit]
Description=MyApp
After=docker.service

[Service]
TimeoutStartSec=0
ExecStart={HELLO}
"""


def instances(name: str, *numbers: object) -> list[str]:
    """What a shell makes of ``name@{1..3}``."""
    return [f"{name}@{number}" for number in numbers]


def main_pid(fleet: Fleet, machine: str, unit: str) -> int:
    """The main process of a unit, 0 when it has none."""
    return int(fleet.witness(machine).check_output("systemctl show --property MainPID --value -- %s", unit))


def test_a_unit_that_heals(fleet: Fleet) -> None:
    # "Starting your first Fleet unit". There is no tunnel through one machine to the others.
    fleet.env["FLEETCTL_TUNNEL"] = "127.0.0.1:2222"
    assert len(table(fleet.run("list-machines"), MACHINES)) == 3

    # "Running Fleet units"
    fleet.unit("python-test.service", PYTHON_TEST)
    fleet.run("submit", "python-test.service")
    assert unit_files(fleet) == {"python-test.service": ["inactive", "inactive", "-"]}
    assert fleet.run("cat", "python-test.service").out == PYTHON_TEST
    said = fleet.run("start", "python-test.service").out
    home = home_of(fleet, "python-test.service")
    assert said == f"Unit python-test.service launched on {fleet.legend(home)}\n"
    assert running(fleet) == {"python-test.service": [home]}
    status = fleet.run("status", "python-test.service").out
    assert status.startswith("● python-test.service - Python service\n")
    assert "ExecStartPre=/bin/false (code=exited, status=1/FAILURE)" in status

    # "Self-healing nodes": what is killed is started by systemd ...
    prefix = fleet.machine_ids()[home][:8]
    pid = main_pid(fleet, home, "python-test")
    assert (
        fleet.run("ssh", prefix, "--", "systemctl", "show", "-P", "MainPID", "python-test").out == f"{pid}\n"
    )
    fleet.run("ssh", prefix, "--", "kill", "-KILL", str(pid))
    wait_for(lambda: main_pid(fleet, home, "python-test") not in (0, pid), what="systemd to start it again")
    assert running(fleet) == {"python-test.service": [home]}

    # ... but not what ends well ("if however we use docker stop"), until somebody asks for it.
    fleet.run("ssh", prefix, "--", "kill", "-TERM", str(main_pid(fleet, home, "python-test")))
    wait_for(lambda: not fleet.witness(home).service("python-test").is_running, what="it to end")
    assert fleet.run("reconcile").out == ""
    assert table(fleet.run("list-units", "--fields", "active,sub"), ["ACTIVE", "SUB"]) == [
        ["inactive", "dead"]
    ]
    assert fleet.run("start", "python-test").out == said
    assert running_on(fleet, "python-test.service") == [home]

    # "You can easily simulate this by doing a vagrant halt": told not to wait, the second pass asks the other
    # machines, and moves the unit. It stays there when the machine is back.
    fleet.lab.kill(home)
    hurry = ["--lost-after-looks", "1", "--lost-after-seconds", "0"]
    assert fleet.run("reconcile", *hurry, code=4).out == ""
    moved = fleet.run("reconcile", *hurry, code=4)
    assert f"move python-test.service: {prefix}... -> " in moved.out
    refuge = home_of(fleet, "python-test.service")
    assert refuge != home
    fleet.lab.boot(home)
    assert fleet.run("reconcile").out == ""
    assert running(fleet) == {"python-test.service": [refuge]}


def test_templates_together_and_apart(fleet: Fleet) -> None:
    # "High availability services": one template, any number of instances, spread over the machines.
    fleet.unit("python-test@.service", PYTHON_TEST)
    fleet.run("submit", "python-test@.service")
    fleet.run("start", *instances("python-test", 1, 2, "random"))
    homes = running(fleet)
    assert sorted(homes.values()) == [["m1"], ["m2"], ["m3"]]
    assert list(homes) == [f"{name}.service" for name in instances("python-test", 1, 2, "random")]
    fleet.run("start", *instances("python-test", 3, 4, 5))
    more = running(fleet)
    assert len(more) == 6
    assert homes.items() <= more.items()
    assert sorted(more.values()) == [["m1"], ["m1"], ["m2"], ["m2"], ["m3"], ["m3"]]

    # "Running units together". The template has changed: it is destroyed and submitted anew.
    fleet.run("destroy", "python-test@.service", *more)
    fleet.unit("python-test@.service", f"{PYTHON_TEST}\n[X-Fleet]\nMachineOf=hello-world@%i.service\n")
    fleet.unit("hello-world@.service", HELLO_WORLD)
    fleet.run("submit", "python-test@.service", "hello-world@.service")
    fleet.run("start", "python-test@1", "hello-world@1")
    homes = running(fleet)
    assert homes["python-test@1.service"] == homes["hello-world@1.service"]
    fleet.run("start", *instances("python-test", 2, 3, 4), *instances("hello-world", 2, 3, 4))
    homes = running(fleet)
    assert len(homes) == 8
    for number in (1, 2, 3, 4):
        assert homes[f"python-test@{number}.service"] == homes[f"hello-world@{number}.service"]

    # "We removed hello-world@4 and Fleet automatically removed python-test@4 as well": it is still known, has
    # no machine, and comes back with what it follows.
    gone = fleet.run("destroy", "hello-world@4")
    assert gone.out == "Destroyed hello-world@4.service\n"
    six = {unit: home for unit, home in homes.items() if "@4" not in unit}
    assert running(fleet) == six
    assert running_on(fleet, "python-test@4.service") == []
    assert unit_files(fleet)["python-test@4.service"] == ["launched", "inactive", "-"]
    fleet.run("start", "hello-world@4")
    homes = running(fleet)
    assert six.items() < homes.items()
    assert homes["python-test@4.service"] == homes["hello-world@4.service"]

    # "Running units away from each other"
    fleet.run("destroy", "python-test@.service", *(name for name in homes if name.startswith("python")))
    fleet.unit("python-test@.service", f"{PYTHON_TEST}\n[X-Fleet]\nConflicts=hello-world@%i.service\n")
    fleet.run("start", *instances("python-test", 1, 2, 3))
    homes = running(fleet)
    for number in (1, 2, 3):
        assert homes[f"python-test@{number}.service"] != homes[f"hello-world@{number}.service"]

    # "If Fleet can not find a distribution that satisfies the constraints then it will simply refuse to
    # schedule them": here with the reason, for each machine.
    fleet.unit("aloof.service", f"{PYTHON_TEST}\n[X-Fleet]\nConflicts=hello-world@*.service\n")
    refused = fleet.run("start", "aloof", code=3).err.splitlines()
    assert refused[0] == "Unit aloof.service is not placed: no machine can take it"
    for name, machine_id in fleet.machine_ids().items():
        (line,) = [line for line in refused if f"{name} ({machine_id[:8]}...)" in line]
        assert "hello-world@" in line
    assert "aloof.service" not in running(fleet)
    assert running_on(fleet, "aloof.service") == []
