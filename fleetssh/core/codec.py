"""Values to JSON and back, for stores: what comes back equals what went in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fleetssh.core.errors import StoreError
from fleetssh.core.model import Requirements, Seen, TargetState

REQUIREMENTS_VERSION = 1
"""Grows when a reader of the old form would misunderstand the new one."""

# ASCII only, so that text which is not valid Unicode (lone surrogates) can be stored too.
_ENCODER = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), sort_keys=True)


def encode_requirements(requirements: Requirements) -> str:
    """Return a versioned JSON document; what is empty is left out."""
    document: dict[str, Any] = {"version": REQUIREMENTS_VERSION}
    if requirements.machine_id is not None:
        document["machine_id"] = requirements.machine_id
    if requirements.is_global:
        document["is_global"] = True
    for key in ("machine_of", "metadata", "conflicts", "replaces"):
        if values := getattr(requirements, key):
            document[key] = values
    return _ENCODER.encode(document)


def decode_requirements(text: str) -> Requirements:
    """Return what ``encode_requirements`` was given; raises ``StoreError`` for anything else."""
    document = _object(text)
    version = document.get("version")
    if version != REQUIREMENTS_VERSION:
        raise StoreError(
            f"the stored requirements have version {version!r}, this fleetssh knows {REQUIREMENTS_VERSION}",
            "use the version of fleetssh that wrote them, or a newer one",
        )
    machine_id = document.get("machine_id")
    is_global = document.get("is_global", False)
    if not isinstance(machine_id, str | None) or not isinstance(is_global, bool):
        raise _damaged(text)
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
    """Return a JSON list with one list of five strings for each unit."""
    return _ENCODER.encode([(s.name, s.target, s.load, s.active, s.sub) for s in seen])


def decode_seen(text: str) -> tuple[Seen, ...]:
    """Return what ``encode_seen`` was given; raises ``StoreError`` for anything else."""
    rows = _json(text)
    if not isinstance(rows, list):
        raise _damaged(text)
    return tuple(_seen(_strings(row, text), text) for row in rows)


def _seen(fields: tuple[str, ...], text: str) -> Seen:
    try:
        name, target, load, active, sub = fields
        return Seen(name, TargetState(target), load, active, sub)
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


def _damaged(text: str) -> StoreError:
    return StoreError(f"a stored document cannot be understood: {text[:80]!r}")
