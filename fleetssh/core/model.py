"""The words of the project as frozen values; everything else is a function over them."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

# ---------------------------------------------------------------- what the operator wants


class TargetState(enum.StrEnum):
    """What the operator wants of a unit (fleet: desired state)."""

    INACTIVE = "inactive"
    LOADED = "loaded"
    LAUNCHED = "launched"


@dataclass(frozen=True, slots=True)
class Requirements:
    """The ``[X-Fleet]`` section of one unit, specifiers already expanded.

    ``metadata`` holds ``(key, allowed values)``: keys are ANDed, the values of one key are ORed.
    ``conflicts`` and ``replaces`` are glob patterns over unit names.
    """

    machine_id: str | None = None
    machine_of: tuple[str, ...] = ()
    metadata: tuple[tuple[str, tuple[str, ...]], ...] = ()
    conflicts: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    is_global: bool = False


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit file as the operator wrote it.

    ``text`` is the exact bytes; ``digest`` their SHA-1 (what ``sha1sum`` prints on a machine);
    ``hash`` the SHA-1 of fleet's normal form (what the HASH column shows). ``installs`` tells that
    the file has an ``[Install]`` section with options; ``bound_to`` names the units that systemd
    stops this one with (``BindsTo=``, ``Requires=``), specifiers expanded.
    """

    name: str
    text: bytes
    hash: str
    digest: str
    description: str | None = None
    requirements: Requirements = Requirements()
    installs: bool = False
    bound_to: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """One unit and what the operator wants of it.

    ``generation`` grows with every request to start anew (``restart``, ``start`` of a failed unit):
    a machine that runs an older generation is told to restart the unit.
    """

    unit: Unit
    target: TargetState = TargetState.INACTIVE
    generation: int = 0


# ---------------------------------------------------------------- what a look at a machine gave


class Failure(enum.StrEnum):
    """Why a machine could not be looked at, kept apart because they mean different things."""

    REFUSED = "connection refused"
    NO_ROUTE = "no route"
    TIMEOUT = "timed out"
    LOGIN = "login refused"
    HOST_KEY = "host key not trusted"
    SUDO = "sudo refused"
    NOT_ROOT = "login is not root"
    DISK_FULL = "disk full"
    READ_ONLY = "read-only file system"
    NO_SYSTEMD = "no systemd"
    FOREIGN = "belongs to another cluster"
    BUSY = "another controller is at work there"
    HALF = "answered half"
    LOCAL = "cannot connect from here"

    @property
    def is_silence(self) -> bool:
        """True for the only failures that may ever lead to ``lost`` (design rule 1)."""
        return self in (Failure.REFUSED, Failure.NO_ROUTE, Failure.TIMEOUT)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a machine says of itself. ``metadata`` comes from ``/etc/fleet/fleet.conf``; ``memory_total`` is
    in bytes. Brief facts leave out what stays true within a boot, which is all that follows ``is_brief``."""

    machine_id: str
    boot_id: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    is_brief: bool = False
    architecture: str = ""
    os: str = ""
    os_version: str = ""
    systemd_version: str = ""
    cpus: int = 0
    memory_total: int = 0


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """One line of the manifest that we keep on a machine: a unit that we wrote there."""

    name: str
    digest: str
    target: TargetState
    generation: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What we wrote on a machine, and for which cluster; empty after a reboot (it lies under /run)."""

    cluster: str = ""
    fence: int = 0
    entries: tuple[ManifestEntry, ...] = ()


class Ending(enum.StrEnum):
    """How an inactive unit came to be inactive in this boot, from systemd's job records."""

    NEVER_STARTED = "never started"
    START_FAILED = "could not be started"
    BY_ITSELF = "ended by itself"
    BY_REQUEST = "stopped by request"


@dataclass(frozen=True, slots=True)
class Detail:
    """Asked only for what is failed or new: systemd's result words and the last log lines."""

    result: str = ""
    exit_code: str = ""
    exit_status: int | None = None
    load_error: str = ""
    log: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """One of our units as it was found on a machine.

    ``digest`` is the SHA-1 of the file there, ``None`` when the file is gone; ``linked`` tells that
    systemd's runtime folder points at our file; ``load``/``active``/``sub`` are systemd's words.
    """

    entry: ManifestEntry
    digest: str | None
    linked: bool = True
    load: str = "loaded"
    active: str = "inactive"
    sub: str = "dead"
    ending: Ending | None = None
    detail: Detail | None = None


class Action(enum.StrEnum):
    """The kinds of step, in the order in which a visit carries them out."""

    STOP = "stop"
    REMOVE = "remove"
    WRITE = "write"
    LINK = "link"
    RELOAD = "reload"
    RESTART = "restart"
    START = "start"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Step:
    """One idempotent action on one machine. ``unit`` is empty for ``reload``.

    ``note`` only writes the manifest line anew (target or generation changed, nothing to do).
    """

    action: Action
    unit: str
    reason: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a machine answered to one step: ``ok``, or why not."""

    action: Action
    unit: str
    ok: bool
    message: str = ""


@dataclass(frozen=True, slots=True)
class Reached:
    """A machine answered. ``address`` is the one we spoke to; ``strangers`` are files in our folder
    that we did not write; ``occupied`` maps names that we were kept from writing to the machine's own unit
    of that name; ``seen_at`` is the controller's clock, seconds since the epoch."""

    host: str
    address: str
    facts: Facts
    manifest: Manifest = Manifest()
    found: tuple[Found, ...] = ()
    strangers: tuple[str, ...] = ()
    occupied: Mapping[str, str] = field(default_factory=dict)
    outcomes: tuple[Outcome, ...] = ()
    seen_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Unreached:
    """A machine could not be looked at: that is a value, not an exception."""

    host: str
    failure: Failure
    message: str = ""
    seen_at: float = 0.0

    @property
    def why(self) -> str:
        """The kind of failure, and the message where there is one."""
        return f"{self.failure}: {self.message}" if self.message else str(self.failure)


Sighting: TypeAlias = Reached | Unreached


# ---------------------------------------------------------------- what we remember and decide


class Health(enum.StrEnum):
    """Judgement over sightings and time."""

    UP = "up"
    DOUBTFUL = "doubtful"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Seen:
    """One of our units as it was last seen on a machine: enough to show it without asking again."""

    name: str
    target: TargetState
    load: str
    active: str
    sub: str


@dataclass(frozen=True, slots=True)
class MachineRecord:
    """What the store remembers of an inventory host that was seen at least once.

    ``last_good`` is when it last answered, ``silent_since`` when the first of the ``missed`` silent looks in
    a row was (``None`` without any), both in seconds since the epoch. ``lost`` stays true until the machine
    answers again.
    """

    host: str
    machine_id: str
    boot_id: str = ""
    address: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    last_good: float = 0.0
    silent_since: float | None = None
    missed: int = 0
    failure: str = ""
    lost: bool = False
    seen: tuple[Seen, ...] = ()


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine as placement sees it. ``metadata`` is merged: inventory, fleet.conf and probed facts
    (under ``fleet.``). ``occupied`` names units that cannot go there: it has its own by those names."""

    id: str
    host: str
    address: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    health: Health = Health.UP
    occupied: frozenset[str] = frozenset()

    @property
    def short_id(self) -> str:
        """First eight characters, fleet's short form without the dots."""
        return self.id[:8]

    @property
    def legend(self) -> str:
        """fleet's ``14ffe4c3.../10.1.1.1``; without the address when it is not known."""
        return f"{self.id[:8]}.../{self.address}" if self.address else f"{self.id[:8]}..."


@dataclass(frozen=True, slots=True)
class Placement:
    """Which machine a unit belongs on, and why it was chosen."""

    unit: str
    machine: str
    reason: str


@dataclass(frozen=True, slots=True)
class State:
    """One consistent reading of the store. ``revision`` grows with every commit."""

    cluster: str
    revision: int = 0
    wanted: Mapping[str, Wanted] = field(default_factory=dict)
    placements: Mapping[str, Placement] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one machine cannot take one unit."""

    machine: str
    reason: str


@dataclass(frozen=True, slots=True)
class Move:
    """One change of the schedule: ``before`` or ``after`` is a machine id, or ``None``."""

    unit: str
    before: str | None
    after: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Layout:
    """The result of placing: where every unit belongs, and why the rest has no place.

    ``placements`` maps unit -> placement (units that are not global); ``globals_on`` maps
    machine id -> names of the global units that belong there; ``unplaced`` maps unit -> one refusal
    per machine, sorted by machine id; ``moves`` lists what changed against the previous schedule.
    """

    placements: Mapping[str, Placement]
    globals_on: Mapping[str, frozenset[str]]
    unplaced: Mapping[str, tuple[Refusal, ...]]
    moves: tuple[Move, ...] = ()


@dataclass(frozen=True, slots=True)
class MachinePlan:
    """The ordered steps for one machine. ``units`` holds the wanted units among those that the steps name."""

    host: str
    machine: str
    steps: tuple[Step, ...]
    units: Mapping[str, Wanted] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a pass will do: new placements, then waves of machine plans.

    Every wave is carried out completely before the next begins: wave 1 stops what moves away from a
    machine that answers, wave 2 does the rest (rule 5: stop, see it stopped, then start elsewhere).
    ``remarks`` are findings that need no step: strangers, failed units, units that wait.
    """

    layout: Layout
    waves: tuple[tuple[MachinePlan, ...], ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """True when there is nothing to commit and nothing to do on any machine."""
        return not self.waves and not self.layout.moves
