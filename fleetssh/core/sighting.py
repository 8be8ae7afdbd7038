"""What one look at one machine gave: sightings, and everything that is in them."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from fleetssh.core.model import Action, Claim, TargetState


class Failure(enum.StrEnum):
    """Why a machine could not be looked at, kept apart because they mean different things."""

    REFUSED = "connection refused"
    NO_ROUTE = "no route"
    TIMEOUT = "timed out"
    STALLED = "connected, and nobody answers"
    LOGIN = "login refused"
    HOST_KEY = "host key not trusted"
    SUDO = "sudo refused"
    NOT_ROOT = "login is not root"
    DISK_FULL = "disk full"
    READ_ONLY = "read-only file system"
    NO_SYSTEMD = "no systemd"
    FOREIGN = "belongs to another cluster"
    FENCED = "held by another controller"
    UNREAD = "not read yet"
    BUSY = "another controller is at work there"
    HALF = "answered half"
    LOCAL = "cannot connect from here"

    @property
    def is_silence(self) -> bool:
        """True for the only failures that may ever lead to ``lost`` (design rule 1)."""
        return self in (Failure.REFUSED, Failure.NO_ROUTE, Failure.TIMEOUT, Failure.STALLED)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a machine says of itself. ``metadata`` comes from ``/etc/fleet/fleet.conf``; ``uptime`` is its own
    clock, seconds since its boot; ``memory_total`` is in bytes. Brief facts leave out what stays true within
    a boot, which is all that follows ``is_brief``."""

    machine_id: str
    boot_id: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    uptime: float = 0.0
    is_brief: bool = False
    architecture: str = ""
    os: str = ""
    os_version: str = ""
    systemd_version: str = ""
    cpus: int = 0
    memory_total: int = 0


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """One line of the manifest that we keep on a machine: a unit that we wrote there, and the seconds of its
    lease (0: none)."""

    name: str
    digest: str
    target: TargetState
    generation: int
    lease: int = 0


@dataclass(frozen=True, slots=True)
class Manifest:
    """What we wrote on a machine, for which cluster and under which fence; empty after a reboot (it lies
    under /run)."""

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
    """Asked only for what is failed or new: systemd's result words, how often it has restarted the unit by
    itself (``None`` before systemd 235, which does not count), and the last log lines."""

    result: str = ""
    exit_code: str = ""
    exit_status: int | None = None
    load_error: str = ""
    restarts: int | None = None
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


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a machine answered to one step: ``ok``, or why not."""

    action: Action
    unit: str
    ok: bool
    message: str = ""


class Opinion(enum.StrEnum):
    """What one machine met at another's SSH port (the second opinion)."""

    HELLO = "sshd said hello"
    CONNECTED = "connected, and nobody answered"
    NOTHING = "no connection"
    UNKNOWN = "it has no means to try"


@dataclass(frozen=True, slots=True)
class Reached:
    """A machine answered. ``address`` is the one we spoke to; ``strangers`` are files in our folder
    that we did not write; ``occupied`` maps names that we were kept from writing to the machine's own unit
    of that name; ``holder`` is whose visits the machine obeys; ``opinions`` says what it met at the SSH ports
    that it was asked to try, by host; ``leases`` are the seconds of the leases that still run there, and
    ``is_late`` tells that the visit came too late to renew them;
    ``mark`` names this look; ``seen_at`` is the controller's clock, seconds since the epoch."""

    host: str
    address: str
    facts: Facts
    manifest: Manifest = Manifest()
    found: tuple[Found, ...] = ()
    strangers: tuple[str, ...] = ()
    occupied: Mapping[str, str] = field(default_factory=dict)
    outcomes: tuple[Outcome, ...] = ()
    holder: Claim | None = None
    opinions: Mapping[str, Opinion] = field(default_factory=dict)
    leases: frozenset[int] = frozenset()
    is_late: bool = False
    mark: str = ""
    seen_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Unreached:
    """A machine could not be looked at: that is a value, not an exception.

    ``looks`` counts how many looks in a row this stands for: a kept connection that went silent and a new
    one that did not come up are two. ``silent_seconds`` is how long before ``seen_at`` it was last heard of,
    where that is known. ``sent`` tells that the machine may have got the visit, or may get it yet.
    """

    host: str
    failure: Failure
    message: str = ""
    seen_at: float = 0.0
    looks: int = 1
    silent_seconds: float = 0.0
    sent: bool = False

    @property
    def why(self) -> str:
        """The kind of failure, and the message where there is one."""
        return f"{self.failure}: {self.message}" if self.message else str(self.failure)


Sighting: TypeAlias = Reached | Unreached
