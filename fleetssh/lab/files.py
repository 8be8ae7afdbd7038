"""The files of one lab: what lies where in its folder, and taking just these away again."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from fleetssh.core.errors import LabError
from fleetssh.lab.ledger import Ledger


@dataclass(frozen=True, slots=True)
class LabFiles:
    """Paths in a lab's folder."""

    folder: Path

    @property
    def inventory(self) -> Path:
        """The Ansible-style inventory of the machines."""
        return self.folder / "inventory" / "hosts.yml"

    @property
    def key(self) -> Path:
        """The private key that logs in on all machines; its public half lies beside it."""
        return self.folder / "key"

    @property
    def known_hosts(self) -> Path:
        """The machines' true host keys."""
        return self.folder / "known_hosts"

    @property
    def lock(self) -> Path:
        """Held by whoever changes the lab."""
        return self.folder / ".fleetssh-lab.lock"

    @property
    def ledger(self) -> Ledger:
        """What has been made: lab.json and machines/."""
        return Ledger(self.folder)

    def require_no_strangers(self) -> None:
        """Raise ``LabError`` when a folder that is to become a lab's holds anything else."""
        strangers = sorted({path.name for path in self.folder.iterdir()} - {self.lock.name, "lab.new"})
        if strangers:
            raise LabError(
                f"{self.folder} holds no lab but other files ({', '.join(strangers[:3])})",
                hint="give the lab a folder of its own with --dir",
            )

    def remove(self) -> None:
        """Remove the lab's files, the machines' disks included, and the folder when nothing else is in it.

        The lab's entry in the ledger is the first file made and the last removed: without one, whatever lies
        here under our names is somebody else's.
        """
        if self.ledger.has_lab():
            for path in (self.inventory, self.key, self.key.with_suffix(".pub"), self.known_hosts):
                path.unlink(missing_ok=True)
            _remove_if_empty(self.inventory.parent)
            self.ledger.forget()
        self.lock.unlink(missing_ok=True)
        _remove_if_empty(self.folder)


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()
