"""The lab's network: one bridge, one cable a machine, no way out, and the faults a cable can have."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from fleetssh.core.errors import LabError
from fleetssh.lab import programs
from fleetssh.lab.ledger import Cable
from fleetssh.lab.naming import Names

FIRST_MACHINE = 10
"""m1 has the subnet's address .11; .1 is the bridge, which is where the controller sits."""

LOSS = "fleetssh-loss"
"""The nftables table of a cable that loses packets."""

Subnet = ipaddress.IPv4Network


def machine_address(subnet: Subnet, number: int) -> str:
    """The fixed address of a machine."""
    return str(subnet[FIRST_MACHINE + number])


def controller_address(subnet: Subnet) -> str:
    """The bridge's own address: machines see whoever works on this computer under it."""
    return str(subnet[1])


def choose_subnet(names: Names, preferred: str = "") -> Subnet:
    """A private /24 that no other route of this computer touches; ``preferred`` when it is still free."""
    taken = list(_foreign_networks(names))
    candidates = [Subnet(preferred)] if preferred else []
    for candidate in [*candidates, *_candidates()]:
        if not any(candidate.overlaps(network) for network in taken):
            return candidate
    raise LabError(
        "no private subnet is free for the lab: 10.200-254.0.0/24 and 192.168.200-254.0/24 all have routes",
        hint="take down another lab: `fleetssh lab down --name NAME`",
    )


def _candidates() -> Iterator[Subnet]:
    for number in range(200, 255):
        yield Subnet(f"10.{number}.0.0/24")
    for number in range(200, 255):
        yield Subnet(f"192.168.{number}.0/24")


def _foreign_networks(names: Names) -> Iterator[Subnet]:
    for route in _routes("table", "all"):
        is_ours = route.get("metric") == names.metric or route.get("dev") == names.bridge
        if route["dst"] != "default" and not is_ours:
            yield Subnet(route["dst"], strict=False)


def guard_subnet(names: Names, subnet: Subnet) -> None:
    """Make packets for machines that are not there end here, not leave by the default route."""
    programs.run(["ip", "route", "replace", "unreachable", str(subnet), "metric", str(names.metric)])


def has_bridge(names: Names) -> bool:
    """True while the lab's bridge is there: then its subnet cannot be changed."""
    return _link_exists(names.bridge)


def make_bridge(names: Names, subnet: Subnet) -> None:
    """Make the bridge, or finish one that was half made."""
    if not _link_exists(names.bridge):
        # Without a fixed address the bridge's own would change as ports come and go.
        programs.run(["ip", "link", "add", names.bridge, "address", names.mac(0), "type", "bridge"])
    settings = Path("/proc/sys/net")
    # A machine that sets itself a default route still gets no further than this computer.
    (settings / "ipv4/conf" / names.bridge / "forwarding").write_text("0")
    without_ipv6 = settings / "ipv6/conf" / names.bridge / "disable_ipv6"
    if without_ipv6.exists():
        without_ipv6.write_text("1")
    address = f"{controller_address(subnet)}/{subnet.prefixlen}"
    _batch([], [f"address replace {address} dev {names.bridge}", f"link set {names.bridge} up"])


def plug_in(names: Names, subnet: Subnet, number: int, leader: int) -> None:
    """Lay the cable from the bridge to the network namespace of the process ``leader``.

    The namespace lives as long as its machine, and the cable as long as the namespace: both are gone with
    the machine, however it ends.
    """
    unplug(names, number)
    port = names.port(number)
    mac = names.mac(number)
    _batch(
        [],
        [
            f"link add name {port} type veth peer name eth0 address {mac} netns {leader}",
            f"link set {port} master {names.bridge} up",
        ],
    )
    _batch(
        _inside(leader),
        [
            "link set lo up",
            f"address add {machine_address(subnet, number)}/{subnet.prefixlen} dev eth0",
            "link set eth0 up",
        ],
    )


def unplug(names: Names, number: int) -> None:
    """Remove a machine's cable, if there is one; the machine's peers hear nothing more of it."""
    _remove_link(names.port(number))


def set_cable(names: Names, subnet: Subnet, number: int, leader: int, cable: Cable) -> None:
    """Cut or mend a machine's cable. ``ONE_WAY`` lets the controller's packets in and no answer out."""
    # At the bridge's end: the machine sees the carrier go, as with a real cable, and keeps its address.
    state = "down" if cable is Cable.CUT else "up"
    programs.run(["ip", "link", "set", names.port(number), state])
    hole = f"blackhole {controller_address(subnet)}/32"
    has_hole = "blackhole" in programs.run([*_inside(leader), "ip", "route", "show", "type", "blackhole"])
    if has_hole != (cable is Cable.ONE_WAY):
        _batch(_inside(leader), [f"route {'del' if has_hole else 'add'} {hole}"])

    if cable is Cable.WHOLE and programs.find("nft") is not None:
        set_loss(leader, 0)


def set_loss(leader: int, percent: int) -> None:
    """Drop so many of a hundred packets that come in, and of those that go out. The rules live in the
    machine's own network namespace and end with it."""
    if not 0 <= percent < 100:
        raise LabError(f"a cable loses 0 to 99 % of its packets, not {percent}", hint="cut it")
    rule = f"numgen random mod 100 < {percent} drop"
    table = f"table netdev {LOSS}"
    chains = "".join(
        f'chain {hook} {{ type filter hook {hook} device "eth0" priority 0; {rule}; }}\n'
        for hook in ("ingress", "egress")
    )
    # Made before it is deleted: so it may have been there or not.
    _nft(leader, f"{table}\ndelete {table}\n" + (f"{table} {{\n{chains}}}\n" if percent else ""))


def _nft(leader: int, text: str) -> None:
    programs.run([*_inside(leader), "nft", "-f", "-"], text=text)


def set_bridge(names: Names, up: bool) -> None:
    """Take the bridge down, or bring it up with its address and route."""
    programs.run(["ip", "link", "set", names.bridge, "up" if up else "down"])


def remove_all(names: Names) -> None:
    """Remove every cable, the bridge and the guard route of a lab, whichever of them exist."""
    ports = [link.name for link in Path("/sys/class/net").iterdir() if names.owns_link(link.name)]
    for link in sorted(ports, reverse=True):
        _remove_link(link)
    for route in _routes("type", "unreachable"):
        if route.get("metric") == names.metric:
            programs.run(["ip", "route", "del", "unreachable", route["dst"], "metric", str(names.metric)])


def _routes(*which: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(
        programs.run(["ip", "-4", "-j", "route", "show", *which]) or "[]"
    )
    return found


def _remove_link(link: str) -> None:
    try:
        if _link_exists(link):
            programs.run(["ip", "link", "del", link])
    except LabError:
        # The kernel removes a cable by itself when its machine ends: it may have been faster than we.
        if _link_exists(link):
            raise


def _link_exists(link: str) -> bool:
    return Path("/sys/class/net", link).exists()


def _inside(leader: int) -> list[str]:
    return ["nsenter", f"--net=/proc/{leader}/ns/net", "--"]


def _batch(prefix: list[str], commands: Iterable[str]) -> None:
    programs.run([*prefix, "ip", "-batch", "-"], text="".join(f"{command}\n" for command in commands))
