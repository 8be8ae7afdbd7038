from tests.inventory.conftest import Load


def test_a_variable_that_changes_connecting_is_told_once_with_its_first_place(load: Load) -> None:
    inventory = load("""\
        all:
          hosts:
            m2: {ansible_ssh_common_args: -J jump}
            m1: {ansible_ssh_common_args: -J jump}
        """)
    assert inventory.warnings == (
        "hosts.yml:3: `ansible_ssh_common_args` is not used here (2 places in all)",
    )


def test_places_are_ordered_by_line_number(load: Load) -> None:
    hosts = "".join(f"    m{line}: {{ansible_ssh_args: x}}\n" for line in range(3, 13))
    assert load(f"all:\n  hosts:\n{hosts}").warnings == (
        "hosts.yml:3: `ansible_ssh_args` is not used here (10 places in all)",
    )


def test_old_names_are_told_with_the_new_one(load: Load) -> None:
    inventory = load("all:\n  hosts:\n    m1: {ansible_ssh_host: 10.0.0.1}\n")
    assert inventory.hosts[0].address == "m1"
    assert inventory.warnings == ("hosts.yml:3: `ansible_ssh_host` is not used here: write `ansible_host`",)


def test_other_variables_are_ignored_silently(load: Load) -> None:
    variables = "ansible_python_interpreter: /usr/bin/python3, ansible_pipelining: true, http_port: 80"
    assert load(f"all:\n  hosts:\n    m1: {{{variables}}}\n").warnings == ()


def test_a_local_connection_is_told(load: Load) -> None:
    inventory = load("all:\n  hosts:\n    m1: {ansible_connection: local}\n")
    assert inventory.warnings == (
        "hosts.yml:3: `ansible_connection` is local, but every machine is reached over SSH here",
    )


def test_a_misspelt_variable_of_ours_is_told(load: Load) -> None:
    inventory = load("all:\n  hosts:\n    m1: {fleet_metdata: {a: b}}\n")
    (warning,) = inventory.warnings
    assert warning == (
        "hosts.yml:3: `fleet_metdata` is not known; "
        "known are `fleet_metadata` and `fleet_known_hosts` and `fleet_lease`"
    )


def test_two_hosts_at_one_address_are_told(load: Load) -> None:
    inventory = load("""\
        all:
          hosts:
            a: {ansible_host: 10.0.0.1}
            b: {ansible_host: 10.0.0.1}
            c: {ansible_host: 10.0.0.1, ansible_port: 2222}
            10.0.0.9:
            d: {ansible_host: 10.0.0.9}
        """)
    assert inventory.warnings == (
        "hosts a, b have the same address 10.0.0.1 port 22",
        "hosts 10.0.0.9, d have the same address 10.0.0.9 port 22",
    )


def test_a_crowd_at_one_address_is_told_briefly(load: Load) -> None:
    inventory = load("all:\n  hosts:\n    m[1:9]: {ansible_host: 10.0.0.1}\n")
    assert inventory.warnings == (
        "hosts m1, m2, m3, m4, m5 and 4 more have the same address 10.0.0.1 port 22",
    )


def test_a_host_twice_with_different_addresses_is_one_host(load: Load) -> None:
    inventory = load("a: {hosts: {m1: {ansible_host: x}}}\nb: {hosts: {m1: {ansible_host: y}}}\n")
    assert [host.address for host in inventory.hosts] == ["y"]
    assert inventory.warnings == ()


def test_an_encrypted_file_is_told_and_skipped(load: Load) -> None:
    inventory = load(
        {
            "hosts.yml": "all:\n  hosts:\n    m1:\n",
            "group_vars/all/vault.yml": "$ANSIBLE_VAULT;1.1;AES256\n3132333435\n3637383930\n",
            "group_vars/all/vars.yml": "ansible_user: core\n",
        }
    )
    assert inventory.hosts[0].user == "core"
    assert inventory.warnings == (
        "inv/group_vars/all/vault.yml: encrypted by Ansible Vault, so nothing in it is used here",
    )
