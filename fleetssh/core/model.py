"""The words of the project as frozen values; everything else is a function over them."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

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
    ``conflicts`` and ``replaces`` are glob patterns over unit names. ``lease`` is how many seconds a machine
    that nobody visits goes on running the unit: 0 for ever, ``None`` as the machine's host says.
    """

    machine_id: str | None = None
    machine_of: tuple[str, ...] = ()
    metadata: tuple[tuple[str, tuple[str, ...]], ...] = ()
    conflicts: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    is_global: bool = False
    lease: int | None = None


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


# ---------------------------------------------------------------- what a machine is told


@dataclass(frozen=True, slots=True)
class Claim:
    """By whose right a visit comes: which cluster's, and which controller's (``user@host``). ``fence`` grows
    with every change of controllers, and a machine refuses a smaller one than it has seen. ``over`` names
    another cluster whose machine may be taken over, units and all."""

    cluster: str
    fence: int
    who: str
    over: str = ""


class Action(enum.StrEnum):
    """The kinds of step, in the order in which a visit carries them out."""

    STOP = "stop"
    REMOVE = "remove"
    WRITE = "write"
    LINK = "link"
    LEASE = "lease"
    RELOAD = "reload"
    RESTART = "restart"
    START = "start"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Step:
    """One idempotent action on one machine. ``unit`` is empty for ``reload``.

    ``lease`` changes how long a unit outlives our visits; ``note`` only writes the manifest line anew.
    """

    action: Action
    unit: str
    reason: str


# ---------------------------------------------------------------- what we remember and decide


class Health(enum.StrEnum):
    """Judgement over sightings and time."""

    UP = "up"
    DOUBTFUL = "doubtful"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Seen:
    """One of our units as it was last seen on a machine: enough to show it without asking again, and the
    seconds of its lease there (0: none)."""

    name: str
    target: TargetState
    load: str
    active: str
    sub: str
    lease: int = 0


@dataclass(frozen=True, slots=True)
class MachineRecord:
    """What the store remembers of an inventory host that was seen at least once.

    ``last_good`` is when it last answered, in seconds since the epoch, for people. What decides is counted in
    the store's own time, which no wrong clock can move: ``silent_since`` is when the first of the ``missed``
    silent looks in a row was (``None`` without any), ``read_at`` when the machine said its ``uptime``, and
    ``armed_at`` when the last visit set out that may have renewed the leases there (``None``: none runs).
    ``lost`` stays true until the machine answers again. ``way`` is how it was reached, for the day on which
    it is no longer in the inventory.
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
    uptime: float = 0.0
    read_at: float = 0.0
    armed_at: float | None = None
    way: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine as placement sees it. ``metadata`` is merged: inventory, fleet.conf and probed facts
    (under ``fleet.``). ``occupied`` names units that cannot go there: it has its own by those names. One that
    ``is_leaving`` is no longer in the inventory: it keeps no unit and gets none. ``lease`` is that of the
    units there that do not say one, in seconds (0: none)."""

    id: str
    host: str
    address: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    health: Health = Health.UP
    occupied: frozenset[str] = frozenset()
    is_leaving: bool = False
    lease: int = 0

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
    """One consistent reading of the store. ``revision`` grows with every commit; ``fence`` is that of the
    controller that held the store last."""

    cluster: str
    revision: int = 0
    wanted: Mapping[str, Wanted] = field(default_factory=dict)
    placements: Mapping[str, Placement] = field(default_factory=dict)
    fence: int = 0


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
    """The ordered steps for one machine. ``units`` holds the wanted units among those that the steps name;
    ``leases`` the seconds of every lease that is to run there when the steps are done, by unit."""

    host: str
    machine: str
    steps: tuple[Step, ...]
    units: Mapping[str, Wanted] = field(default_factory=dict)
    leases: Mapping[str, int] = field(default_factory=dict)


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
