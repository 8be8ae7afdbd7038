"""What an inventory says, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

DEFAULT_PORT = 22


@dataclass(frozen=True, slots=True)
class Host:
    """One machine of the inventory and how to reach it.

    ``address`` is the host's name unless ``ansible_host`` says otherwise; ``user`` is ``None`` when SSH
    decides; ``key_file`` and ``known_hosts`` are absolute paths that need not exist; ``metadata`` is
    sorted by key; ``groups`` is sorted, holds the ancestors of the host's groups too, but never ``all``;
    ``where`` is the ``file:line`` of the first mention. ``lease`` is that of the units there which do not say
    one, in seconds (0: none).
    """

    name: str
    address: str
    port: int
    user: str | None
    key_file: str | None
    become: bool
    known_hosts: str | None
    metadata: Mapping[str, str]
    groups: tuple[str, ...]
    where: str
    lease: int = 0


@dataclass(frozen=True, slots=True)
class Inventory:
    """All hosts, sorted by name (never empty), and what the operator should know about them.

    ``source`` is the path that was asked for.
    """

    source: str
    hosts: tuple[Host, ...]
    warnings: tuple[str, ...]
