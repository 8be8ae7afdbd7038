"""Machine metadata: what placement matches ``MachineMetadata`` against, and where each pair comes from."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from fleetssh.core.sighting import Facts

RESERVED = "fleet."
"""Prefix of the pairs that are probed. Nobody else may set them, so a unit can rely on them."""


def describe(facts: Facts, known: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
    """What a machine says of itself: the pairs of its fleet.conf and the probed facts.

    ``fleet.arch``, ``fleet.os``, ``fleet.os_version``, ``fleet.systemd``, ``fleet.cpus`` and
    ``fleet.memory`` (whole GiB, rounded to the nearest). Where the facts are brief, the probed ones are those
    of ``known``, what was remembered of the same boot.
    """
    said = {key: value for key, value in facts.metadata.items() if not key.startswith(RESERVED)}
    return said | (_probed(known) if facts.is_brief else _read(facts))


def _probed(metadata: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in metadata.items() if key.startswith(RESERVED)}


def _read(facts: Facts) -> dict[str, str]:
    probed = {
        "arch": facts.architecture,
        "os": facts.os,
        "os_version": facts.os_version,
        "systemd": facts.systemd_version,
        "cpus": str(facts.cpus) if facts.cpus else "",
        "memory": str(round(facts.memory_total / 2**30)) if facts.memory_total else "",
    }
    return {RESERVED + key: value for key, value in probed.items() if value}


def merge(said: Mapping[str, str], inventory: Mapping[str, str]) -> dict[str, str]:
    """The pairs a unit is matched against. The inventory wins over the machine's own file: one place to
    change a label must be enough."""
    return {**said, **inventory}


def chosen(metadata: Mapping[str, str]) -> dict[str, str]:
    """The pairs that people gave, without the probed ones, sorted by key (fleet's METADATA column)."""
    return {key: metadata[key] for key in sorted(metadata) if not key.startswith(RESERVED)}
