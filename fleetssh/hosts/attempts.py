"""Attempts that may hang: waited for only so long, and not made again while they hang."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, TypeVar

T = TypeVar("T")


class Hung(Exception):
    """An attempt did not come back in time, and goes on without anybody waiting for it."""


class StillHung(Hung):
    """An attempt that was given up before has not come back yet, so there was no other one."""


class Attempts:
    """Bounds from outside what the libraries do not bound, or only by a wall clock that may be set back: name
    look-ups, agents, handshakes. Safe to use from several threads."""

    def __init__(self) -> None:
        self._hung: dict[Future[Any], str] = {}
        self._lock = threading.Lock()

    def make(self, name: str, attempt: Callable[[], T], seconds: float) -> T:
        """What ``attempt`` returns or raises. Raises Hung after ``seconds``; what it may return later is
        nobody's then. Raises StillHung at once while an earlier attempt at ``name`` hangs, so that threads do
        not pile up."""
        with self._lock:
            if name in self._hung.values():
                raise StillHung
        result: Future[T] = Future()
        # A daemon: whoever ends the program does not wait for what hangs.
        threading.Thread(target=self._run, args=(attempt, result), daemon=True).start()
        wait([result], seconds)
        with self._lock:
            if result.cancel():
                self._hung[result] = name
                raise Hung
        return result.result()

    def _run(self, attempt: Callable[[], T], result: Future[T]) -> None:
        try:
            value = attempt()
        except BaseException as error:
            if self._is_awaited(result):
                result.set_exception(error)
        else:
            if self._is_awaited(result):
                result.set_result(value)

    def _is_awaited(self, result: Future[Any]) -> bool:
        """Whether somebody still waits for an attempt that has just ended."""
        with self._lock:
            self._hung.pop(result, None)
            return result.set_running_or_notify_cancel()
