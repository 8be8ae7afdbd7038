"""Machines that hold units and change hands, without a network: what a carrier would bring from them."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from fleetssh.control.cluster import Cluster
from fleetssh.core.errors import MachineError
from fleetssh.core.gathering import Holdings
from fleetssh.core.health import Patience
from fleetssh.core.model import Claim
from fleetssh.core.ownership import owner
from fleetssh.core.sighting import Failure, Reached, Sighting, Unreached
from fleetssh.core.visit import Visit
from fleetssh.hosts import Target
from fleetssh.hosts.crew import Crew
from fleetssh.inventory import Host, Inventory
from fleetssh.store.memory import MemoryStore
from fleetssh.wire.script import format_manifest


@dataclass
class Held:
    """Implements ``Carrier`` over machines of ``tests.core.holding``; those that are not there are silent.

    ``before_reading`` is called with the host before its files are read; ``claims`` are all that came.
    """

    machines: dict[str, tuple[Reached, Holdings]]
    before_reading: Callable[[str], None] = lambda host: None
    claims: list[tuple[str, Claim]] = field(default_factory=list)

    def visit(self, target: Target, visit: Visit, deadline_seconds: float) -> Sighting:
        """A look, or the obedience of one machine."""
        if target.name not in self.machines:
            return Unreached(target.name, Failure.TIMEOUT, "no answer")
        looked, held = self.machines[target.name]
        if visit.claim is not None:
            self.claims.append((target.name, visit.claim))
            looked = _obey(looked, visit.claim)
            self.machines[target.name] = (looked, replace(held, manifest=looked.manifest))
        return looked

    def stream(
        self,
        target: Target,
        command: str,
        out: Callable[[bytes], None],
        err: Callable[[bytes], None],
        source: int | None = None,
        silence_seconds: float | None = None,
    ) -> int:
        """What the machine holds, in frames."""
        self.before_reading(target.name)
        _, held = self.machines[target.name]
        found = re.search(r"mark=\\0047([0-9a-f]{24})\\0047", command)  # quotes are spelled in octal numbers
        assert found
        frames = {
            "begin": b"",
            "machine": held.machine_id.encode(),
            "boot": held.boot_id.encode(),
            "manifest": format_manifest(held.manifest).encode(),
            **{f"file {name}": base64.b64encode(text) for name, text in held.texts.items()},
            **{f"gone {name}": b"" for name in held.missing},
            "end": b"",
        }
        for words, content in frames.items():
            out(b"\nFLEETSSH %s %s\n%s" % (found[1].encode(), words.encode(), content))
        out(b"\n")
        return 0

    def fallen(self) -> frozenset[str]:
        """All connections are well."""
        return frozenset()

    def close(self) -> None:
        """There is nothing to close."""


def _obey(looked: Reached, claim: Claim) -> Reached:
    theirs, held = owner(looked), looked.holder
    if theirs not in ("", claim.cluster, claim.over):
        return looked
    if held and held.cluster == claim.cluster and held.fence > claim.fence:
        return looked
    manifest = looked.manifest
    if manifest.entries:
        manifest = replace(manifest, cluster=claim.cluster, fence=claim.fence)
    return replace(looked, holder=replace(claim, over=""), manifest=manifest)


def breaks_off(host: str) -> None:
    """For ``before_reading``: the connection ends."""
    raise MachineError(f"{host}: the connection broke off")


def cluster_of(held: Held, hosts: Iterable[str], store: MemoryStore | None = None) -> Cluster:
    """A controller of ``hosts``."""
    found = [Host(n, n, 22, None, None, False, None, {}, (), f"hosts.yml:{n}") for n in sorted(hosts)]
    inventory = Inventory("hosts.yml", tuple(found), ())
    return Cluster(inventory, store or MemoryStore(), held, "me@here (a test)", Patience(), crew=Crew(1))
