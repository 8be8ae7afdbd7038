"""Processes that we started, known by pid and start time, so that a recycled pid is never touched."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

STATE_FIELD = 0
STARTED_FIELD = 19
"""Fields 3 and 22 of /proc/PID/stat (proc(5)), counted after the program's name in brackets."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process for good: ``started`` is in clock ticks since the boot called ``boot``."""

    pid: int
    started: int
    boot: str


def identify(pid: int) -> Process | None:
    """The process that has this pid now; ``None`` when there is none, or only its exit status is left."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name may hold spaces and brackets itself: the fields begin behind its last bracket.
    fields = stat.rpartition(")")[2].split()
    if fields[STATE_FIELD] in ("Z", "X"):
        return None
    return Process(pid, int(fields[STARTED_FIELD]), _boot())


def is_alive(process: Process | None) -> bool:
    """True while this very process runs."""
    return process is not None and identify(process.pid) == process


def send(process: Process | None, number: int) -> None:
    """Send a signal; nothing happens when the process is gone, whoever has its pid now."""
    with _handle(process) as handle:
        if handle is not None:
            try:
                signal.pidfd_send_signal(handle, number)
            except ProcessLookupError:
                pass


def wait_gone(process: Process | None, timeout: float) -> bool:
    """Wait until the process has ended; False when it still runs after ``timeout`` seconds."""
    with _handle(process) as handle:
        if handle is None:
            return True
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        return bool(poll.poll(timeout * 1000))


def first_inside(leader: Process | None) -> Process | None:
    """PID 1 of the machine whose systemd-nspawn is ``leader``; ``None`` when it does not run (yet)."""
    if leader is None or not is_alive(leader):
        return None
    try:
        children = Path(f"/proc/{leader.pid}/task/{leader.pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return next((identify(int(pid)) for pid in children if _is_first_in_namespace(int(pid))), None)


def _is_first_in_namespace(pid: int) -> bool:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return False
    pids = next((line.split()[1:] for line in lines if line.startswith("NSpid:")), [])
    return len(pids) > 1 and pids[-1] == "1"


@contextmanager
def _handle(process: Process | None) -> Iterator[int | None]:
    """A handle that stays with the process even if its pid is given away; ``None`` when it is gone."""
    if process is None:
        yield None
        return
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        yield None
        return
    try:
        # Looked at after opening: if it is the right one now, the handle can be of no other.
        yield handle if is_alive(process) else None
    finally:
        os.close(handle)


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
