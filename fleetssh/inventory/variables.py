"""The variables of one place (a group, a host, a file): those that we may honour, each with its line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from yaml.nodes import Node

from fleetssh.inventory.metadata import read_metadata
from fleetssh.inventory.yamlfile import Kind, kind_of, read_mapping, text_of

METADATA = "fleet_metadata"
LEASE = "fleet_lease"
_OURS = ("ansible_", "fleet_")


@dataclass(frozen=True, slots=True)
class Setting:
    """The value of one variable as it is written; ``text`` is empty for what is no scalar."""

    text: str
    kind: Kind
    where: str


@dataclass(frozen=True, slots=True)
class Variables:
    """What one place sets.

    ``settings`` holds every ``ansible_*`` and ``fleet_*`` variable but the metadata; ``encrypted`` names
    the files that could not be read because Ansible Vault encrypted them.
    """

    settings: Mapping[str, Setting] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    encrypted: tuple[str, ...] = ()


def read_variables(node: Node | None, title: str, where: str) -> Variables:
    """The variables of a mapping; those of other tools are skipped without a look at their values.

    Raises ``InventoryError`` when it is no mapping, for a key that is there twice and for bad metadata.
    """
    settings: dict[str, Setting] = {}
    metadata: dict[str, str] = {}
    for pair in read_mapping(node, title, "a mapping of variables", where):
        if pair.key == METADATA:
            metadata = read_metadata(pair)
        elif pair.key.startswith(_OURS):
            settings[pair.key] = Setting(text_of(pair.value), kind_of(pair.value), pair.where)
    return Variables(settings, metadata)


def merge(layers: Iterable[Variables]) -> Variables:
    """Later layers win: a variable is replaced as a whole, metadata key by key."""
    settings: dict[str, Setting] = {}
    metadata: dict[str, str] = {}
    encrypted: list[str] = []
    for layer in layers:
        settings.update(layer.settings)
        metadata.update(layer.metadata)
        encrypted.extend(layer.encrypted)
    return Variables(settings, metadata, tuple(encrypted))
