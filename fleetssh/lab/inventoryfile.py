"""What users need to reach the machines: an Ansible-style inventory and the known host keys."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

REGIONS = ("eu-west", "us-east")
DISKS = ("ssd", "hdd")


@dataclass(frozen=True, slots=True)
class Reachable:
    """One machine as its users see it; ``host_key`` is ``TYPE BASE64``."""

    number: int
    name: str
    address: str
    host_key: str


def metadata(number: int, name: str) -> dict[str, str]:
    """Metadata to schedule by: regions alternate, disks by pairs: four machines have all four mixes."""
    place = number - 1
    return {"name": name, "region": REGIONS[place % 2], "disk": DISKS[place // 2 % 2]}


def write_inventory(path: Path, machines: tuple[Reachable, ...], key: Path, known_hosts: Path) -> None:
    """Write the inventory; whoever reads it meanwhile sees the old one or the new one."""
    inventory = {
        "all": {
            "vars": {
                "ansible_user": "root",
                "ansible_ssh_private_key_file": str(key),
                "fleet_known_hosts": str(known_hosts),
            },
            "hosts": {
                machine.name: {
                    "ansible_host": machine.address,
                    "fleet_metadata": metadata(machine.number, machine.name),
                }
                for machine in machines
            },
        }
    }
    text = "# Written by `fleetssh lab up`; the next one writes it anew.\n"
    _write(path, text + yaml.safe_dump(inventory, sort_keys=False))


def write_known_hosts(path: Path, machines: tuple[Reachable, ...]) -> None:
    """Write the machines' true host keys, under their addresses and names."""
    _write(path, "".join(f"{machine.address},{machine.name} {machine.host_key}\n" for machine in machines))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    draft = path.with_name(path.name + ".new")
    draft.write_text(text)
    draft.replace(path)
