"""``plan`` prints what ``reconcile`` then does, line for line, and changes nothing itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.live.conftest import Fleet
from tests.live.outside import edit_inventory, service, traces


def new_units(fleet: Fleet) -> None:
    """Wanted but carried out nowhere yet: the machines were out of reach when they were asked for."""
    for name in ("new1.service", "new2.service"):
        fleet.unit(name, service())
    fleet.unit("agent.service", service(fleet=["Global=true"]))
    for machine in fleet.lab.machines():
        fleet.lab.run_inside(machine.name, ["systemctl", "stop", "ssh"])
    fleet.run("start", "new1", "new2", "agent", code=4)
    for machine in fleet.lab.machines():
        fleet.lab.run_inside(machine.name, ["systemctl", "start", "ssh"])


def drift(fleet: Fleet) -> None:
    """Something of everything was changed by hand."""
    (edited,) = fleet.running_on("web.service")
    fleet.witness(edited).check_output("echo '# x' >>/run/fleet/units/web.service")
    (stopped,) = fleet.running_on("db.service")
    fleet.witness(stopped).check_output("systemctl stop db")
    (removed,) = fleet.running_on("mail.service")
    fleet.witness(removed).check_output("rm /run/systemd/system/mail.service")


def lost_machine(fleet: Fleet) -> None:
    """A machine whose sshd has ended was looked at once already."""
    (home,) = fleet.running_on("web.service")
    fleet.lab.run_inside(home, ["systemctl", "stop", "ssh"])
    fleet.run("reconcile", code=4)


def gone_units(fleet: Fleet) -> None:
    """One unit was destroyed, one unloaded and one stopped while their machines were out of reach."""
    homes = fleet.lab.machines()
    for machine in homes:
        fleet.lab.run_inside(machine.name, ["systemctl", "stop", "ssh"])
    fleet.run("destroy", "web", code=4)
    fleet.run("unload", "db", code=4)
    fleet.run("stop", "mail", code=4)
    for machine in homes:
        fleet.lab.run_inside(machine.name, ["systemctl", "start", "ssh"])


def moved_units(fleet: Fleet) -> None:
    """The machine of one unit does not fit it any more."""
    (home,) = fleet.running_on("picky.service")
    edit_inventory(fleet, lambda _, hosts: hosts[home]["fleet_metadata"].update(region="moon"))


SITUATIONS = [new_units, drift, lost_machine, gone_units, moved_units]


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.__name__)
def test_plan_says_what_reconcile_does(fleet: Fleet, situation: Callable[[Fleet], None]) -> None:
    fleet.env["FLEETSSH_LOST_AFTER_SECONDS"] = "0"
    for name in ("web", "db", "mail"):
        fleet.unit(f"{name}.service", service())
    fleet.unit("picky.service", service(fleet=["MachineMetadata=region=eu-west"]))
    fleet.run("start", "web", "db", "mail", "picky")
    situation(fleet)
    everything = 4 if situation is lost_machine else 0
    before, files = traces(fleet), fleet.files()

    planned = fleet.run("plan", "--exit-code", code=5)
    assert planned.out
    assert traces(fleet) == before
    assert fleet.files() == files

    done = fleet.run("reconcile", code=everything)
    assert done.out == planned.out
    assert fleet.run("plan", "--exit-code", code=everything).out == ""
