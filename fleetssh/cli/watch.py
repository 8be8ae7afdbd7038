"""What the loop tells: one line a change, to whoever reads along and to systemd."""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Mapping

from fleetssh import clock
from fleetssh.cli.notify import Notifier
from fleetssh.cli.output import note, say
from fleetssh.cli.render import plural
from fleetssh.cli.telling import done_lines
from fleetssh.cli.troubles import MACHINE, Trouble, troubles_of
from fleetssh.control.result import Pass
from fleetssh.core.errors import FleetError, StoreHeld
from fleetssh.core.leases import warn_of_short
from fleetssh.core.model import Health
from fleetssh.core.sighting import Reached
from fleetssh.inventory import Inventory

HELD_SECONDS = 10.0
"""Commands hold the store for a pass; who holds it for longer is named, once."""

AGAIN_SECONDS = 60.0
"""What keeps failing is told again this often."""

_NUMBER = re.compile(r"\d+")


class Watch:
    """Implements ``control.loop.Listener``. A trouble is told when it begins and when it becomes another one,
    not as long as it lasts."""

    def __init__(self, notifier: Notifier, environ: Mapping[str, str], *, debug: bool = False) -> None:
        self._notifier = notifier
        self._stamped = not _journal_reads(environ)
        self._debug = debug
        self._troubles: frozenset[tuple[str, ...]] = frozenset()
        self._failure = ""
        self._failing_since = self._told_at = 0.0
        self._is_told = False
        self._is_ready = False
        self._interval = 0.0

    def started(self, inventory: Inventory, state: str, interval_seconds: float) -> None:
        """The loop begins; ``state`` says where the state is."""
        self._interval = interval_seconds
        machines = f"{plural(len(inventory.hosts), 'machine')} of {inventory.source}"
        self._print(say, f"watching {machines} every {interval_seconds:g} s; state in {state}")

    def ended(self) -> None:
        """The loop has ended as it was told to."""
        self._notifier.stopping()
        self._print(say, "not watching any more; every unit stays as it is")

    def passed(self, done: Pass) -> None:
        """See Listener.passed."""
        if self._is_told:
            self._print(say, "passes go on")
        self._failure, self._is_told = "", False
        self._print(say, *done_lines(done))
        troubles = [*troubles_of(done)[0], *_short_leases(done, self._interval)]
        for trouble in troubles:
            if trouble.key not in self._troubles:
                self._print(note, *trouble.lines)
        self._print(say, *self._answering(troubles, done))
        self._troubles = frozenset(trouble.key for trouble in troubles)
        self._notifier.status(_summary(done))
        if not self._is_ready:
            self._is_ready = True
            self._notifier.ready()

    def failed(self, error: FleetError) -> None:
        """See Listener.failed."""
        now = clock.monotonic()
        failure = f"{type(error).__name__} {_NUMBER.sub('', error.message)}"
        if failure != self._failure:
            self._failure, self._failing_since, self._is_told = failure, now, False
        is_held = isinstance(error, StoreHeld)
        if self._is_told:
            is_due = not is_held and now - self._told_at >= AGAIN_SECONDS
        else:
            is_due = not is_held or now - self._failing_since >= HELD_SECONDS
        if is_due:
            self._told_at, self._is_told = now, True
            self._explain("no pass", error)

    def broke(self, error: Exception) -> None:
        """See Listener.broke."""
        if self._debug:
            self._print(note, *"".join(traceback.format_exception(error)).splitlines())
        self._print(note, f"no pass: internal error: {type(error).__name__}: {error}")

    def rereading(self) -> None:
        """See Listener.rereading."""
        self._notifier.reloading()

    def reread(self, before: Inventory, now: Inventory) -> None:
        """See Listener.reread."""
        old, new = ({host.name for host in inventory.hosts} for inventory in (before, now))
        changes = [f"{name} is new" for name in sorted(new - old)]
        changes += [f"{name} is gone" for name in sorted(old - new)]
        summary = ", ".join(changes) or plural(len(new), "machine")
        self._print(say, f"inventory {now.source} read again: {summary}")
        self._print(note, *(f"WARNING: {text}" for text in now.warnings if text not in before.warnings))
        self._loaded()

    def misread(self, error: FleetError) -> None:
        """See Listener.misread."""
        self._explain("the inventory was not read again, the one before stays in force", error)
        self._loaded()

    def alive(self) -> None:
        """See Listener.alive."""
        self._notifier.alive()

    def _loaded(self) -> None:
        # READY also ends a reload; before the first pass it would say too much.
        if self._is_ready:
            self._notifier.ready()

    def _answering(self, troubles: list[Trouble], done: Pass) -> list[str]:
        """The machines that were in trouble, and answer now."""
        before, now = (
            {key[1] for key in keys if key[0] == MACHINE}
            for keys in (self._troubles, {t.key for t in troubles})
        )
        return [f"{host}: answers again" for host in sorted(before - now) if host in done.sightings]

    def _explain(self, what: str, error: FleetError) -> None:
        first, *more = error.message.splitlines()
        self._print(note, f"{what}: {first}", *more, *(f"  {line}" for line in error.hint.splitlines()))

    def _print(self, how: Callable[..., None], *lines: str) -> None:
        stamp = f"{clock.as_local(clock.now())} " if self._stamped else ""
        how(*(f"{stamp}{line}" for line in lines))


def _short_leases(done: Pass, interval_seconds: float) -> list[Trouble]:
    """Leases that may run out between two passes that find all well."""
    found = [f for s in done.sightings.values() if isinstance(s, Reached) for f in s.found]
    leases = {unit.entry.name: unit.entry.lease for unit in found}
    text = warn_of_short(leases, interval_seconds)
    return [Trouble(("lease", text), (f"WARNING: {text}",))] if text else []


def _summary(done: Pass) -> str:
    """``3 machines: 2 up, 1 doubtful; 12 units run``."""
    health = Counter(machine.health for machine in done.survey.machines)
    counted = [f"{health[kind]} {kind}" for kind in Health if health[kind]]
    unseen = len(done.sightings) - len(done.survey.machines)
    counted += [f"{unseen} never seen"] if unseen > 0 else []
    found = [f for s in done.sightings.values() if isinstance(s, Reached) for f in s.found]
    running = sum(unit.active == "active" for unit in found)
    return f"{plural(len(done.sightings), 'machine')}: {', '.join(counted)}; {plural(running, 'unit')} active"


def _journal_reads(environ: Mapping[str, str]) -> bool:
    """Whether what we print goes to the journal, which has a time for every line (systemd.exec(5))."""
    try:
        found = os.fstat(sys.stdout.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"
