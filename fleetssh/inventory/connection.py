"""Variables -> how to reach a host: the Ansible variables that are honoured, and those that are refused."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fleetssh.core.errors import InventoryError
from fleetssh.core.excerpts import shorten
from fleetssh.inventory.model import DEFAULT_PORT
from fleetssh.inventory.variables import Setting
from fleetssh.inventory.words import check_address, check_plain, check_user, check_word
from fleetssh.inventory.yamlfile import Kind

# Every spelling that Ansible knows for a password. None is supported: a password would have to lie on disk.
PASSWORDS = (
    "ansible_become_pass",
    "ansible_become_password",
    "ansible_paramiko_pass",
    "ansible_paramiko_password",
    "ansible_password",
    "ansible_ssh_pass",
    "ansible_ssh_password",
    "ansible_sudo_pass",
)
_CONNECTIONS = ("local", "paramiko", "smart", "ssh")
_TRUE = ("1", "on", "t", "true", "y", "yes")
_FALSE = ("0", "f", "false", "n", "no", "off")
_LAST_PORT = 65535


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach one host; the fields are those of ``Host``."""

    address: str
    port: int
    user: str | None
    key_file: str | None
    become: bool
    known_hosts: str | None


def read_connection(name: str, where: str, settings: Mapping[str, Setting], folder: Path) -> Connection:
    """How to reach the host ``name``, first mentioned at ``where``. Relative paths start at ``folder``.

    A variable that is set to nothing (``ansible_user:``) counts as not set, as in Ansible.
    Raises ``InventoryError`` for a value that cannot be meant and for what is not supported.
    """
    given = {key: setting for key, setting in settings.items() if setting.kind is not Kind.NOTHING}
    _refuse_unsupported(given)
    return Connection(
        address=_address(given, name, where),
        port=_port(given, "ansible_port"),
        user=_user(given),
        key_file=_path(given, "ansible_ssh_private_key_file", folder),
        become=_truth(given, "ansible_become"),
        known_hosts=_path(given, "fleet_known_hosts", folder),
    )


def _refuse_unsupported(given: Mapping[str, Setting]) -> None:
    for key in PASSWORDS:
        if key in given:
            message = (
                f"`{key}` is set; expected SSH keys and sudo without a password, nothing else is supported"
            )
            hint = "delete it, put a public key on the machine and a NOPASSWD rule into its sudoers"
            raise InventoryError(message, given[key].where, hint)
    _expect(given, "ansible_connection", _CONNECTIONS, "machines are reached over SSH only")
    _expect(given, "ansible_become_user", ("root",), "units of the system manager belong to root")
    _expect(given, "ansible_become_method", ("sudo",), "sudo is the only way to become root here")


def _expect(given: Mapping[str, Setting], key: str, allowed: tuple[str, ...], why: str) -> None:
    setting = given.get(key)
    if setting is None:
        return
    text = _text(setting, key)
    if text not in allowed:
        raise InventoryError(
            f"`{key}` is {shorten(text)!r}; expected {' or '.join(allowed)}", setting.where, why
        )


def _text(setting: Setting, key: str) -> str:
    if setting.kind is not Kind.TEXT:
        hint = "" if setting.kind in (Kind.LIST, Kind.MAPPING, Kind.OTHER) else "put it into quotes"
        raise InventoryError(f"`{key}` is {setting.kind}; expected text", setting.where, hint)
    check_plain(setting.text, f"`{key}`", setting.where)
    return setting.text


def _address(given: Mapping[str, Setting], name: str, where: str) -> str:
    setting = given.get("ansible_host")
    if setting is None:
        check_address(name, "a host name without `ansible_host`", where)
        return name
    text = _text(setting, "ansible_host")
    check_word(text, "`ansible_host`", setting.where)
    check_address(text, "`ansible_host`", setting.where)
    return text


def _user(given: Mapping[str, Setting]) -> str | None:
    setting = given.get("ansible_user")
    if setting is None:
        return None
    text = _text(setting, "ansible_user")
    check_word(text, "`ansible_user`", setting.where)
    check_user(text, "`ansible_user`", setting.where)
    return text


def _port(given: Mapping[str, Setting], key: str) -> int:
    setting = given.get(key)
    if setting is None:
        return DEFAULT_PORT
    check_plain(setting.text, f"`{key}`", setting.where)
    # A leading zero would mean an octal number to YAML, so it is refused instead of guessed.
    is_number = re.fullmatch(r"[1-9][0-9]{0,4}", setting.text) is not None
    if not is_number or int(setting.text) > _LAST_PORT:
        found = repr(shorten(setting.text)) if setting.text else str(setting.kind)
        message = f"`{key}` is {found}; expected a whole number from 1 to {_LAST_PORT}"
        raise InventoryError(message, setting.where)
    return int(setting.text)


def _truth(given: Mapping[str, Setting], key: str) -> bool:
    setting = given.get(key)
    if setting is None:
        return False
    check_plain(setting.text, f"`{key}`", setting.where)
    word = setting.text.lower()
    if word not in _TRUE and word not in _FALSE:
        found = repr(shorten(setting.text)) if setting.text else str(setting.kind)
        raise InventoryError(f"`{key}` is {found}; expected true or false", setting.where)
    return word in _TRUE


def _path(given: Mapping[str, Setting], key: str, folder: Path) -> str | None:
    setting = given.get(key)
    if setting is None:
        return None
    text = _text(setting, key)
    if not text.strip():
        raise InventoryError(f"`{key}` is empty; expected the path of a file", setting.where)
    expanded = os.path.expanduser(text)  # noqa: PTH111 - leaves an unknown ~user as it is instead of raising
    if expanded.startswith("~"):
        message = f"`{key}` is {shorten(text)!r}; expected the home folder of a user that exists"
        raise InventoryError(message, setting.where, "write the path without `~`")
    return os.path.normpath(folder / expanded)
