"""What a lab needs before a machine can boot: image, ledger, subnet, bridge, keys, disks, inventory."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from fleetssh.core.errors import LabError
from fleetssh.lab import disk, image, inventoryfile, limits, network, places
from fleetssh.lab.files import LabFiles
from fleetssh.lab.ledger import LabEntry, MachineEntry
from fleetssh.lab.locks import held
from fleetssh.lab.naming import Names
from fleetssh.lab.power import Site

SUBNET_WAIT = 30.0
"""Seconds to wait while another lab chooses its subnet, which takes milliseconds."""


def prepare_site(files: LabFiles, names: Names, progress: Callable[[str], None]) -> Site:
    """Make, or complete, everything that the machines of a lab share; the ledger is written first."""
    entry = files.ledger.read_lab()
    if entry is None:
        files.require_no_strangers()
    shared_image = _find_image(entry, progress)
    with held(places.HOST_LOCK, SUBNET_WAIT):
        if entry is None or not network.has_bridge(names):
            subnet = network.choose_subnet(names, preferred=entry.subnet if entry else "")
            entry = LabEntry(names.lab, names.digest, str(subnet), str(shared_image))
            files.ledger.write_lab(entry)
        site = Site(names, files.ledger, entry)
        network.guard_subnet(names, site.subnet)
    limits.raise_limits()
    network.make_bridge(names, site.subnet)
    return site


def make_machines(files: LabFiles, site: Site, wanted: int) -> tuple[MachineEntry, ...]:
    """Make the ledger entries and disks of machines up to ``wanted`` that are missing, and write down how to
    reach all of them; boots none."""
    known = {entry.number for entry in site.ledger.read_machines()}
    for number in range(1, wanted + 1):
        if number not in known:
            site.ledger.write_machine(MachineEntry(number, machine_id=uuid.uuid4().hex))
    login_key = disk.make_key_pair(files.key, f"fleetssh-lab-{site.names.lab}")
    entries = tuple(_with_disk(site, entry, login_key) for entry in site.ledger.read_machines())
    reachable = tuple(
        inventoryfile.Reachable(entry.number, entry.name, site.address(entry.number), entry.host_key)
        for entry in entries
    )
    inventoryfile.write_known_hosts(files.known_hosts, reachable)
    inventoryfile.write_inventory(files.inventory, reachable, files.key, files.known_hosts)
    return entries


def _find_image(entry: LabEntry | None, progress: Callable[[str], None]) -> Path:
    """The image of a lab's disks: the present recipe's, or the one that they were begun over."""
    current = image.image_path()
    if entry is None or Path(entry.image) == current:
        return image.ensure_image(progress)
    if not Path(entry.image).is_dir():
        raise LabError(
            f"the image that the disks of this lab are layers over is gone: {entry.image}",
            hint=f"fleetssh lab down --name {entry.name}, then up again (this loses the machines' disks)",
        )
    return Path(entry.image)


def _with_disk(site: Site, entry: MachineEntry, login_key: str) -> MachineEntry:
    blueprint = site.blueprint(entry)
    host_key = disk.make_disk(blueprint.folder, blueprint.image, entry.name, entry.machine_id, login_key)
    made = replace(entry, host_key=host_key)
    if made != entry:
        site.ledger.write_machine(made)
    return made
