"""Deadlines: work that is not over in time is ended from outside."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fleetssh import clock


class Late(TimeoutError):
    """Work was ended because it was not over in time."""


class Deadlines:
    """One thread watches all the work there is, and ends when there is none: one for each would cost more
    than most of it takes. Safe to use from several threads."""

    def __init__(self) -> None:
        self._due: dict[int, tuple[float, Callable[[], object]]] = {}
        self._wakes_at: float | None = None  # without a thread never
        self._sooner = threading.Condition()
        self._numbers = itertools.count()

    @contextmanager
    def within(self, seconds: float, end: Callable[[], object]) -> Iterator[None]:
        """Calls ``end`` in another thread when the work inside is not over in time; that has to make it fail
        or return. Raises Late then."""
        number = self._add(clock.monotonic() + seconds, end)
        try:
            yield
        except Exception as error:
            if self._remove(number):
                raise
            raise Late(f"no complete answer within {seconds:g} s") from error
        except BaseException:
            self._remove(number)
            raise
        if not self._remove(number):
            raise Late(f"no complete answer within {seconds:g} s")

    def _add(self, at: float, end: Callable[[], object]) -> int:
        with self._sooner:
            if self._wakes_at is None:
                threading.Thread(target=self._watch, daemon=True).start()
                self._wakes_at = at
            elif at < self._wakes_at:
                self._sooner.notify()
            number = next(self._numbers)
            self._due[number] = (at, end)
        return number

    def _remove(self, number: int) -> bool:
        """Whether the work was not late. The thread finds out when it wakes."""
        with self._sooner:
            return self._due.pop(number, None) is not None

    def _watch(self) -> None:
        with self._sooner:
            while self._due:
                now = clock.monotonic()
                for number, (at, end) in list(self._due.items()):
                    if at <= now:
                        del self._due[number]
                        _start(end)
                self._wakes_at = min((at for at, _ in self._due.values()), default=now)
                self._sooner.wait(self._wakes_at - now)
            self._wakes_at = None


def _start(end: Callable[[], object]) -> None:
    try:
        # In a thread of its own: no other work waits for this end.
        threading.Thread(target=end, daemon=True).start()
    except RuntimeError:  # there can be no more threads now
        end()
