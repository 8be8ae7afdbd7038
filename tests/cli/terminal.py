"""A program on a terminal of its own: what a person would see, and what is typed into it."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence

PATIENCE_SECONDS = 60
"""Nothing here takes a second on an idle computer."""


class Terminal:
    """A program whose standard streams are a terminal."""

    def __init__(self, argv: Sequence[str], environ: Mapping[str, str], cwd: object = None) -> None:
        self._fd, inner = pty.openpty()
        self.process = subprocess.Popen(
            list(argv),
            env=dict(environ),
            cwd=str(cwd) if cwd else None,
            pass_fds=(inner,),
            preexec_fn=lambda: os.login_tty(inner),
        )
        os.close(inner)
        self.shown = ""

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def read(self) -> bool:
        """Reads what comes next into ``shown``; false at the end."""
        ready, _, _ = select.select([self._fd], [], [], 1.0)
        if not ready:
            return True
        try:
            data = os.read(self._fd, 65536)
        except OSError:  # Linux: the other end is closed
            return False
        self.shown += data.decode(errors="replace")
        return bool(data)

    def await_text(self, text: str) -> str:
        """What was shown since the last call, up to ``text``."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while text not in self.shown:
            assert self.read() and time.monotonic() < deadline, f"no {text!r} in {self.shown!r}"
        before, _, self.shown = self.shown.partition(text)
        return before

    def finish(self) -> str:
        """Everything else that is shown until the program has ended."""
        while self.read():
            pass
        self.process.wait(PATIENCE_SECONDS)
        return self.shown

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        os.close(self._fd)


@contextlib.contextmanager
def terminal(argv: Sequence[str], environ: Mapping[str, str], cwd: object = None) -> Iterator[Terminal]:
    opened = Terminal(argv, environ, cwd)
    try:
        yield opened
    finally:
        opened.close()
