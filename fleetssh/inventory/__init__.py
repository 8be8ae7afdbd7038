"""Inventories in Ansible's YAML layout -> machines and how to reach them."""

from __future__ import annotations

from pathlib import Path

from fleetssh.inventory.model import Host, Inventory

__all__ = ["Host", "Inventory", "load_inventory"]


def load_inventory(path: Path) -> Inventory:
    """Read an inventory file, or a folder of them, with its ``group_vars/`` and ``host_vars/``.

    Nothing but files is touched: no name is resolved, no key is opened, no template is evaluated.
    Raises ``InventoryError`` (with ``file:line``) on the first mistake.
    """
    # Importing PyYAML costs about 20 ms, which verbs that read no inventory should not pay.
    from fleetssh.inventory.reading import read_inventory

    return read_inventory(path)
