"""Power of one machine: ledger, cable and machine are always switched in an order that survives a crash."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from fleetssh.lab import cgroups, machine, network, processes
from fleetssh.lab.ledger import Cable, LabEntry, Ledger, MachineEntry
from fleetssh.lab.machine import Blueprint
from fleetssh.lab.naming import Names


@dataclass(frozen=True, slots=True)
class Site:
    """Where the machines of one lab stand: its names, its ledger, and its entry in it."""

    names: Names
    ledger: Ledger
    entry: LabEntry

    @property
    def subnet(self) -> network.Subnet:
        """The subnet that was chosen for the lab."""
        return network.Subnet(self.entry.subnet)

    def address(self, number: int) -> str:
        """The address of a machine."""
        return network.machine_address(self.subnet, number)

    def blueprint(self, entry: MachineEntry) -> Blueprint:
        """What it takes to start a machine."""
        return Blueprint(
            name=entry.name,
            container=self.names.container(entry.number),
            machine_id=entry.machine_id,
            image=Path(self.entry.image),
            folder=self.ledger.machine_folder(entry.number),
            group=self.names.group,
        )


def power_on(site: Site, entry: MachineEntry) -> None:
    """Boot a machine from its kept disk and wait until it is up; one that runs already is left as it is."""
    blueprint = site.blueprint(entry)
    if processes.first_inside(entry.leader) is not None and entry.leader is not None:
        if not cgroups.is_frozen(site.names.group, entry.name):
            # Its sshd may have been stopped on purpose; whether it has booted is still worth knowing.
            machine.wait_until_up(blueprint, entry.leader, address=None)
        return
    # What a crash may have left, a launcher without a machine for instance.
    cut_power(site, entry)
    with machine.launching(blueprint) as (leader, let_boot):
        site.ledger.write_machine(replace(entry, leader=leader))
        network.plug_in(site.names, site.subnet, entry.number, leader.pid)
        if entry.cable is not Cable.WHOLE:
            network.set_cable(site.names, site.subnet, entry.number, leader.pid, entry.cable)
        let_boot()
    reachable = entry.cable is Cable.WHOLE
    machine.wait_until_up(blueprint, leader, site.address(entry.number) if reachable else None)


def cut_power(site: Site, entry: MachineEntry) -> None:
    """End a machine at once. Its cable goes first: its peers hear nothing, as with a real power cut, not
    the farewell that a kernel sends when it closes a killed process's connections."""
    network.unplug(site.names, entry.number)
    machine.end(site.blueprint(entry), entry.leader)
    if entry.leader is not None:
        site.ledger.write_machine(replace(entry, leader=None))


def reboot(site: Site, entry: MachineEntry) -> None:
    """Shut a machine down in order, or cut its power when it can't, then boot it: same machine id and disk,
    new boot id."""
    if not cgroups.is_frozen(site.names.group, entry.name):
        machine.shut_down(entry.leader)
    cut_power(site, entry)
    power_on(site, replace(entry, leader=None))
