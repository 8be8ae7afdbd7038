"""An inventory from path to values: which files, who inherits what, how each host is reached."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fleetssh.core.errors import InventoryError
from fleetssh.inventory.connection import read_connection
from fleetssh.inventory.document import read_document
from fleetssh.inventory.lease import read_lease
from fleetssh.inventory.model import Host, Inventory
from fleetssh.inventory.tree import ALL, Entry, Tree, grow, lineage
from fleetssh.inventory.variables import Variables, merge
from fleetssh.inventory.varsfiles import YAML_ENDINGS, list_folder, list_names, read_variables_for
from fleetssh.inventory.warnings import find_warnings

_START_HINT = (
    "`fleetssh lab up` makes machines to try and prints the path of their inventory; "
    "`--inventory PATH` names your own"
)
_HOST_HINT = "a host is written as `all: {hosts: {m1: {ansible_host: 10.0.0.1}}}`"


def read_inventory(path: Path) -> Inventory:
    """See ``load_inventory``."""
    try:
        return _read(path)
    except OSError as error:
        raise InventoryError(f"cannot be read: {error.strerror}", str(error.filename or path)) from error
    except RecursionError as error:
        raise InventoryError("groups nested too deeply, or `<<` in a circle", str(path)) from error


def _read(path: Path) -> Inventory:
    files = _inventory_files(path)
    folder = path if path.is_dir() else path.parent
    tree = grow(statement for file in files for statement in read_document(file))
    if not tree.hosts:
        raise InventoryError("the inventory has no hosts; expected one at least", str(path), _HOST_HINT)
    variables = _effective_variables(tree, folder)
    absolute = folder.resolve()
    hosts = tuple(_host(tree.hosts[name], tree, variables[name], absolute) for name in sorted(variables))
    return Inventory(str(path), hosts, find_warnings(hosts, variables.values()))


def _inventory_files(path: Path) -> list[Path]:
    """The file itself, or the YAML files directly in the folder, by name (hidden ones left out)."""
    if not path.exists():
        raise InventoryError("no such inventory", str(path), _START_HINT)
    if not path.is_dir():
        return [path]
    files = [
        path / name
        for name in list_names(path)
        if name.endswith(YAML_ENDINGS) and not name.startswith(".") and not (path / name).is_dir()
    ]
    if not files:
        message = "no inventory file in this folder; expected *.yml or *.yaml"
        raise InventoryError(message, str(path), _START_HINT)
    return files


def _effective_variables(tree: Tree, folder: Path) -> dict[str, Variables]:
    """What counts for every host, in Ansible's order of precedence."""
    group_folder, host_folder = list_folder(folder / "group_vars"), list_folder(folder / "host_vars")
    group_files = {name: read_variables_for(name, group_folder) for name in sorted(tree.groups)}
    # Hosts in the same groups share the merged variables: there are far fewer sets of groups than hosts.
    sets_of_groups = sorted({host.groups for host in tree.hosts.values()}, key=sorted)
    shared = {groups: merge(_group_layers(groups, tree, group_files)) for groups in sets_of_groups}
    return {
        name: merge((shared[host.groups], host.variables, read_variables_for(name, host_folder)))
        for name, host in sorted(tree.hosts.items())
    }


def _group_layers(
    groups: frozenset[str], tree: Tree, group_files: Mapping[str, Variables]
) -> list[Variables]:
    """All inline variables come before all ``group_vars`` files: Ansible's surprise, kept."""
    line = lineage(groups, tree)
    return [*(group.variables for group in line), *(group_files[group.name] for group in line)]


def _host(entry: Entry, tree: Tree, variables: Variables, folder: Path) -> Host:
    connection = read_connection(entry.name, entry.where, variables.settings, folder)
    return Host(
        name=entry.name,
        address=connection.address,
        port=connection.port,
        user=connection.user,
        key_file=connection.key_file,
        become=connection.become,
        known_hosts=connection.known_hosts,
        metadata=dict(sorted(variables.metadata.items())),
        groups=tuple(sorted(group.name for group in lineage(entry.groups, tree) if group.name != ALL)),
        where=entry.where,
        lease=read_lease(variables.settings),
    )
