"""Gathering what machines hold into what must have been wanted: how a lost state is made anew."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from fleetssh.core.errors import UnitError
from fleetssh.core.mending import RUNNING
from fleetssh.core.model import Placement, TargetState, Unit, Wanted
from fleetssh.core.ownership import fence_of, is_ours, owner
from fleetssh.core.requirements import read_unit
from fleetssh.core.sighting import Manifest, ManifestEntry, Reached

REASON = "found there"
"""Why a unit belongs on a machine when nobody knows any more why it was chosen."""

TARGETS = (TargetState.INACTIVE, TargetState.LOADED, TargetState.LAUNCHED)
"""From the least to the most that may be wanted of a unit."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """What one machine holds of ours: the exact bytes of the unit files that its manifest names, by name, and
    why those are ``missing`` that it could not give."""

    host: str
    machine_id: str
    boot_id: str
    manifest: Manifest
    texts: Mapping[str, bytes]
    missing: Mapping[str, str]

    def digest(self, name: str) -> str | None:
        """SHA-1 of a unit's file as it is there; ``None`` when it could not be given."""
        text = self.texts.get(name)
        return None if text is None else hashlib.sha1(text, usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not go together: which unit, on which machine, what is odd, and what follows."""

    unit: str
    host: str
    what: str
    then: str


@dataclass(frozen=True, slots=True)
class Gathering:
    """What the machines together say was wanted: units and places for a state, and findings, sorted.

    ``lost`` maps units of which no machine has a text that can be used to the hosts that list them. ``fence``
    is the greatest that any of the machines has met.
    """

    wanted: Mapping[str, Wanted]
    placements: Mapping[str, Placement]
    findings: tuple[Finding, ...] = ()
    lost: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    fence: int = 0


@dataclass(frozen=True, slots=True)
class _Copy:
    """One unit on one machine. ``unit`` is its file as it is there, ``None`` when it is of no use."""

    host: str
    machine: str
    entry: ManifestEntry
    unit: Unit | None
    flaw: str
    runs: bool
    fence: int

    @property
    def is_intact(self) -> bool:
        """Whether the file there is the one that we wrote."""
        return self.unit is not None and self.unit.digest == self.entry.digest


Seen: TypeAlias = Mapping[str, tuple[Reached, Holdings]]
"""By host: how the machine looks, and what it holds."""


# ---------------------------------------------------------------- gathering


def gather(seen: Seen, cluster: str) -> Gathering:
    """What the machines of ``cluster`` among ``seen`` say was wanted.

    Of several copies of a unit that is not global the running one keeps its place, else that with the newest
    generation, else that of the newest controller, else that on the machine with the smallest id. A text that
    is as we wrote it goes before one that was changed by hand. Pure, and whatever the order of ``seen``.
    """
    copies: dict[str, list[_Copy]] = defaultdict(list)
    fence = 0
    for host, (sighting, holdings) in sorted(seen.items()):
        fence = max(fence, fence_of(sighting, cluster))
        if owner(sighting) == cluster:
            for copy in _copies(host, sighting, holdings, cluster):
                copies[copy.entry.name].append(copy)
    wanted: dict[str, Wanted] = {}
    placements: dict[str, Placement] = {}
    findings: list[Finding] = []
    lost: dict[str, tuple[str, ...]] = {}
    for name, found in sorted(copies.items()):
        source = max((copy for copy in found if copy.unit is not None), key=_text_rank, default=None)
        if source is None or source.unit is None:
            lost[name] = tuple(copy.host for copy in found)
            findings += [Finding(name, copy.host, copy.flaw, _end_of(copy)) for copy in found]
            continue
        keeper = max((c for c in found if c.entry.digest == source.entry.digest), key=_rank)
        everywhere = source.unit.requirements.is_global
        wanted[name] = _merge(source.unit, found if everywhere else [keeper])
        if not everywhere:
            placements[name] = Placement(name, keeper.machine, REASON)
        findings += _findings(wanted[name], source, keeper, found)
    return Gathering(wanted, placements, tuple(findings), lost, fence)


def _copies(host: str, sighting: Reached, holdings: Holdings, cluster: str) -> Iterator[_Copy]:
    running = {found.entry.name for found in sighting.found if found.active in RUNNING}
    fence = fence_of(sighting, cluster)
    for entry in filter(is_ours, holdings.manifest.entries):
        unit, flaw = _read(host, entry.name, holdings)
        yield _Copy(host, holdings.machine_id, entry, unit, flaw, entry.name in running, fence)


def _read(host: str, name: str, holdings: Holdings) -> tuple[Unit | None, str]:
    if name not in holdings.texts:
        return None, holdings.missing.get(name, "its file is gone")
    try:
        return read_unit(name, holdings.texts[name], f"{host}:{name}"), ""
    except UnitError as error:
        return None, f"its file cannot be read ({error.reason})"


def _rank(copy: _Copy) -> tuple[bool, int, int, list[int]]:
    # Of machine ids the smallest wins, as everywhere.
    return copy.runs, copy.entry.generation, copy.fence, [-ord(letter) for letter in copy.machine]


def _text_rank(copy: _Copy) -> tuple[bool, tuple[bool, int, int, list[int]]]:
    return copy.is_intact, _rank(copy)


def _merge(unit: Unit, copies: Sequence[_Copy]) -> Wanted:
    return Wanted(
        unit,
        max((copy.entry.target for copy in copies), key=TARGETS.index),
        max(copy.entry.generation for copy in copies),
    )


# ---------------------------------------------------------------- what does not go together


def _end_of(copy: _Copy) -> str:
    verb = "stops it and takes it off" if copy.runs else "takes it off"
    return f"it is not taken in, and the next pass {verb}"


def _findings(wanted: Wanted, source: _Copy, keeper: _Copy, copies: Sequence[_Copy]) -> Iterator[Finding]:
    for copy in copies:
        if not wanted.unit.requirements.is_global and copy is not keeper:
            where = "runs there too" if copy.runs else "is there too"
            then = "stops it there" if copy.runs else "takes it off there"
            yield _finding(copy, where, f"{keeper.host} keeps it, and the next pass {then}")
            continue
        yield from _about_text(wanted, source, copy)
        if copy.entry.target is not wanted.target:
            yield _finding(
                copy,
                f"is only {copy.entry.target} there",
                f"it is {wanted.target} elsewhere, and starts there",
            )
        elif copy.entry.generation < wanted.generation and copy.entry.target is TargetState.LAUNCHED:
            yield _finding(
                copy, "a restart that was asked for has not reached it", "the next pass restarts it there"
            )


def _about_text(wanted: Wanted, source: _Copy, copy: _Copy) -> Iterator[Finding]:
    digest = wanted.unit.digest
    if copy.unit is None:
        yield _finding(copy, copy.flaw, f"the next pass writes it anew, from {source.host}")
    elif copy.unit.digest != digest:
        restarts = " and restarts it" if copy.runs else ""
        yield _finding(
            copy, f"has another text than on {source.host}", f"the next pass replaces it{restarts}"
        )
    elif copy.entry.digest != digest:
        yield _finding(copy, "its file is not the one that was written there", "it is taken in as it is now")


def _finding(copy: _Copy, what: str, then: str) -> Finding:
    return Finding(copy.entry.name, copy.host, what, then)
