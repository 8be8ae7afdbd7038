"""``fleet_metadata``: the words that units select machines by (``MachineMetadata=``)."""

from __future__ import annotations

from fleetssh.core.errors import InventoryError
from fleetssh.core.excerpts import excerpt, shorten
from fleetssh.core.metadata import RESERVED
from fleetssh.inventory.words import check_plain
from fleetssh.inventory.yamlfile import Kind, Pair, kind_of, read_mapping, text_of

_SCALARS = (Kind.TEXT, Kind.NUMBER, Kind.TRUTH)
_EXPECTED = "text, a number or true/false"
_HINTS = {
    Kind.NOTHING: 'write `""` for an empty value, or delete the line',
    Kind.DATE: "put it into quotes",
    Kind.LIST: "a machine has one value per key: join them into one text, or use several keys",
    Kind.MAPPING: "use several keys",
}


def read_metadata(pair: Pair) -> dict[str, str]:
    """Keys and values as text, numbers and booleans as they are written in the file (``01`` stays ``01``).

    Raises ``InventoryError`` for other kinds of value, control characters, templates, an empty key,
    ``,`` or ``=`` in a key (fleet writes metadata as ``key=value,key=value``) and a reserved key.
    """
    title = f"`{pair.key}`"
    expected = "a mapping of keys to values"
    return dict(_read_entry(entry) for entry in read_mapping(pair.value, title, expected, pair.where))


def _read_entry(entry: Pair) -> tuple[str, str]:
    key, where = entry.key, entry.where
    if entry.key_kind not in _SCALARS:
        message = f"metadata key `{excerpt(key)}` is {entry.key_kind}; expected {_EXPECTED}"
        raise InventoryError(message, where, "put it into quotes")
    check_plain(key, "a metadata key", where)
    if not key or "," in key or "=" in key:
        hint = "units select by `key=value`, so neither sign can be part of a key"
        raise InventoryError(
            f"metadata key {shorten(key)!r}; expected a word without `,` and `=`", where, hint
        )
    if key.startswith(RESERVED):
        message = f"metadata key `{excerpt(key)}`; expected a key that does not begin with `{RESERVED}`"
        hint = "these are filled with what is found on the machine: choose another key"
        raise InventoryError(message, where, hint)
    kind = kind_of(entry.value)
    if kind not in _SCALARS:
        message = f"metadata `{excerpt(key)}` is {kind}; expected {_EXPECTED}"
        raise InventoryError(message, where, _HINTS.get(kind, ""))
    text = text_of(entry.value)
    check_plain(text, f"metadata `{excerpt(key)}`", where)
    return key, text
