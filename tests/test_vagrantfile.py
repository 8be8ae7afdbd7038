"""The Vagrantfile by Vagrant's own judgement, and the inventory that goes with it.

``vagrant validate`` wants a provider that can be used here, and says "No usable default provider could be
found for your system" without one. VirtualBox is no Debian package, and needs its kernel modules; the
plugin for libvirt counts as usable without its daemon. So the plain command runs with that plugin, the
settings for VirtualBox are checked by asking Vagrant what it read, and ``--ignore-provider`` runs without
any of them.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from fleetssh.inventory import load_inventory

ROOT = Path(__file__).parents[1]


@pytest.fixture
def vagrant(tmp_path):
    """Runs a program where a Vagrantfile is; Vagrant keeps what it writes in a folder of its own."""
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "VAGRANT_HOME": str(tmp_path / "vagrant"),
        "VAGRANT_DOTFILE_PATH": str(tmp_path / "state"),
        "VAGRANT_CHECKPOINT_DISABLE": "1",
        "LC_ALL": "C.UTF-8",
    }

    def run(*argv: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
        return subprocess.run(argv, cwd=folder, env=environ, capture_output=True, text=True, check=False)

    return run


@pytest.mark.parametrize("flags", [(), ("--ignore-provider",)])
def test_vagrant_finds_it_valid(vagrant, flags):
    ran = vagrant("vagrant", "validate", *flags)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines()[-1] == "Vagrantfile validated successfully."


@pytest.mark.parametrize("flags", [(), ("--ignore-provider",)])
def test_vagrant_would_have_noticed_a_mistake(vagrant, tmp_path, flags):
    text = (ROOT / "Vagrantfile").read_text()
    (tmp_path / "Vagrantfile").write_text(text.replace("machine.vm.hostname", "machine.vm.hostnam"))
    ran = vagrant("vagrant", "validate", *flags, folder=tmp_path)
    assert ran.returncode == 1 and "hostnam" in ran.stderr


def test_the_inventory_names_the_same_machines_and_addresses(vagrant):
    ran = vagrant("ruby", str(ROOT / "tests" / "vagrantfile.rb"), str(ROOT))
    assert ran.returncode == 0, ran.stderr
    hosts = load_inventory(ROOT / "inventories" / "vagrant").hosts
    assert ran.stdout.splitlines() == [f"{host.name} {host.name} {host.address}" for host in hosts]
    assert [Path(host.key_file or "").parent.parent.name for host in hosts] == [host.name for host in hosts]
