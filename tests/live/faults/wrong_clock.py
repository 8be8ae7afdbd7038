"""The command line on a computer whose wall clock is wrong: ``wrong_clock SECONDS reconcile``."""

from __future__ import annotations

import sys
import time

from fleetssh import clock
from fleetssh.cli.main import run

if __name__ == "__main__":
    offset = float(sys.argv.pop(1))
    clock.now = lambda: time.time() + offset
    run()
