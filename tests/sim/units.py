"""The units that a simulated operator has at hand: files in a folder, each in a few versions."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TEXTS: dict[str, tuple[str, ...]] = {
    "a.service": ("", ""),
    "b.service": ("", "Conflicts=a.service"),
    "c.service": ("Conflicts=d.service", "Conflicts=d.service"),
    "d.service": ("", "Conflicts=a.service"),
    "e.service": ("MachineOf=a.service", "MachineOf=l.service"),
    "f.service": ("MachineMetadata=zone=z0", "MachineMetadata=zone=z1"),
    "g.service": ("Global=true", "Global=true\nConflicts=d.service"),
    "k.service": ("Lease=40", "Lease=40"),
    "l.service": ("Lease=20", "Lease=45", "Lease=0"),
    "n.service": ("Lease=20\nConflicts=l.service", ""),
    "r.service": ("Replaces=a.service", "Replaces=l.service"),
    "t@.service": ("Conflicts=t@*.service", "Conflicts=t@*.service\nLease=20"),
}
"""What each unit asks for in ``[X-Fleet]``, by version."""

INSTANCES = ("t@1.service", "t@2.service", "t@3.service")
NAMES = (*(name for name in TEXTS if "@" not in name), *INSTANCES)
VERSIONS = 3


@dataclass(frozen=True, slots=True)
class Folder:
    """Where the files lie: one folder a version, gone with this process."""

    keeper: tempfile.TemporaryDirectory[str]

    def path(self, name: str, version: int) -> str:
        """The file of a unit; for an instance, its template lies there."""
        return str(Path(self.keeper.name) / f"v{version}" / name)


@cache
def unit_folder() -> Folder:
    """The folder with all files."""
    folder = Folder(tempfile.TemporaryDirectory(prefix="sim-units-"))
    for version in range(VERSIONS):
        for name, variants in TEXTS.items():
            needs = variants[min(version, len(variants) - 1)]
            path = Path(folder.path(name, version))
            path.parent.mkdir(exist_ok=True)
            head = f"[Unit]\nDescription=version {version}\n[Service]\nExecStart=/bin/sleep 1d\n"
            path.write_text(f"{head}[X-Fleet]\n{needs}\n")
    return folder
