"""Somebody who makes passes for as long as he is let: cron in a hurry, and what each pass said."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fleetssh import clock
from tests.live.conftest import Fleet
from tests.live.killing import ForkServer

PAUSE = 0.5
"""Seconds between two passes."""

QUIET = 2
"""So many passes in a row without a word of change, and all is over."""


@dataclass(frozen=True)
class Turn:
    """One pass: when it began and ended, its exit code (``None``: killed), its lines."""

    began: float
    ended: float
    code: int | None
    out: str
    err: str


class Cron:
    """Runs ``fleetssh reconcile`` again and again while it is entered."""

    def __init__(self, fleet: Fleet, words: Sequence[str] = ("reconcile",), pause: float = PAUSE) -> None:
        self.fleet = fleet
        self.turns: list[Turn] = []
        self._words = tuple(words)
        self._pause = pause
        self._server = ForkServer(fleet.folder)
        self._end = threading.Event()
        self._more = threading.Condition()
        self._thread = threading.Thread(target=self._go_on, name="cron", daemon=True)

    def __enter__(self) -> Cron:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self._server.close()

    def _go_on(self) -> None:
        while not self._end.is_set():
            began = clock.monotonic()
            done = self._server.run(self._words, self.fleet.folder, self.fleet.env)
            with self._more:
                self.turns.append(Turn(began, clock.monotonic(), done.code, done.out, done.err))
                self._more.notify_all()
            self._end.wait(self._pause)

    def since(self, moment: float) -> list[Turn]:
        """The passes that began after ``moment`` and are over."""
        with self._more:
            return [turn for turn in self.turns if turn.began >= moment]

    def wait(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """Waits until ``condition()`` holds after some pass; fails when it does not come."""
        deadline = clock.monotonic() + seconds
        with self._more:
            while not condition():
                left = deadline - clock.monotonic()
                said = "".join(f"\n-- exit {t.code}\n{t.out}{t.err}" for t in self.turns[-3:])
                assert left > 0, f"waited {seconds:.0f} s for {what}; the last passes said:{said}"
                self._more.wait(min(left, 0.2))

    def wait_passes(self, number: int, moment: float, seconds: float = 60.0) -> None:
        """Waits for so many passes that began after ``moment``."""
        self.wait(lambda: len(self.since(moment)) >= number, seconds, f"{number} passes")

    def wait_quiet(self, moment: float, seconds: float = 60.0) -> None:
        """Waits for passes after ``moment`` in which all is well and nothing is done."""

        def is_quiet() -> bool:
            last = self.since(moment)[-QUIET:]
            return len(last) == QUIET and all((turn.code, turn.out) == (0, "") for turn in last)

        self.wait(is_quiet, seconds, "passes with nothing to do")

    def busy(self, moment: float) -> int:
        """How many passes after ``moment`` it took until nothing was left to do."""
        turns = self.since(moment)
        return max((number for number, turn in enumerate(turns, 1) if turn.out or turn.code), default=0)
