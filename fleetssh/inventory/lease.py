"""Variables -> the lease of the units on a host that do not say one."""

from __future__ import annotations

from collections.abc import Mapping

from fleetssh.core import leases
from fleetssh.core.errors import InventoryError
from fleetssh.inventory.variables import LEASE, Setting
from fleetssh.inventory.words import check_plain
from fleetssh.inventory.yamlfile import Kind


def read_lease(settings: Mapping[str, Setting]) -> int:
    """Seconds; 0 when the variable is not set, or set to nothing. Raises ``InventoryError`` for a value that
    cannot be meant."""
    setting = settings.get(LEASE)
    if setting is None or setting.kind is Kind.NOTHING:
        return 0
    check_plain(setting.text, f"`{LEASE}`", setting.where)
    if not setting.text:
        raise InventoryError(f"`{LEASE}` is {setting.kind}; expected seconds, as in 30", setting.where)
    try:
        return leases.read_lease(setting.text)
    except ValueError as error:
        hint = "write 30, 30s or 2min, or 0 for none"
        raise InventoryError(f"`{LEASE}`: {error}", setting.where, hint) from None
