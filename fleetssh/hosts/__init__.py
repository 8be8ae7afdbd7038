"""Who carries a visit to a machine: the protocol, and the values that go in and out."""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Protocol

from fleetssh.core.sighting import Sighting
from fleetssh.core.visit import Visit


class Target(Protocol):
    """Where a machine is and how to log in; an inventory host is one."""

    @property
    def name(self) -> str:
        """Inventory name: the host of every sighting."""

    @property
    def address(self) -> str:
        """Name or address to connect to."""

    @property
    def port(self) -> int:
        """TCP port of sshd."""

    @property
    def user(self) -> str | None:
        """Login name; ``None`` leaves it to ssh's own configuration."""

    @property
    def key_file(self) -> str | None:
        """Private key; ``None`` means agent and default keys."""

    @property
    def known_hosts(self) -> str | None:
        """Host keys to check against; ``None`` means the user's and the system's files."""

    @property
    def become(self) -> bool:
        """Whether the visit runs through ``sudo -n``."""


class Carrier(Protocol):
    """Carries visits. Safe to use from several threads, for different machines at a time."""

    def visit(self, target: Target, visit: Visit, deadline_seconds: float) -> Sighting:
        """Makes one visit, which has to be over within ``deadline_seconds`` from when the machine let us in,
        and that within a bound of the carrier's own, whatever hangs; a machine that fails is a value, not an
        exception."""

    def fallen(self) -> frozenset[str]:
        """The targets, by name, whose kept connection has gone silent or broken off since it was used."""

    def keep_only(self, names: Set[str]) -> None:
        """Closes what is kept for targets of other names: they are not visited any more."""

    def stream(
        self,
        target: Target,
        command: str,
        out: Callable[[bytes], None],
        err: Callable[[bytes], None],
        source: int | None = None,
        silence_seconds: float | None = None,
    ) -> int:
        """Runs a command and hands its output on as it comes; the command's exit status.

        Its standard input is the file descriptor ``source`` up to its end; without one it stays open and
        silent until the command ends or we do, so that the remote side notices when we go away. A command
        that says nothing for ``silence_seconds`` is given up, and its connection with it.

        Raises MachineError when the machine cannot be reached or the session breaks off.
        """

    def close(self) -> None:
        """Closes every connection. Nothing keeps running on a machine because of us."""
