"""The inventories that come with the project, and what loading costs."""

import re
import subprocess
import sys
import time
from pathlib import Path

from fleetssh.inventory import load_inventory

PROJECT = Path(__file__).resolve().parents[2]
INVENTORIES = PROJECT / "inventories"


def test_every_shipped_inventory_loads_without_warnings() -> None:
    folders = sorted(path for path in INVENTORIES.iterdir() if path.is_dir())
    assert {"demo", "example", "vagrant"} <= {path.name for path in folders}
    for folder in folders:
        assert load_inventory(folder).warnings == ()


def test_the_vagrant_inventory_fits_the_vagrantfile() -> None:
    vagrantfile = (PROJECT / "Vagrantfile").read_text()
    network = re.search(r'ip: "([\d.]+)\.#\{10 \+ number\}"', vagrantfile)
    assert network is not None
    assert "(1..3).each do |number|" in vagrantfile
    assert 'config.vm.define "m#{number}"' in vagrantfile
    hosts = load_inventory(INVENTORIES / "vagrant").hosts
    assert [(host.name, host.address) for host in hosts] == [
        (f"m{number}", f"{network[1]}.{10 + number}") for number in (1, 2, 3)
    ]
    for host in hosts:
        assert (host.user, host.become) == ("vagrant", True)
        assert host.key_file == str(PROJECT / f".vagrant/machines/{host.name}/virtualbox/private_key")
        assert host.known_hosts == str(PROJECT / ".vagrant/known_hosts")


def test_the_demo_inventory_has_three_machines_with_metadata() -> None:
    hosts = load_inventory(INVENTORIES / "demo").hosts
    assert [host.name for host in hosts] == ["m1", "m2", "m3"]
    assert {host.metadata["region"] for host in hosts} == {"eu-west", "us-east"}


def test_the_example_merges_metadata_of_all_group_and_host() -> None:
    hosts = {host.name: host.metadata for host in load_inventory(INVENTORIES / "example").hosts}
    assert hosts["web02.example.com"] == {"disk": "ssd", "region": "eu-west", "role": "web"}
    assert hosts["dbb.example.com"] == {"disk": "hdd", "region": "us-east", "role": "db"}


def test_the_example_of_the_documentation_loads(tmp_path: Path) -> None:
    example = re.search(
        r"```yaml\n(# hosts\.yml\n.*?)```", (PROJECT / "docs/inventory.md").read_text(), re.DOTALL
    )
    assert example is not None
    (tmp_path / "hosts.yml").write_text(example[1])
    hosts = {host.name: host for host in load_inventory(tmp_path).hosts}
    assert len(hosts) == 4
    assert hosts["db1.example.com"].address == "10.0.0.21"
    assert hosts["web02.example.com"].metadata == {"disk": "ssd", "role": "web"}


def test_a_thousand_hosts_load_in_less_than_half_a_second(tmp_path: Path) -> None:
    lines = ["all:", "  children:"]
    for group in range(10):
        lines += [f"    g{group}:", f"      vars: {{fleet_metadata: {{region: r{group}}}}}", "      hosts:"]
        for number in range(100):
            lines += [
                f"        g{group}m{number}:",
                f"          ansible_host: 10.0.{group}.{number}",
                f"          fleet_metadata: {{rack: r{number}, disk: ssd}}",
            ]
    path = tmp_path / "hosts.yml"
    path.write_text("\n".join(lines) + "\n")
    seconds = []
    for _ in range(3):
        begin = time.process_time()
        assert len(load_inventory(path).hosts) == 1000
        seconds.append(time.process_time() - begin)
    assert min(seconds) < 0.5


def test_importing_the_package_does_not_import_yaml() -> None:
    code = "import sys, fleetssh.inventory; sys.exit('yaml' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=False).returncode == 0
