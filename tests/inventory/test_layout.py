from pathlib import Path

import pytest

from fleetssh.inventory import Host, Inventory, load_inventory
from tests.inventory.conftest import Load


def names(inventory: Inventory) -> list[str]:
    return [host.name for host in inventory.hosts]


def groups(inventory: Inventory) -> dict[str, tuple[str, ...]]:
    return {host.name: host.groups for host in inventory.hosts}


def test_a_bare_host_has_its_name_as_address_and_leaves_the_user_to_ssh(load: Load) -> None:
    inventory = load("all:\n  hosts:\n    m1:\n")
    assert inventory == Inventory(
        source="hosts.yml",
        hosts=(
            Host(
                name="m1",
                address="m1",
                port=22,
                user=None,
                key_file=None,
                become=False,
                known_hosts=None,
                metadata={},
                groups=("ungrouped",),
                where="hosts.yml:3",
            ),
        ),
        warnings=(),
    )


def test_hosts_are_sorted_by_name(load: Load) -> None:
    assert names(load("b:\n  hosts: {z: , a: }\na:\n  hosts: {m: }\n")) == ["a", "m", "z"]


def test_groups_hold_ancestors_but_not_all(load: Load) -> None:
    inventory = load("""\
        all:
          hosts:
            alone:
          children:
            eu:
              children:
                web:
                  hosts: {m1: }
        db:
          hosts: {m1: , m2: }
        """)
    assert groups(inventory) == {"alone": ("ungrouped",), "m1": ("db", "eu", "web"), "m2": ("db",)}


def test_a_child_may_be_filled_elsewhere_in_the_file(load: Load) -> None:
    assert groups(load("eu:\n  children:\n    web:\nweb:\n  hosts:\n    m1:\n")) == {"m1": ("eu", "web")}


def test_a_single_name_may_be_written_as_text(load: Load) -> None:
    assert groups(load("eu:\n  children: web\nweb:\n  hosts: m1\n")) == {"m1": ("eu", "web")}


def test_empty_groups_and_sections_are_fine(load: Load) -> None:
    assert names(load("a:\nb: {hosts: , vars: , children: }\nc: {hosts: {m1: {}}}\n")) == ["m1"]


@pytest.mark.parametrize(
    ("pattern", "expanded"),
    [
        ("web[1:3]", ["web1", "web2", "web3"]),
        ("web[08:10]", ["web08", "web09", "web10"]),
        ("n[0:6:2]-x", ["n0-x", "n2-x", "n4-x", "n6-x"]),
        ("db[a:c]", ["dba", "dbb", "dbc"]),
        ("r[1:2]m[a:b]", ["r1ma", "r1mb", "r2ma", "r2mb"]),
    ],
)
def test_ranges_name_many_hosts_with_the_same_variables(
    load: Load, pattern: str, expanded: list[str]
) -> None:
    inventory = load(f"all:\n  hosts:\n    {pattern}: {{ansible_user: core}}\n")
    assert names(inventory) == expanded
    assert {(host.user, host.where) for host in inventory.hosts} == {("core", "hosts.yml:3")}


def test_a_port_may_follow_the_name(load: Load) -> None:
    """F-228: an IPv6 address takes brackets to have a port."""
    inventory = load("""\
        all:
          hosts:
            m[1:2]:2222:
            "[fe80::1]:2200":
            fe80::2:
            m3:2222: {ansible_port: 23}
        """)
    assert {host.name: host.port for host in inventory.hosts} == {
        "fe80::1": 2200,
        "fe80::2": 22,
        "m1": 2222,
        "m2": 2222,
        "m3": 23,
    }


def test_a_folder_is_all_its_yaml_files_in_the_order_of_their_names(load: Load) -> None:
    """F-209"""
    inventory = load(
        {
            "20-more.yaml": "all:\n  hosts:\n    m1: {ansible_user: second}\n    m2:\n",
            "10-first.yml": "web:\n  hosts:\n    m1: {ansible_user: first, ansible_port: 23}\n",
            "notes.txt": "not: [yaml",
            ".hidden.yml": "not: [yaml",
            "empty.yml": "# nothing yet\n",
            "sub/more.yml": "not: [yaml",
            "group_vars/all.yml": "ansible_become: true\n",
        }
    )
    m1 = inventory.hosts[0]
    assert names(inventory) == ["m1", "m2"]
    assert (m1.user, m1.port, m1.become, m1.where) == ("second", 23, True, "inv/10-first.yml:3")
    assert inventory.source == "inv"


def test_a_file_finds_the_variables_beside_it(load: Load) -> None:
    load({"hosts.yml": "all:\n  hosts:\n    m1:\n", "host_vars/m1.yml": "ansible_user: core\n"})
    assert load_inventory(Path("inv/hosts.yml")).hosts[0].user == "core"


@pytest.mark.parametrize("name", ["web", "web.yml", "web.yaml", "web/any.yml", "web/any", "web/sub/any.yml"])
def test_group_variables_may_lie_in_a_file_or_in_a_folder(load: Load, name: str) -> None:
    inventory = load({"hosts.yml": "web:\n  hosts: {m1: }\n", f"group_vars/{name}": "ansible_user: core\n"})
    assert inventory.hosts[0].user == "core"


@pytest.mark.parametrize(
    "name", ["web.txt", "web/.any.yml", "web/any.yml~", "web/any.txt", "web/sub.d/any.yml"]
)
def test_other_files_in_group_vars_are_not_read(load: Load, name: str) -> None:
    inventory = load({"hosts.yml": "web:\n  hosts: {m1: }\n", f"group_vars/{name}": "ansible_user: core\n"})
    assert inventory.hosts[0].user is None


def test_files_of_a_group_folder_are_merged_in_the_order_of_their_names(load: Load) -> None:
    inventory = load(
        {
            "hosts.yml": "web:\n  hosts: {m1: }\n",
            "group_vars/web/b.yml": "ansible_user: late\nfleet_metadata: {b: '1', c: late}\n",
            "group_vars/web/a.yml": "ansible_user: early\nfleet_metadata: {a: '1', c: early}\n",
        }
    )
    assert inventory.hosts[0].user == "late"
    assert inventory.hosts[0].metadata == {"a": "1", "b": "1", "c": "late"}


def test_of_several_files_with_a_name_only_the_first_kind_counts_as_in_ansible(load: Load) -> None:
    inventory = load(
        {
            "hosts.yml": "web:\n  hosts: {m1: }\ndb:\n  hosts: {m2: }\n",
            "group_vars/web/a.yml": "ansible_user: folder\n",
            "group_vars/web.yml": "ansible_user: file\nansible_port: 23\n",
            "group_vars/db.yml": "ansible_user: yml\n",
            "group_vars/db.yaml": "ansible_user: yaml\nansible_port: 23\n",
        }
    )
    assert [(host.user, host.port) for host in inventory.hosts] == [("folder", 22), ("yml", 22)]


def test_anchors_and_merge_keys_work(load: Load) -> None:
    inventory = load("""\
        all:
          hosts:
            m1: &base {ansible_user: core, ansible_port: 23}
            m2: {<<: *base, ansible_port: 24}
            m3: {<<: [{ansible_user: first}, *base]}
            m4: *base
        """)
    assert [(host.user, host.port) for host in inventory.hosts] == [
        ("core", 23),
        ("core", 24),
        ("first", 23),
        ("core", 23),
    ]
