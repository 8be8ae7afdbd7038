from pathlib import Path

import pytest

from fleetssh.inventory import Host
from tests.inventory.conftest import Load


def load_host(load: Load, variables: str) -> Host:
    return load(f"all:\n  hosts:\n    m1: {{{variables}}}\n").hosts[0]


def test_every_honoured_variable_reaches_the_host(load: Load) -> None:
    host = load_host(
        load,
        "ansible_host: 10.0.0.1, ansible_port: 2222, ansible_user: core, ansible_become: true, "
        "ansible_become_user: root, ansible_become_method: sudo, ansible_connection: ssh, "
        "ansible_ssh_private_key_file: /keys/id, fleet_known_hosts: /keys/known_hosts",
    )
    assert (host.address, host.port, host.user, host.become) == ("10.0.0.1", 2222, "core", True)
    assert (host.key_file, host.known_hosts) == ("/keys/id", "/keys/known_hosts")


@pytest.mark.parametrize("word", ["true", "yes", "on", "1", "'true'", "'Yes'", "True", "y", "'t'"])
def test_become_is_true_for_all_of_ansibles_words(load: Load, word: str) -> None:
    assert load_host(load, f"ansible_become: {word}").become is True


@pytest.mark.parametrize("word", ["false", "no", "off", "0", "'false'", "'No'", "n", "'f'"])
def test_become_is_false_for_all_of_ansibles_words(load: Load, word: str) -> None:
    assert load_host(load, f"ansible_become: {word}").become is False


@pytest.mark.parametrize("text", ["1", "22", "65535", "'2222'"])
def test_ports_may_be_numbers_or_text(load: Load, text: str) -> None:
    assert load_host(load, f"ansible_port: {text}").port == int(text.strip("'"))


@pytest.mark.parametrize("word", ["ssh", "smart", "paramiko"])
def test_ssh_connections_are_accepted_silently(load: Load, word: str) -> None:
    assert load(f"all:\n  hosts:\n    m1: {{ansible_connection: {word}}}\n").warnings == ()


def test_a_variable_set_to_nothing_counts_as_not_set(load: Load) -> None:
    host = load(
        "all:\n  vars: {ansible_user: core, ansible_port: 23, ansible_host: x, ansible_password: x}\n"
        "  hosts:\n    m1: {ansible_user: , ansible_port: ~, ansible_host: null, ansible_password: }\n"
    ).hosts[0]
    assert (host.user, host.port, host.address) == (None, 22, "m1")


def test_relative_paths_start_at_the_folder_of_the_inventory(load: Load, tmp_path: Path) -> None:
    inventory = load(
        {
            "hosts.yml": "all:\n  hosts:\n    m1: {ansible_ssh_private_key_file: ../keys/id}\n",
            "group_vars/all.yml": "fleet_known_hosts: known_hosts\n",
        }
    )
    base = tmp_path.resolve()
    assert inventory.hosts[0].key_file == str(base / "keys/id")
    assert inventory.hosts[0].known_hosts == str(base / "inv/known_hosts")


def test_a_tilde_is_the_home_folder(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """F-208"""
    monkeypatch.setenv("HOME", "/home/core")
    assert load_host(load, "ansible_ssh_private_key_file: ~/.ssh/id").key_file == "/home/core/.ssh/id"


def test_an_overridden_mistake_is_not_one(load: Load) -> None:
    host = load(
        "all:\n  vars: {ansible_host: '{{ address }}', ansible_become_user: postgres}\n"
        "  hosts:\n    m1: {ansible_host: 10.0.0.1, ansible_become_user: root}\n"
    ).hosts[0]
    assert host.address == "10.0.0.1"


def test_templates_in_variables_of_others_are_none_of_our_business(load: Load) -> None:
    host = load_host(
        load, "http_port: '{{ base + 1 }}', app: {a: [1], b: '{% if x %}'}, ansible_python: '{{ x }}'"
    )
    assert host.name == "m1"
