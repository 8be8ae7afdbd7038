"""The lab: machines that are brought up, put through faults, and taken down without a trace."""

from __future__ import annotations

import contextlib
import enum
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

from fleetssh.core.errors import LabError
from fleetssh.lab import cgroups, groundwork, machine, network, places, power, processes, programs
from fleetssh.lab.files import LabFiles
from fleetssh.lab.ledger import Cable, MachineEntry
from fleetssh.lab.locks import held
from fleetssh.lab.naming import MAX_MACHINES, Names, derive_names, machine_number
from fleetssh.lab.power import Site

AT_ONCE = 8
"""Machines booted or ended at the same time; more boot no sooner, a few cores are busy with these."""

LOCK_WAIT = 150.0
"""Seconds that a command waits for another one on the same lab: a little more than a boot may take."""

INSIDE_TIMEOUT = 30.0
"""Seconds for a command inside a machine, unless the caller knows better."""


class Condition(enum.StrEnum):
    """The state of a lab machine: of all that is true of it, the last in this list."""

    RUNNING = "running"
    CUT = "cut"
    FROZEN = "frozen"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class LabMachine:
    """One machine as it is now. ``pid`` is its PID 1 as this computer counts, ``None`` when it is off."""

    name: str
    address: str
    machine_id: str
    state: Condition
    pid: int | None


def _tell_nobody(_: str) -> None:
    """Progress that nobody asked for."""


class Lab:
    """A throw-away cluster of real systemd machines on this computer; everything here raises ``LabError``.

    Machines are called ``m1``, ``m2`` and so on. Every method may be called again after it was interrupted,
    and from several threads and processes: what touches the same machine happens one after the other.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder.absolute()
        self._derived = derive_names(name, self.folder)
        self._files = LabFiles(self.folder)
        self._ledger = self._files.ledger

    @classmethod
    def open(cls, name: str = "fleet", folder: Path | None = None) -> Lab:
        """The lab called ``name`` with its files in ``folder`` (default: the user's state folder), whether it
        is up or not; nothing is made or changed by opening it."""
        return cls(name, folder or places.lab_folder(name))

    @property
    def used_seconds(self) -> float:
        """CPU seconds that all its machines have used together."""
        return cgroups.used_seconds(self._derived.group)

    @property
    def inventory_path(self) -> Path:
        """The Ansible-style inventory of the machines, written by ``up``."""
        return self._files.inventory

    @property
    def key_path(self) -> Path:
        """The private key that logs in as root, ops and nosudo."""
        return self._files.key

    @property
    def known_hosts_path(self) -> Path:
        """The machines' true host keys."""
        return self._files.known_hosts

    # ------------------------------------------------------------ the whole lab

    def up(self, machines: int = 3, progress: Callable[[str], None] = _tell_nobody) -> None:
        """Make sure that there are at least ``machines`` machines and that all are up; ends when they are.

        Machines that run are left as they are, whatever fault they are under; those that are off boot from
        their kept disks. ``progress`` is told a line for each thing that takes time.
        """
        programs.require_root()
        programs.require_programs()
        if not 1 <= machines <= MAX_MACHINES:
            raise LabError(f"a lab has 1 to {MAX_MACHINES} machines, not {machines}")
        with self._alone():
            site = groundwork.prepare_site(self._files, self._names(), progress)
            entries = groundwork.make_machines(self._files, site, machines)
            _each(entries, lambda entry: _boot(site, entry, progress))

    def down(self) -> None:
        """Take everything away, also after a crash: processes, cables, bridge, routes, control groups, disks
        and files. Only the image cache stays. A lab that is not up is no mistake."""
        programs.require_root()
        with self._alone():
            with contextlib.suppress(LabError):
                # An unreadable ledger costs nothing but order: all below is also found by its names.
                site = self._site()
                _each(self._ledger.read_machines(), lambda entry: power.cut_power(site, entry))
            names = self._names()
            cgroups.end_all(names.group)
            machine.sweep_runtime(names.all_containers)
            network.remove_all(names)
            self._files.remove()

    def machines(self) -> tuple[LabMachine, ...]:
        """All machines by number, as they are now; none when the lab is not up."""
        if self._ledger.read_lab() is None:
            return ()
        site = self._site()
        return tuple(_observe(site, entry) for entry in self._ledger.read_machines())

    # ------------------------------------------------------------ faults of one machine

    def kill(self, name: str) -> None:
        """Cut a machine's power. It falls silent in the middle of a word; its disk and machine id stay."""
        with self._machine(name) as (site, entry):
            power.cut_power(site, entry)

    def boot(self, name: str) -> None:
        """Give a machine its power back and wait until it is up: same machine id, new boot id."""
        with self._machine(name) as (site, entry):
            power.power_on(site, entry)

    def reboot(self, name: str) -> None:
        """Shut a machine down in order (cut its power when it can't) and boot it again."""
        with self._machine(name) as (site, entry):
            power.reboot(site, entry)

    def freeze(self, name: str) -> None:
        """Stop all processes of a machine: TCP still connects, as its kernel answers, and no word comes."""
        with self._machine(name) as (site, entry):
            _require_running(entry)
            cgroups.freeze(site.names.group, name)

    def thaw(self, name: str) -> None:
        """Let a frozen machine go on."""
        with self._machine(name) as (site, entry):
            _require_running(entry)
            cgroups.thaw(site.names.group, name)

    def cut(self, name: str, one_way: bool = False) -> None:
        """Cut a machine's network cable; the machine runs on. ``one_way`` loses only its answers to this
        computer: our packets still arrive, and its fellow machines still hear it."""
        self._set_cable(name, Cable.ONE_WAY if one_way else Cable.CUT)

    def heal(self, name: str) -> None:
        """Mend a machine's network cable, also one that loses packets."""
        self._set_cable(name, Cable.WHOLE)

    def lose(self, name: str, percent: int) -> None:
        """Have a machine's cable lose so many of a hundred packets, each way, until it is told 0, healed or
        off."""
        with self._machine(name) as (_, entry):
            _require_running(entry)
            assert entry.leader is not None
            network.set_loss(entry.leader.pid, percent)

    def isolate(self) -> None:
        """Take this computer's own network to the machines down: they run on, and nobody hears anybody."""
        with self._alone():
            network.set_bridge(self._names(), up=False)

    def rejoin(self) -> None:
        """Bring this computer's own network to the machines back."""
        with self._alone():
            network.set_bridge(self._names(), up=True)

    def services_folder(self, name: str) -> Path:
        """Where this computer's kernel keeps the control groups of a running machine's services, one folder a
        service: whoever has a pid in its ``cgroup.procs`` runs, whatever systemd and the network say."""
        return cgroups.services_folder(self._names().group, name)

    def run_inside(
        self, name: str, argv: Sequence[str], timeout: float = INSIDE_TIMEOUT
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside a machine as root, past its network and its sshd: a witness of its own. The
        exit status is the caller's to judge; ``LabError`` when there is no answer in ``timeout`` seconds."""
        programs.require_root()
        return machine.run_inside(self._entry(name).leader, argv, timeout)

    # ------------------------------------------------------------ how it is done

    def _names(self) -> Names:
        try:
            entry = self._ledger.read_lab()
        except LabError:
            return self._derived
        # A lab whose folder was moved keeps the names that it was made with.
        return self._derived if entry is None else Names(entry.name, entry.digest)

    def _site(self) -> Site:
        entry = self._ledger.read_lab()
        if entry is None:
            raise LabError(f"there is no lab called {self.name}", hint=f"fleetssh lab up --name {self.name}")
        return Site(Names(entry.name, entry.digest), self._ledger, entry)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        with held(self._files.lock, LOCK_WAIT):
            yield

    @contextlib.contextmanager
    def _machine(self, name: str) -> Iterator[tuple[Site, MachineEntry]]:
        """One machine for us alone, while other commands may be busy with other machines."""
        programs.require_root()
        folder = self._ledger.machine_folder(self._entry(name).number)
        with held(self._files.lock, LOCK_WAIT, shared=True), held(folder / "lock", LOCK_WAIT):
            yield self._site(), self._entry(name)

    def _entry(self, name: str) -> MachineEntry:
        self._site()
        entries = self._ledger.read_machines()
        number = machine_number(name)
        for entry in entries:
            if entry.number == number:
                return entry
        raise LabError(
            f"the lab {self.name} has no machine {name}",
            hint=f"it has {', '.join(entry.name for entry in entries) or 'none'}",
        )

    def _set_cable(self, name: str, cable: Cable) -> None:
        with self._machine(name) as (site, entry):
            self._ledger.write_machine(replace(entry, cable=cable))
            if entry.leader is not None and processes.is_alive(entry.leader):
                network.set_cable(site.names, site.subnet, entry.number, entry.leader.pid, cable)


def _boot(site: Site, entry: MachineEntry, progress: Callable[[str], None]) -> None:
    power.power_on(site, entry)
    progress(f"{entry.name} is up at {site.address(entry.number)}")


def _observe(site: Site, entry: MachineEntry) -> LabMachine:
    first = processes.first_inside(entry.leader)
    state = Condition.RUNNING
    if first is None:
        state = Condition.OFF
    elif cgroups.is_frozen(site.names.group, entry.name):
        state = Condition.FROZEN
    elif entry.cable is not Cable.WHOLE:
        state = Condition.CUT
    address = site.address(entry.number)
    return LabMachine(entry.name, address, entry.machine_id, state, first.pid if first else None)


def _require_running(entry: MachineEntry) -> None:
    if processes.first_inside(entry.leader) is None:
        raise LabError(f"{entry.name} is off", hint=f"fleetssh lab boot {entry.name}")


def _each(entries: Sequence[MachineEntry], act: Callable[[MachineEntry], None]) -> None:
    """Do something to several machines at once; all are tried before the failures are raised as one."""
    failures: list[LabError] = []
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        waiting = [pool.submit(act, entry) for entry in entries]
        try:
            for future in as_completed(waiting):
                try:
                    future.result()
                except LabError as error:
                    failures.append(error)
        except BaseException:
            # Interrupted: what has not begun shall not begin.
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if failures:
        raise LabError("\n".join(failure.message for failure in failures), hint=failures[0].hint)
