"""Somebody who makes passes for as long as he is let: ``fleetssh run``, or cron in a hurry."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import tempfile
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from fleetssh import clock
from tests.live.conftest import Fleet
from tests.live.killing import Done, ForkServer

PAUSE = 0.5
"""Seconds between two passes of a cron in a hurry."""

QUIET = 2
"""So many passes in a row without a word, and all is over."""

END = 30.0
"""Seconds for a controller to end after its pass."""


@dataclass(frozen=True)
class Turn:
    """One pass: when it began (of the loop: when the one before was over) and ended, whether all machines
    answered and nothing was wrong, and what it printed."""

    began: float
    ended: float
    well: bool
    out: str
    err: str = ""


class Controller(ABC):
    """Makes passes while it is entered."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self._more = threading.Condition()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="controller", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    @abstractmethod
    def _go_on(self) -> None:
        """Makes passes until ``_end``."""

    def _tell(self, turn: Turn) -> None:
        with self._more:
            self.turns.append(turn)
            self._more.notify_all()

    def since(self, moment: float) -> list[Turn]:
        """The passes that began after ``moment`` and are over."""
        with self._more:
            return [turn for turn in self.turns if turn.began >= moment]

    def wait(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """Waits until ``condition()`` holds; fails when it does not come."""
        deadline = clock.monotonic() + seconds
        with self._more:
            while not condition():
                said = "".join(
                    f"\n-- {'well' if t.well else 'not well'}\n{t.out}{t.err}" for t in self.turns[-4:]
                )
                assert clock.monotonic() < deadline, (
                    f"waited {seconds:.0f} s for {what}; the last passes:{said}"
                )
                assert self._thread.is_alive(), f"there are no more passes; the last ones:{said}"
                self._more.wait(0.1)

    def wait_passes(self, number: int, moment: float, seconds: float = 180.0) -> None:
        """Waits for so many passes that began after ``moment``."""
        self.wait(lambda: len(self.since(moment)) >= number, seconds, f"{number} passes")

    def wait_quiet(self, moment: float, seconds: float = 60.0) -> None:
        """Waits for passes after ``moment`` in which all is well and nothing is done."""

        def is_quiet() -> bool:
            last = self.since(moment)[-QUIET:]
            return len(last) == QUIET and all(turn.well and not turn.out for turn in last)

        self.wait(is_quiet, seconds, "passes with nothing to do")

    def busy(self, moment: float) -> int:
        """How many passes that were not over at ``moment`` it took until nothing was left to do."""
        with self._more:
            turns = [turn for turn in self.turns if turn.ended >= moment]
        return max((number for number, turn in enumerate(turns, 1) if turn.out or not turn.well), default=0)


class Cron(Controller):
    """``fleetssh reconcile`` again and again; ``make_pass`` may make another kind of pass of it, and is told
    which one it is."""

    def __init__(
        self,
        fleet: Fleet,
        pause: float = PAUSE,
        make_pass: Callable[[int], Done] | None = None,
    ) -> None:
        super().__init__()
        self._pause = pause
        self._server = ForkServer(Path(tempfile.mkdtemp(dir=fleet.folder)))
        self._make_pass = make_pass or (lambda _: self._server.run(["reconcile"], fleet.folder, fleet.env))

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self._server.close()

    def _go_on(self) -> None:
        while not self._end.is_set():
            began = clock.monotonic()
            done = self._make_pass(len(self.turns))
            err = f"{done.err}exit code {done.code}\n" if done.code else done.err
            self._tell(Turn(began, clock.monotonic(), done.code == 0, done.out, err))
            self._end.wait(self._pause)


class Loop(Controller):
    """``fleetssh run``: what it prints, and the status that it tells systemd after each pass."""

    def __init__(self, fleet: Fleet, *words: str) -> None:
        super().__init__()
        self._address = fleet.folder / "notify"
        self._notices = _listen(self._address)
        fleet.env["NOTIFY_SOCKET"] = str(self._address)
        try:
            self.process = fleet.popen("run", *words)
        finally:
            del fleet.env["NOTIFY_SOCKET"]

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(END)
        finally:
            self.process.kill()
            super().__exit__()
            self._notices.close()
            self._address.unlink()

    def _go_on(self) -> None:
        out, err = (os.dup(pipe.fileno()) for pipe in (self.process.stdout, self.process.stderr) if pipe)
        said = {out: b"", err: b""}
        began = clock.monotonic()
        with selectors.DefaultSelector() as selector:
            for descriptor in said:
                os.set_blocking(descriptor, False)
                selector.register(descriptor, selectors.EVENT_READ)
            selector.register(self._notices, selectors.EVENT_READ)
            while not self._end.is_set():
                ready = {key.fd for key, _ in selector.select(0.1)}
                notice = self._notices.recv(4096).decode() if self._notices.fileno() in ready else ""
                # It speaks before it tells that the pass is over.
                for descriptor in said:
                    said[descriptor] += _drain(descriptor)
                if notice.startswith("STATUS="):
                    now = clock.monotonic()
                    texts = [said[descriptor].decode() for descriptor in (out, err)]
                    self._tell(Turn(began, now, _is_well(notice) and not texts[1], *texts))
                    said, began = {out: b"", err: b""}, now
                elif self.process.poll() is not None:
                    break
        for descriptor in (out, err):
            os.close(descriptor)


def _listen(address: Path) -> socket.socket:
    notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notices.bind(str(address))
    return notices


def _drain(descriptor: int) -> bytes:
    data = b""
    while True:
        try:
            part = os.read(descriptor, 65536)
        except BlockingIOError:
            return data
        if not part:
            return data
        data += part


def _is_well(status: str) -> bool:
    """``STATUS=3 machines: 3 up; 6 units active``."""
    machines, _, rest = status.removeprefix("STATUS=").partition(" machine")
    return rest.partition(";")[0].endswith(f": {machines} up")
