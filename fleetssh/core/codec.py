"""Values to JSON and back, for stores: what comes back equals what went in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fleetssh.core.errors import StoreError
from fleetssh.core.model import Requirements, Seen, TargetState

REQUIREMENTS_VERSION = 2
"""Grows when a reader of the old form would misunderstand the new one. A document has the smallest version
whose readers understand it: 2 with a lease, which a reader of version 1 would pass over, and 1 without."""

# ASCII only, so that text which is not valid Unicode (lone surrogates) can be stored too.
_ENCODER = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), sort_keys=True)


def encode_requirements(requirements: Requirements) -> str:
    """Return a versioned JSON document; what is empty is left out."""
    document: dict[str, Any] = {"version": 1 if requirements.lease is None else 2}
    if requirements.machine_id is not None:
        document["machine_id"] = requirements.machine_id
    if requirements.is_global:
        document["is_global"] = True
    for key in ("machine_of", "metadata", "conflicts", "replaces"):
        if values := getattr(requirements, key):
            document[key] = values
    if requirements.lease is not None:
        document["lease"] = requirements.lease
    return _ENCODER.encode(document)


def decode_requirements(text: str) -> Requirements:
    """Return what ``encode_requirements`` was given; raises ``StoreError`` for anything else."""
    document = _object(text)
    version = document.get("version")
    if version not in range(1, REQUIREMENTS_VERSION + 1):
        raise StoreError(
            f"the stored requirements have version {version!r}, "
            f"this fleetssh knows those up to {REQUIREMENTS_VERSION}",
            "use the version of fleetssh that wrote them, or a newer one",
        )
    machine_id = document.get("machine_id")
    is_global = document.get("is_global", False)
    if not isinstance(machine_id, str | None) or not isinstance(is_global, bool):
        raise _damaged(text)
    lease = document.get("lease")
    metadata = document.get("metadata", [])
    if not isinstance(metadata, list):
        raise _damaged(text)
    return Requirements(
        machine_id=machine_id,
        machine_of=_strings(document.get("machine_of", []), text),
        metadata=tuple(_allowed(pair, text) for pair in metadata),
        conflicts=_strings(document.get("conflicts", []), text),
        replaces=_strings(document.get("replaces", []), text),
        is_global=is_global,
        lease=None if lease is None else _seconds(lease, text),
    )


def encode_names(names: tuple[str, ...]) -> str:
    """Return a JSON list of strings."""
    return _ENCODER.encode(names)


def decode_names(text: str) -> tuple[str, ...]:
    """Return what ``encode_names`` was given; raises ``StoreError`` for anything else."""
    return _strings(_json(text), text)


def encode_metadata(metadata: Mapping[str, str]) -> str:
    """Return a JSON object of strings, sorted by key."""
    return _ENCODER.encode(dict(metadata))


def decode_metadata(text: str) -> dict[str, str]:
    """Return what ``encode_metadata`` was given; raises ``StoreError`` for anything else."""
    document = _object(text)
    if not all(isinstance(value, str) for value in document.values()):
        raise _damaged(text)
    return document


def encode_seen(seen: tuple[Seen, ...]) -> str:
    """Return a JSON list with a list of five strings for each unit, and the seconds of its lease, if any."""
    return _ENCODER.encode(
        [(s.name, s.target, s.load, s.active, s.sub, *([s.lease] if s.lease else ())) for s in seen]
    )


def decode_seen(text: str) -> tuple[Seen, ...]:
    """Return what ``encode_seen`` was given; raises ``StoreError`` for anything else."""
    rows = _json(text)
    if not isinstance(rows, list):
        raise _damaged(text)
    return tuple(_seen(row, text) for row in rows)


def _seen(row: Any, text: str) -> Seen:
    if not isinstance(row, list):
        raise _damaged(text)
    lease = _seconds(row[5], text) if len(row) == 6 else 0
    try:
        name, target, load, active, sub = _strings(row[:5] if len(row) == 6 else row, text)
        return Seen(name, TargetState(target), load, active, sub, lease)
    except ValueError as error:
        raise _damaged(text) from error


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise _damaged(text) from error


def _object(text: str) -> dict[str, Any]:
    document = _json(text)
    if not isinstance(document, dict):
        raise _damaged(text)
    return document


def _allowed(pair: Any, text: str) -> tuple[str, tuple[str, ...]]:
    if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], str):
        raise _damaged(text)
    return pair[0], _strings(pair[1], text)


def _strings(values: Any, text: str) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise _damaged(text)
    return tuple(values)


def _seconds(value: Any, text: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise _damaged(text)
    return value


def _damaged(text: str) -> StoreError:
    return StoreError(f"a stored document cannot be understood: {text[:80]!r}")
