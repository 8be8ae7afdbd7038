"""Names of everything that a lab makes on this computer, derived from the lab's name and folder."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from fleetssh.core.errors import LabError

MAX_MACHINES = 200
"""Addresses .11 to .210 of a /24; forty machines are about what a laptop carries."""

_LAB_NAME = re.compile(r"[a-z][a-z0-9-]{0,29}")
_MACHINE_NAME = re.compile(r"m([1-9][0-9]{0,2})")


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one lab. The digest keeps labs of the same name in different folders apart, and keeps
    interface names inside the kernel's 15 characters."""

    lab: str
    digest: str

    @property
    def group(self) -> str:
        """The lab's cgroup, in every hierarchy."""
        return f"fleetssh-{self.lab}-{self.digest}"

    @property
    def bridge(self) -> str:
        """The bridge that all machines are plugged into."""
        return f"fl{self.digest}"

    @property
    def metric(self) -> int:
        """The metric of the lab's guard route: it tells whose route it is, and loses to any real one."""
        return 4096 + int(self.digest, 16) % 60000

    def port(self, number: int) -> str:
        """The bridge's end of a machine's cable."""
        return f"{self.bridge}m{number}"

    def owns_link(self, link: str) -> bool:
        """True for the bridge and its ports."""
        return re.fullmatch(rf"{self.bridge}(m[0-9]+)?", link) is not None

    @property
    def all_containers(self) -> str:
        """A glob pattern over what systemd-nspawn calls the lab's machines."""
        return f"{self.lab}-{self.digest}-m*"

    def container(self, number: int) -> str:
        """What systemd-nspawn calls the machine; unique on this computer."""
        return f"{self.lab}-{self.digest}-{machine_name(number)}"

    def mac(self, number: int) -> str:
        """A fixed hardware address (bridge: number 0), so that neighbours need not learn anew at a boot."""
        return ":".join(
            ["02", *(self.digest[i : i + 2] for i in (0, 2, 4)), f"{number >> 8:02x}", f"{number & 255:02x}"]
        )


def derive_names(lab: str, folder: Path) -> Names:
    """The names of the lab called ``lab`` that keeps its files in ``folder``; ``LabError`` for a bad name."""
    if not _LAB_NAME.fullmatch(lab):
        raise LabError(
            f"{lab!r} cannot be the name of a lab",
            hint="use at most 30 small letters, digits and dashes, beginning with a letter",
        )
    return Names(lab, hashlib.sha256(f"{lab}\0{folder}".encode()).hexdigest()[:6])


def machine_name(number: int) -> str:
    """1 -> ``m1``."""
    return f"m{number}"


def machine_number(name: str) -> int | None:
    """``m1`` -> 1; ``None`` when no machine can be called so."""
    match = _MACHINE_NAME.fullmatch(name)
    return int(match[1]) if match else None
