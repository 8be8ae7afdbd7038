"""Asking machines for everything that they hold of ours, beyond what a look tells."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from fleetssh.control.cluster import Cluster
from fleetssh.control.survey import look_at, refuse_twins
from fleetssh.core.errors import FleetError, MachineError, WireError
from fleetssh.core.gathering import Holdings, Seen
from fleetssh.core.ownership import owner
from fleetssh.core.sighting import Failure, Reached, Sighting, Unreached
from fleetssh.hosts import Carrier
from fleetssh.inventory import Host
from fleetssh.wire.holdings import MAX_HOLDINGS_BYTES, holdings_command, read_holdings

MARK_BYTES = 12
"""Randomness in the mark that frames an answer: no file on a machine can imitate it."""

SILENCE_SECONDS = 20.0
"""A machine says the next file within milliseconds; one that is silent for so long will not say it."""


@dataclass(frozen=True, slots=True)
class Inquiry:
    """How every machine of the inventory looks, and what those hold that were asked for it."""

    sightings: Mapping[str, Sighting]
    seen: Seen

    def unreached(self) -> dict[str, Unreached]:
        """The hosts that did not answer, or not to the end, sorted by name."""
        return {host: s for host, s in sorted(self.sightings.items()) if isinstance(s, Unreached)}


def inquire(cluster: Cluster, is_asked: Callable[[Reached], bool]) -> Inquiry:
    """One look at every machine of the inventory, then a second round trip to those with units of ours that
    ``is_asked`` chooses. Changes nothing.

    Raises InventoryError when two hosts turn out to be one machine.
    """
    sightings = look_at(cluster, [host.name for host in cluster.inventory.hosts])
    refuse_twins(cluster.inventory, sightings)
    asked = [
        (host, sighting)
        for host in cluster.inventory.hosts
        if isinstance(sighting := sightings[host.name], Reached) and is_asked(sighting)
    ]
    seen: dict[str, tuple[Reached, Holdings]] = {}
    if asked:
        with ThreadPoolExecutor(max_workers=min(cluster.crew.forks, len(asked))) as pool:
            for answer in pool.map(lambda pair: _ask(cluster.carrier, *pair), asked):
                if isinstance(answer, Unreached):
                    sightings[answer.host] = answer
                else:
                    seen[answer[0].host] = answer
    return Inquiry(sightings, seen)


def _ask(carrier: Carrier, host: Host, sighting: Reached) -> tuple[Reached, Holdings] | Unreached:
    if not owner(sighting):
        facts = sighting.facts
        nothing = Holdings(host.name, facts.machine_id, facts.boot_id, sighting.manifest, {}, {})
        return sighting, nothing
    try:
        holdings = _read(carrier, host)
    except MachineError as error:
        return Unreached(
            host.name, Failure.HALF, error.message.removeprefix(f"{host.name}: "), sighting.seen_at
        )
    except FleetError as error:
        return Unreached(host.name, Failure.HALF, error.message, sighting.seen_at)
    if holdings.manifest != sighting.manifest or holdings.boot_id != sighting.facts.boot_id:
        text = "somebody else visited it, or it was booted anew, while it was read"
        return Unreached(host.name, Failure.BUSY, text, sighting.seen_at)
    return sighting, holdings


def _read(carrier: Carrier, host: Host) -> Holdings:
    mark = secrets.token_hex(MARK_BYTES)
    said, complaint = bytearray(), bytearray()

    def take(data: bytes) -> None:
        said.extend(data)
        if len(said) > MAX_HOLDINGS_BYTES:
            raise WireError(f"it answered more than {MAX_HOLDINGS_BYTES} bytes")

    command = holdings_command(mark, sudo=host.become)
    carrier.stream(host, command, take, complaint.extend, silence_seconds=SILENCE_SECONDS)
    return read_holdings(host.name, mark, bytes(said))
