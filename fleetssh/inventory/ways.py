"""How a machine is reached, kept for the day on which it is no longer in the inventory."""

from __future__ import annotations

from collections.abc import Mapping

from fleetssh.inventory.model import DEFAULT_PORT, Host


def way_of(host: Host) -> dict[str, str]:
    """What ``host_of`` needs to make a host like ``host`` again; what stays unsaid is left out."""
    way = {"address": host.address, "port": str(host.port), "become": "yes" if host.become else ""}
    way |= {"user": host.user or "", "key_file": host.key_file or "", "known_hosts": host.known_hosts or ""}
    return {key: value for key, value in way.items() if value}


def host_of(name: str, way: Mapping[str, str]) -> Host | None:
    """A host that is reached as ``way`` says; ``None`` when nobody wrote down how."""
    if "address" not in way:
        return None
    port = way.get("port", "")
    return Host(
        name,
        way["address"],
        int(port) if port.isdecimal() else DEFAULT_PORT,
        way.get("user"),
        way.get("key_file"),
        bool(way.get("become")),
        way.get("known_hosts"),
        metadata={},
        groups=(),
        where="",
    )
