"""One at a time: a lock file that dies with the process that holds it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fleetssh import clock
from fleetssh.core.errors import LabError

POLL = 0.05
"""Seconds between two tries; flock has no wait with a time limit."""


@contextmanager
def held(
    path: Path, wait: float, shared: bool = False, on_wait: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Hold the lock file ``path``; ``LabError`` when others still hold it after ``wait`` seconds.

    ``on_wait`` is called once, when we have to wait. Several may hold it together when all ask for it
    ``shared``.
    """
    handle = _acquire(path, wait, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, on_wait)
    try:
        yield
    finally:
        os.close(handle)


def _acquire(path: Path, wait: float, kind: int, on_wait: Callable[[], None]) -> int:
    deadline = clock.monotonic() + wait
    told = False
    while True:
        handle = _open(path)
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
            if _is_same_file(handle, path):
                return handle
        except BlockingIOError:
            pass
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)
        if not told:
            told = True
            on_wait()
        if clock.monotonic() > deadline:
            raise LabError(
                f"another fleetssh lab command is at work: {path} was held for {wait:.0f} s",
                hint="let it finish, then try again",
            )
        clock.sleep(POLL)


def _open(path: Path) -> int:
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            # The holder before us took the folder away between our two calls.
            continue


def _is_same_file(handle: int, path: Path) -> bool:
    """False when the holder before us took the file away: then our lock locks nobody out."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
