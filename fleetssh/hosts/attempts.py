"""Attempts that may hang: each in a thread of its own, waited for only so long, one a machine at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

T = TypeVar("T")


class Hung(Exception):
    """An attempt did not come back in time, and goes on without anybody waiting for it."""


class StillHung(Hung):
    """An attempt that was given up before has not come back yet, so there was no other one."""


class Attempts:
    """Bounds from outside what the libraries do not bound, or only by a wall clock that may be set back: name
    look-ups, agents, handshakes. Safe to use from several threads."""

    def __init__(self) -> None:
        self._under_way: set[str] = set()
        self._lock = threading.Lock()

    def make(self, name: str, attempt: Callable[[], T], seconds: float) -> T:
        """What ``attempt`` returns or raises. Raises Hung after ``seconds``; what it may return later is
        nobody's then. Raises StillHung at once while an earlier attempt at ``name`` is under way, so that
        threads do not pile up."""
        with self._lock:
            if name in self._under_way:
                raise StillHung
            self._under_way.add(name)
        result: Future[T] = Future()
        # A daemon: whoever ends the program does not wait for what hangs.
        thread = threading.Thread(target=self._run, args=(name, attempt, result), daemon=True)
        try:
            thread.start()
        except RuntimeError:  # this computer has no more threads
            self._end(name)
            raise
        wait([result], seconds)
        if result.cancel():
            raise Hung
        return result.result()

    def _run(self, name: str, attempt: Callable[[], T], result: Future[T]) -> None:
        try:
            value = attempt()
        except BaseException as error:
            self._end(name)
            if result.set_running_or_notify_cancel():
                result.set_exception(error)
            return
        self._end(name)
        if result.set_running_or_notify_cancel():
            result.set_result(value)

    def _end(self, name: str) -> None:
        with self._lock:
            self._under_way.discard(name)
