"""One controller at a time: a lock file that dies with its process and says who holds it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from fleetssh import clock
from fleetssh.core.errors import StoreError, StoreHeld

POLL_SECONDS = 0.05
"""Between two tries for the lock: too short for a person to notice, too long to load a computer."""

MINUTE, HOUR, DAY = 60, 3600, 86400  # in seconds

READ_BYTES = 4096
"""Of the lock file: several times what a holder writes."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds the lock: ``text`` says who and doing what, ``since`` is seconds since the epoch."""

    text: str
    pid: int
    since: float


@contextmanager
def hold_file(path: Path, holder: str, wait_seconds: float, now: Callable[[], float]) -> Iterator[None]:
    """Hold the lock file ``path`` inside the ``with``, waiting for it up to ``wait_seconds``.

    Raises ``StoreHeld`` naming the holder, ``StoreError`` when the file cannot be used. The kernel
    releases the lock when the process ends, by ``kill -9`` too. The file stays: removing it would let
    two processes lock two files of the same name.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        try:
            if not _acquire(descriptor, wait_seconds):
                raise held(_read(descriptor), now())
            _write(descriptor, Holder(holder, os.getpid(), now()))
        except OSError as error:
            raise _unusable(path, error) from error
        yield
    finally:
        os.close(descriptor)


def require_rest(path: Path) -> None:
    """Raise ``StoreHeld`` while the process that held the lock file ``path`` last is still running: a loop
    holds it in its passes only. Our own process doesn't count."""
    try:
        holder = _parse(path.read_bytes()[:READ_BYTES])
    except OSError:
        return
    if holder and holder.pid != os.getpid() and _is_running(holder.pid):
        raise StoreHeld(
            f"{holder.text} (process {holder.pid}) is still running: it would act on the change at once",
            "end it first and look at 'fleetssh plan' before it goes on, or restore with --force",
        )


def held(holder: Holder | None, now: float) -> StoreHeld:
    """Return the error that names ``holder``, or nobody when it is not known who that is."""
    if holder is None:
        return StoreHeld("another controller is at work on this cluster", "wait for it to finish")
    return StoreHeld(
        f"another controller is at work on this cluster: {holder.text} "
        f"(process {holder.pid}), for {_span(now - holder.since)}",
        f"wait for it to finish, or end process {holder.pid} if it hangs",
    )


def _acquire(descriptor: int, wait_seconds: float) -> bool:
    if _try(descriptor):
        return True
    if wait_seconds <= 0:
        return False
    import tenacity  # costs 30 ms to import, and hardly ever is anybody in the way

    retrying = tenacity.Retrying(
        sleep=clock.sleep,
        stop=tenacity.stop_after_delay(wait_seconds),
        wait=tenacity.wait_fixed(POLL_SECONDS),
        retry=tenacity.retry_if_result(lambda acquired: not acquired),
        retry_error_callback=lambda _: False,
    )
    return bool(retrying(_try, descriptor))


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write(descriptor: int, holder: Holder) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(asdict(holder)).encode(), 0)


def _read(descriptor: int) -> Holder | None:
    # Between locking and writing, a new holder's file is empty or still names the last one.
    return _parse(os.pread(descriptor, READ_BYTES, 0))


def _parse(data: bytes) -> Holder | None:
    try:
        document = json.loads(data)
        return Holder(str(document["text"]), int(document["pid"]), float(document["since"]))
    except (ValueError, KeyError, TypeError):
        return None


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True


def _span(seconds: float) -> str:
    """Return ``40 s``, ``5 min 3 s``, ``3 h 12 min`` or ``2 d 3 h``; a clock put back gives ``0 s``."""
    whole = max(0, round(seconds))
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return f"{whole // MINUTE} min {whole % MINUTE} s"
    if whole < DAY:
        return f"{whole // HOUR} h {whole % HOUR // MINUTE} min"
    return f"{whole // DAY} d {whole % DAY // HOUR} h"


def _unusable(path: Path, error: OSError) -> StoreError:
    return StoreError(f"the lock file {path} cannot be used: {error.strerror}")
