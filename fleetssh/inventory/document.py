"""One inventory file -> what it states about groups and hosts, in the order of the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from fleetssh.core.errors import InventoryError
from fleetssh.core.excerpts import excerpt
from fleetssh.inventory.ranges import expand, split_port
from fleetssh.inventory.variables import Setting, Variables, read_variables
from fleetssh.inventory.words import check_word
from fleetssh.inventory.yamlfile import Kind, Pair, compose, kind_of, read_mapping, text_of

_NOT_YAML_HINT = "only YAML inventories are read: `ansible-inventory -i FILE --list --yaml` converts others"


@dataclass(frozen=True, slots=True)
class GroupStated:
    """A group exists; ``variables`` is what it sets here."""

    group: str
    variables: Variables = field(default_factory=Variables)


@dataclass(frozen=True, slots=True)
class ChildStated:
    """``child`` is a group inside ``parent``."""

    parent: str
    child: str
    where: str


@dataclass(frozen=True, slots=True)
class HostStated:
    """A host belongs to ``group``. ``port`` comes from ``name:port``, and counts for a new host only."""

    group: str
    host: str
    port: Setting | None
    variables: Variables
    where: str


Statement: TypeAlias = GroupStated | ChildStated | HostStated


def read_document(path: Path) -> Iterator[Statement]:
    """What the file states; nothing for an empty file. Raises ``InventoryError`` for the first mistake."""
    root = compose(path)
    for pair in read_mapping(root, "the inventory", "a mapping of groups", f"{path}:1", _NOT_YAML_HINT):
        yield from _read_group(pair)


def _read_group(pair: Pair) -> Iterator[Statement]:
    group = pair.key
    _check_name(pair, "a group name")
    yield GroupStated(group)
    expected = "a mapping with hosts, children or vars"
    for section in read_mapping(pair.value, f"group `{group}`", expected, pair.where):
        title = f"`{excerpt(section.key)}` of group `{group}`"
        match section.key:
            case "vars":
                yield GroupStated(group, read_variables(section.value, title, section.where))
            case "children":
                for child in _members(section, title):
                    yield ChildStated(group, child.key, child.where)
                    yield from _read_group(child)
            case "hosts":
                for host in _members(section, title):
                    yield from _read_host(group, host)
            case _:
                message = (
                    f"group `{group}` has the key `{excerpt(section.key)}`; expected hosts, children or vars"
                )
                hint = "a host goes under `hosts:`, a group inside this one under `children:`"
                raise InventoryError(message, section.where, hint)


def _members(section: Pair, title: str) -> list[Pair]:
    """The groups or hosts of a section; a single one may be written as text (``hosts: m1``)."""
    if kind_of(section.value) is Kind.TEXT:
        return [Pair(text_of(section.value), Kind.TEXT, section.where, None)]
    hint = "write `name:` with a colon instead of `- name`" if kind_of(section.value) is Kind.LIST else ""
    return read_mapping(section.value, title, "a mapping of names", section.where, hint)


def _read_host(group: str, pair: Pair) -> Iterator[Statement]:
    _check_name(pair, "a host name")
    pattern, port_text = split_port(pair.key)
    variables = read_variables(pair.value, f"host `{pair.key}`", pair.where)
    port = None if port_text is None else Setting(port_text, Kind.NUMBER, pair.where)
    for name in expand(pattern, pair.where):
        check_word(name, "a host name", pair.where)
        yield HostStated(group, name, port, variables, pair.where)


def _check_name(pair: Pair, title: str) -> None:
    if pair.key_kind is not Kind.TEXT:
        message = f"{title} is {pair.key_kind} (`{excerpt(pair.key)}`); expected text"
        raise InventoryError(message, pair.where, "put the name into quotes")
    check_word(pair.key, title, pair.where)
