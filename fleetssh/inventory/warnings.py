"""What the operator should know about an inventory that is not wrong."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from fleetssh.core.excerpts import excerpt
from fleetssh.inventory.model import Host
from fleetssh.inventory.variables import LEASE, METADATA, Setting, Variables

# Enough names to recognise the mistake; a range without a range in its address shares it among hundreds.
_SHOWN = 5

_KNOWN = (METADATA, "fleet_known_hosts", LEASE)

# Ansible variables that change how Ansible connects and that are not honoured, with what to do instead.
_NOT_HONOURED: Mapping[str, str] = {
    "ansible_become_exe": "",
    "ansible_become_flags": "",
    "ansible_control_path": "",
    "ansible_host_key_checking": "host keys are always checked",
    "ansible_paramiko_host_key_checking": "host keys are always checked",
    "ansible_paramiko_private_key_file": "write `ansible_ssh_private_key_file`",
    "ansible_paramiko_proxy_command": "",
    "ansible_paramiko_user": "write `ansible_user`",
    "ansible_private_key_file": "write `ansible_ssh_private_key_file`",
    "ansible_shell_executable": "",
    "ansible_shell_type": "",
    "ansible_ssh_args": "",
    "ansible_ssh_common_args": "",
    "ansible_ssh_executable": "",
    "ansible_ssh_extra_args": "",
    "ansible_ssh_host": "write `ansible_host`",
    "ansible_ssh_host_key_checking": "host keys are always checked",
    "ansible_ssh_port": "write `ansible_port`",
    "ansible_ssh_private_key": "write the key to a file and name it in `ansible_ssh_private_key_file`",
    "ansible_ssh_private_key_passphrase": "load the key into ssh-agent",
    "ansible_ssh_pkcs11_provider": "load the key into ssh-agent",
    "ansible_ssh_timeout": "",
    "ansible_ssh_user": "write `ansible_user`",
    "ansible_sudo_exe": "",
    "ansible_sudo_flags": "",
    "ansible_sudo_user": "",
    "ansible_timeout": "",
}


def find_warnings(hosts: Iterable[Host], variables: Iterable[Variables]) -> tuple[str, ...]:
    """What to tell, in a fixed order. ``variables`` is what counts for each host after merging."""
    effective = tuple(variables)
    return (*_unused(effective), *_encrypted(effective), *_same_address(hosts))


def _unused(effective: Iterable[Variables]) -> Iterator[str]:
    """One warning per variable however many places set it: a cluster has hundreds of hosts."""
    places: dict[tuple[str, str], set[str]] = defaultdict(set)
    for variables in effective:
        for name, setting in variables.settings.items():
            advice = _advice(name, setting)
            if advice is not None:
                places[name, advice].add(setting.where)
    for (_, advice), wheres in sorted(places.items()):
        first = min(wheres, key=_place_order)
        others = f" ({len(wheres)} places in all)" if len(wheres) > 1 else ""
        yield f"{first}: {advice}{others}"


def _advice(name: str, setting: Setting) -> str | None:
    """What is to say about one variable, ``None`` for nothing."""
    if name in _NOT_HONOURED:
        instead = _NOT_HONOURED[name]
        return f"`{name}` is not used here" + (f": {instead}" if instead else "")
    if name.startswith("fleet_") and name not in _KNOWN:
        return f"`{excerpt(name)}` is not known; known are {' and '.join(f'`{known}`' for known in _KNOWN)}"
    if name == "ansible_connection" and setting.text == "local":
        return "`ansible_connection` is local, but every machine is reached over SSH here"
    return None


def _place_order(where: str) -> tuple[str, int]:
    file, _, line = where.rpartition(":")
    return file, int(line)


def _encrypted(effective: Iterable[Variables]) -> Iterator[str]:
    for path in sorted({path for variables in effective for path in variables.encrypted}):
        yield f"{path}: encrypted by Ansible Vault, so nothing in it is used here"


def _same_address(hosts: Iterable[Host]) -> Iterator[str]:
    """Two names for one machine would make one systemd look like two machines."""
    names: dict[tuple[str, int], list[str]] = defaultdict(list)
    for host in hosts:
        names[host.address, host.port].append(host.name)
    for (address, port), sharing in sorted(names.items()):
        if len(sharing) > 1:
            yield f"{_listed(sharing)} have the same address {address} port {port}"


def _listed(names: list[str]) -> str:
    others = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"hosts {', '.join(names[:_SHOWN])}{others}"
