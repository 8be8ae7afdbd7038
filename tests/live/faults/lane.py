"""Three machines and a user of their own, for one row of the table of faults after the other."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fleetssh.lab import Lab
from tests.live.conftest import Fleet, reset
from tests.live.outside import service

ORDINARY = ("plain1.service", "plain2.service", "plain3.service")
LEASED = ("leased1.service", "leased2.service", "leased3.service")
UNITS = (*ORDINARY, *LEASED)

LEASE = 20
"""Seconds; several passes fit into it."""


HURRIED = ("FLEETSSH_LOST_AFTER_LOOKS", "FLEETSSH_LOST_AFTER_SECONDS", "FLEETSSH_CONNECT_TIMEOUT")
"""Other tests cannot wait; here the defaults of ``fleetssh run`` are on trial."""


class Lane:
    """Rows of different lanes run side by side: nothing is shared but this computer."""

    def __init__(self, name: str, folder: Path, sockets: Path) -> None:
        self.lab = Lab.open(name, folder / name)
        self._folder = folder
        self._sockets = sockets
        self._rows = 0

    @contextmanager
    def up(self) -> Iterator[Lane]:
        """The machines, taken down again."""
        try:
            self.lab.up(3)
            yield self
        finally:
            self.lab.down()

    def user(self, lease: int = LEASE) -> Fleet:
        """A user with clean machines, an empty state, and both kinds of units in his folder."""
        self.lab.rejoin()
        for machine in self.lab.machines():
            self.lab.heal(machine.name)
        reset(self.lab)
        self._rows += 1
        folder = self._folder / f"{self.lab.name}-row{self._rows}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        fleet = Fleet(self.lab, folder, self._sockets)
        for setting in HURRIED:
            del fleet.env[setting]
        for unit in ORDINARY:
            fleet.unit(unit, service())
        for unit in LEASED:
            fleet.unit(unit, service(fleet=[f"Lease={lease}"]))
        return fleet
