"""The groups as a tree under ``all``, and the hosts in them: who inherits from whom, in which order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from fleetssh.core.errors import InventoryError
from fleetssh.core.excerpts import shorten
from fleetssh.inventory.document import ChildStated, GroupStated, HostStated, Statement
from fleetssh.inventory.variables import Variables, merge

ALL = "all"
UNGROUPED = "ungrouped"
MAX_MENTIONS = 200_000
"""Mentions of hosts: 10,000 hosts in twenty groups each. A page of ranges can mean more than memory holds."""

_PRIORITY = "ansible_group_priority"
_DEFAULT_PRIORITY = 1


@dataclass(frozen=True, slots=True)
class Group:
    """A group: what it sets in the inventory files, and the groups that it is a child of."""

    name: str
    variables: Variables = field(default_factory=Variables)
    parents: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Entry:
    """A host as the inventory files tell it: what it sets, and the groups that name it."""

    name: str
    where: str
    variables: Variables
    groups: frozenset[str]


@dataclass(frozen=True, slots=True)
class Tree:
    """All groups (``all`` and ``ungrouped`` are always there) and all hosts."""

    groups: Mapping[str, Group]
    hosts: Mapping[str, Entry]


def grow(statements: Iterable[Statement]) -> Tree:
    """Put the statements of all files together, in order: what is said later wins.

    Like Ansible, a group without a parent is a child of ``all``, and a host that is in no other group
    is in ``ungrouped``. Raises ``InventoryError`` for a group that would contain itself.
    """
    groups = {ALL: Group(ALL), UNGROUPED: Group(UNGROUPED, parents=frozenset({ALL}))}
    hosts: dict[str, Entry] = {}
    mentions = 0
    for statement in statements:
        match statement:
            case GroupStated():
                group = groups.setdefault(statement.group, Group(statement.group))
                variables = merge((group.variables, statement.variables))
                groups[group.name] = replace(group, variables=variables)
            case ChildStated():
                _check_no_cycle(statement, groups)
                child = groups.setdefault(statement.child, Group(statement.child))
                groups[child.name] = replace(child, parents=child.parents | {statement.parent})
            case HostStated():
                mentions += 1
                if mentions > MAX_MENTIONS:
                    raise InventoryError(f"more than {MAX_MENTIONS} mentions of hosts", statement.where)
                hosts[statement.host] = _add(statement, hosts.get(statement.host))
    return Tree(
        {name: _under_all(group) for name, group in groups.items()},
        {name: replace(host, groups=_settled(host.groups)) for name, host in hosts.items()},
    )


def _add(statement: HostStated, known: Entry | None) -> Entry:
    if known is None:
        port = {} if statement.port is None else {"ansible_port": statement.port}
        known = Entry(statement.host, statement.where, Variables(port), frozenset())
    variables = merge((known.variables, statement.variables))
    return replace(known, variables=variables, groups=known.groups | {statement.group})


def _under_all(group: Group) -> Group:
    return group if group.parents or group.name == ALL else replace(group, parents=frozenset({ALL}))


def _settled(groups: frozenset[str]) -> frozenset[str]:
    return groups - {ALL, UNGROUPED} or frozenset({UNGROUPED})


def _check_no_cycle(edge: ChildStated, groups: Mapping[str, Group]) -> None:
    hint = f"take `{edge.child}` out of the children of `{edge.parent}`"
    if edge.child == ALL:
        raise InventoryError("`all` is a child; expected a group below it", edge.where, hint)
    if edge.child in _with_ancestors({edge.parent}, groups):
        message = f"`{edge.child}` is inside `{edge.parent}`, which is inside `{edge.child}`"
        if edge.child == edge.parent:
            message = f"group `{edge.child}` is its own child"
        raise InventoryError(f"{message}; expected no circle of groups", edge.where, hint)


def _with_ancestors(names: Iterable[str], groups: Mapping[str, Group]) -> set[str]:
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(groups[name].parents)
    return found


def lineage(names: frozenset[str], tree: Tree) -> tuple[Group, ...]:
    """The groups and all their ancestors in Ansible's order of precedence, the weakest (``all``) first.

    Parents come before children (the longest way to ``all`` counts), then the smaller
    ``ansible_group_priority`` (set in the inventory files), then the name.
    """
    depths: dict[str, int] = {}

    def depth(name: str) -> int:
        if name not in depths:
            depths[name] = 1 + max((depth(parent) for parent in tree.groups[name].parents), default=-1)
        return depths[name]

    found = [tree.groups[name] for name in _with_ancestors(names, tree.groups)]
    return tuple(sorted(found, key=lambda group: (depth(group.name), _priority(group), group.name)))


def _priority(group: Group) -> int:
    setting = group.variables.settings.get(_PRIORITY)
    if setting is None:
        return _DEFAULT_PRIORITY
    if re.fullmatch(r"[+-]?[0-9]{1,9}", setting.text) is None:
        raise InventoryError(
            f"`{_PRIORITY}` is {shorten(setting.text)!r}; expected a whole number", setting.where
        )
    return int(setting.text)
