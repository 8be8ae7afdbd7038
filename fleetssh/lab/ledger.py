"""The ledger: what a lab has made or is about to make, on disk before it is made."""

from __future__ import annotations

import contextlib
import enum
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from fleetssh.core.errors import LabError
from fleetssh.lab.naming import machine_name
from fleetssh.lab.processes import Process

VERSION = 1

_Entry = TypeVar("_Entry")


class Cable(enum.StrEnum):
    """The state of a machine's network cable; it outlives a power cut, as a real one does."""

    WHOLE = "whole"
    CUT = "cut"
    ONE_WAY = "one-way"


@dataclass(frozen=True, slots=True)
class LabEntry:
    """What a lab has for all its machines. ``image`` is the folder that their disks are layers over."""

    name: str
    digest: str
    subnet: str
    image: str


@dataclass(frozen=True, slots=True)
class MachineEntry:
    """One machine. ``leader`` is its systemd-nspawn, ``None`` when it was never started or we ended it."""

    number: int
    machine_id: str
    host_key: str = ""
    leader: Process | None = None
    cable: Cable = Cable.WHOLE

    @property
    def name(self) -> str:
        """``m1`` and so on."""
        return machine_name(self.number)


class Ledger:
    """The ledger in a lab's folder. One file for the lab and one for each machine, so that what is written
    about one machine never undoes what is written about another at the same time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lab_file = folder / "lab.json"
        self._machines = folder / "machines"

    def machine_folder(self, number: int) -> Path:
        """The folder of a machine's ledger entry, disk and console log."""
        return self._machines / machine_name(number)

    def has_lab(self) -> bool:
        """True when a lab was begun here, even if its entry cannot be understood."""
        return self._lab_file.exists()

    def read_lab(self) -> LabEntry | None:
        """The lab's entry; ``None`` when there is no lab. ``LabError`` when it cannot be understood."""
        record = _read(self._lab_file)
        return None if record is None else _understood(self._lab_file, LabEntry, record)

    def write_lab(self, entry: LabEntry) -> None:
        """Write the lab's entry; whoever reads sees the old one or the new one, never half."""
        _write(self._lab_file, asdict(entry))

    def read_machines(self) -> tuple[MachineEntry, ...]:
        """All machines by number."""
        entries = [self._read_machine(path) for path in self._machines.glob("m*/machine.json")]
        return tuple(sorted(entries, key=lambda entry: entry.number))

    def write_machine(self, entry: MachineEntry) -> None:
        """Write one machine's entry, atomically as well."""
        self.machine_folder(entry.number).mkdir(parents=True, exist_ok=True)
        _write(self.machine_folder(entry.number) / "machine.json", asdict(entry))

    def forget(self) -> None:
        """Remove the machines' disks and the ledger; the lab's entry goes last, so that a removal that was
        interrupted can be repeated."""
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self._machines)
        self._lab_file.with_suffix(".new").unlink(missing_ok=True)
        self._lab_file.unlink(missing_ok=True)

    def _read_machine(self, path: Path) -> MachineEntry:
        record = _read(path) or {}
        leader = record.get("leader")
        record["leader"] = None if leader is None else _understood(path, Process, leader)
        record["cable"] = Cable(record.get("cable", Cable.WHOLE))
        return _understood(path, MachineEntry, record)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        record = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise _unreadable(path) from error
    if not isinstance(record, dict) or record.pop("version", None) != VERSION:
        raise _unreadable(path)
    return record


def _understood(path: Path, kind: type[_Entry], record: dict[str, Any]) -> _Entry:
    try:
        return kind(**record)
    except TypeError as error:
        raise _unreadable(path) from error


def _unreadable(path: Path) -> LabError:
    return LabError(
        f"{path} was not written by this version of the lab, or is damaged",
        hint="`fleetssh lab down` takes the lab away even so",
    )


def _write(path: Path, record: dict[str, Any]) -> None:
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps({"version": VERSION, **record}, indent=2) + "\n")
    draft.replace(path)
