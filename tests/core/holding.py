"""Machines that hold units, as a look and the reading of their files tell it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from fleetssh.core.gathering import Holdings
from fleetssh.core.model import Claim, TargetState
from fleetssh.core.sighting import Facts, Found, Manifest, ManifestEntry, Reached
from tests.core.world import LAUNCHED

CLUSTER = "c1"


def text(word: str = "first", *fleet: str) -> bytes:
    """A unit file that differs by ``word``; ``fleet`` are lines of [X-Fleet]."""
    lines = ["[Service]", f"ExecStart=/bin/echo {word}", *(["[X-Fleet]", *fleet] if fleet else [])]
    return "\n".join(lines).encode() + b"\n"


def digest(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class Copy:
    """One unit on one machine: ``noted`` is the text that the manifest means, ``there`` what the file holds
    (``None``: it is gone)."""

    name: str
    noted: bytes
    there: bytes | None
    target: TargetState
    generation: int
    active: str

    @property
    def found(self) -> Found:
        """As a look finds it."""
        entry = ManifestEntry(self.name, digest(self.noted), self.target, self.generation)
        on_disk = None if self.there is None else digest(self.there)
        return Found(entry, on_disk, on_disk is not None, "loaded", self.active)


def copy(
    name: str,
    content: bytes = text(),
    target: TargetState = LAUNCHED,
    *,
    there: bytes | None = b"as noted",
    generation: int = 0,
    active: str = "",
) -> Copy:
    """A copy that is as we wrote it, and runs when it is to, but for what is said."""
    active = active or ("active" if target is LAUNCHED else "inactive")
    return Copy(name, content, content if there == b"as noted" else there, target, generation, active)


def machine(
    number: int,
    *copies: Copy,
    cluster: str = CLUSTER,
    fence: int = 0,
    holder: Claim | None = None,
) -> tuple[Reached, Holdings]:
    """Machine ``m<number>`` as the inventory's host ``h<number>``."""
    entries = tuple(item.found.entry for item in copies)
    manifest = Manifest(cluster, fence, entries) if entries else Manifest()
    facts = Facts(f"m{number}", f"b{number}")
    looked = Reached(f"h{number}", "", facts, manifest, tuple(item.found for item in copies), holder=holder)
    texts = {item.name: item.there for item in copies if item.there is not None}
    missing = {item.name: "its file is gone" for item in copies if item.there is None}
    return looked, Holdings(looked.host, facts.machine_id, facts.boot_id, manifest, texts, missing)


def seen(*machines: tuple[Reached, Holdings]) -> dict[str, tuple[Reached, Holdings]]:
    """Several by host."""
    return {looked.host: (looked, held) for looked, held in machines}


def blocked(pair: tuple[Reached, Holdings], name: str) -> tuple[Reached, Holdings]:
    """The same machine, which has a unit of its own by the name of one of ours."""
    looked, held = pair
    entry = ManifestEntry(name, "-", TargetState.INACTIVE, 0)
    manifest = replace(looked.manifest, cluster=CLUSTER, entries=(*looked.manifest.entries, entry))
    return replace(looked, manifest=manifest), replace(held, manifest=manifest)
