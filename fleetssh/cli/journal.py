"""The verb journal: of one unit as its machine prints it, of many merged in time order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import click

from fleetssh import clock
from fleetssh.cli.entries import MODES, Style, make_printer
from fleetssh.cli.exits import Exit
from fleetssh.cli.finding import Home, find_homes, find_machines, homes_of
from fleetssh.cli.flags import Flag, Verb
from fleetssh.cli.output import note, pass_on, pass_on_error, printable
from fleetssh.cli.reach import at_port, port_option
from fleetssh.cli.session import Session
from fleetssh.control.following import Remark, follow, go_on
from fleetssh.control.reading import Feed, Finding, Reading
from fleetssh.control.unitfiles import is_glob
from fleetssh.core.errors import CommandError, FleetError, UsageError
from fleetssh.core.journal import Line
from fleetssh.inventory import Host
from fleetssh.wire.journal import Ask, customs_command, read_customs
from fleetssh.wire.remote import BEAT_SECONDS, journal_command

LINES = 10
"""fleet's: how many of the latest lines unless somebody says since when."""

PIECE = 256
"""Lines printed at a time when all are wanted."""

CLOCKS_APART_SECONDS = 60
"""How far the clock of a machine that a followed unit moved to may be behind this computer's."""

Show = Callable[[Iterable[Line]], None]


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for. ``ask`` holds it for one machine, without its units; ``only`` are the machines that
    were named, none for all."""

    ask: Ask
    only: tuple[Host, ...]
    output: str
    follow: bool
    port: int | None


@click.command(cls=Verb)
@click.argument("units", nargs=-1, metavar="UNIT...")
@click.option("-n", "--lines", type=click.IntRange(0), metavar="N",
              help=f"How many of the latest lines ({LINES}; all with --since, --until, --grep).")  # fmt: skip
@click.option("-f", "--f", "--follow", "follow", cls=Flag, default=False, help="Go on with new lines.")
@click.option("-o", "--output", default="short", metavar="MODE", show_default=True,
              help=f"As in journalctl; for several units or machines: {', '.join(MODES)}.")  # fmt: skip
@click.option("--since", default="", metavar="TIME", help="As in journalctl.")
@click.option("--until", default="", metavar="TIME", help="As in journalctl.")
@click.option("-g", "--grep", default="", metavar="REGEX", help="Only messages that match, as in journalctl.")
@click.option("--machine", "machines", multiple=True, metavar="MACHINE",
              help="Only from this machine (name, or beginning of its id); may be given again.")  # fmt: skip
@click.option("--sudo", cls=Flag, default=False, help="Read the journal with sudo.")
@port_option
@click.pass_obj
def journal(
    session: Session,
    units: tuple[str, ...],
    lines: int | None,
    follow: bool,
    output: str,
    since: str,
    until: str,
    grep: str,
    machines: tuple[str, ...],
    sudo: bool,
    ssh_port: int | None,
) -> int:
    """Show the journal of units, from the machines that they are on.

    One unit is shown as its machine prints it. Several units (globs work), and a global unit, are shown in
    one sequence by time, each line with the name of its machine.
    """
    if not units:
        raise CommandError("One unit file must be provided.")
    if follow and until:
        raise UsageError("--follow goes on with new lines and --until has none", hint="give one of the two")
    everything = since or until or (grep and not follow)
    count = LINES if lines is None and not everything else lines
    ask = Ask((), count, since, until, grep, whole=output == "json", sudo=sudo)
    wish = Wish(ask, find_machines(session, machines), output, follow, ssh_port)
    state = session.store.load()
    homes = find_homes(session, state, units, wish.only)
    if len(units) == 1 and not is_glob(units[0]):
        ((name, at),) = homes.items()
        if not state.wanted[name].unit.requirements.is_global:
            return _show_one(session, name, at[0], wish)
    if output not in MODES:
        raise UsageError(
            f"--output {output} is for one unit: journals of several are merged as {', '.join(MODES)}"
        )
    show = _follow if wish.follow else _read
    return show(session, _feeds(homes, wish), wish, _print_merged(output))


# ---------------------------------------------------------------- one unit


def _show_one(session: Session, name: str, home: Home, wish: Wish) -> int:
    """fleet's: what journalctl prints on the machine, and its exit code. What journalctl cannot do (follow
    through breaks, find the latest that match) is printed here just as there, in the modes that can be."""
    ask = wish.ask
    if wish.output in MODES and (wish.follow or ask.is_backwards):
        feeds = _feeds({name: (home,)}, wish)
        show = _follow if wish.follow else _read
        return show(session, feeds, wish, _print_as_there(session, feeds[0], wish.output))
    host = at_port(home.host, wish.port)
    command = journal_command(
        name,
        lines=ask.lines,
        follow=wish.follow,
        output=wish.output,
        sudo=ask.sudo or host.become,
        since=ask.since,
        until=ask.until,
        grep=ask.grep,
    )
    return session.carrier.stream(host, command, pass_on, pass_on_error)


def _print_as_there(session: Session, feed: Feed, mode: str) -> Show:
    """Prints as the machine's own journalctl: its time zone and language, its host name, its boots."""
    answer = bytearray()
    session.carrier.stream(
        feed.host, customs_command(sudo=feed.ask.sudo), answer.extend, pass_on_error, None, _patience(session)
    )
    form = make_printer(Style(mode, read_customs(bytes(answer))))
    boots: dict[str, str] = {}

    def show(lines: Iterable[Line]) -> None:
        text = bytearray()
        for line in lines:
            boot = line.entry.boot
            if boots.get(line.host, boot) != boot and mode.startswith("short"):
                text += f"-- Boot {boot} --\n".encode()
            boots[line.host] = boot
            text += form(line.entry, None)
        if text:
            pass_on(bytes(text))

    return show


# ---------------------------------------------------------------- many


def _read(session: Session, feeds: Sequence[Feed], wish: Wish, show: Show) -> int:
    reading = Reading(session.carrier, feeds, _patience(session))
    _show_read(reading, wish.ask.lines, show)
    return _tell(reading.findings)


def _print_merged(mode: str) -> Show:
    """Prints with the inventory's host names; what a machine says must not steer a terminal."""
    form = make_printer(Style(mode))

    def show(lines: Iterable[Line]) -> None:
        text = b"".join(form(line.entry, line.host.encode()) for line in lines).decode("utf-8", "replace")
        if text:
            pass_on("\n".join(printable(line) for line in text.split("\n")).encode())

    return show


def _feeds(homes: Mapping[str, tuple[Home, ...]], wish: Wish) -> tuple[Feed, ...]:
    """One a machine, in the order of their names, asking for all its units at once."""
    hosts = {home.host.name: home.host for at in homes.values() for home in at}
    return tuple(
        Feed(
            at_port(host, wish.port),
            replace(
                wish.ask,
                units=tuple(unit for unit, at in homes.items() if any(h.host.name == name for h in at)),
                sudo=wish.ask.sudo or host.become,
            ),
        )
        for name, host in sorted(hosts.items())
    )


def _show_read(reading: Reading, limit: int | None, show: Show) -> None:
    lines = reading.lines()
    if limit is not None:
        show(deque(lines, limit))
        return
    while piece := list(islice(lines, PIECE)):
        show(piece)


def _tell(findings: Sequence[Finding]) -> int:
    """Tells which machines could not be read, or complained; the exit code for that."""
    note(*(finding.why for finding in findings if finding.why))
    complaints: dict[str, list[str]] = {}
    for finding in findings:
        for line in finding.complaint.decode("utf-8", "replace").splitlines():
            complaints.setdefault(line, []).append(finding.feed.host.name)
    note(*(f"{', '.join(hosts)}: {line}" for line, hosts in complaints.items()))
    # journalctl --grep that finds nothing ends with 1 and says nothing: that is no failure.
    codes = [f.code if f.code is not None else Exit.MACHINE for f in findings if f.why or f.complaint]
    return min((code for code in codes if code), default=Exit.DONE)


# ---------------------------------------------------------------- followed


def _follow(session: Session, feeds: Sequence[Feed], wish: Wish, show: Show) -> int:
    """Shows the latest lines, then goes on until somebody ends it; the code for what cannot be followed.

    A machine that cannot be read at first is tried on, unless that is all of them.
    """
    patience, began = _patience(session), clock.now()
    reading = Reading(session.carrier, feeds, patience, start=True)
    _show_read(reading, wish.ask.lines, show)
    unread = [finding for finding in reading.findings if finding.why]
    read = [finding for finding in reading.findings if not finding.why]
    if code := _tell(read or unread):
        return code
    feeds = [go_on(finding, began) for finding in reading.findings]
    movements = _Movements(session, feeds, wish, began)
    for news in follow(session.carrier, feeds, patience, movements.look):
        if isinstance(news, Remark):
            note(news.text)
        else:
            show(news)
    return Exit.DONE


class _Movements:
    """Where followed units turn up besides. What was followed once is followed on: a unit's last words come
    after it has left."""

    def __init__(self, session: Session, feeds: Sequence[Feed], wish: Wish, began: float) -> None:
        self._session = session
        self._wish = wish
        self._looked = began
        self._known = {(feed.host.name, unit) for feed in feeds for unit in feed.ask.units}

    def look(self) -> Sequence[Feed]:
        """What is to be followed from now on too: the store is read, no machine is asked."""
        since = f"@{self._looked - CLOCKS_APART_SECONDS:.0f}"
        self._looked = clock.now()
        ask = replace(self._wish.ask, lines=None, since=since)
        feeds = _feeds(self._new_homes(), replace(self._wish, ask=ask))
        for feed in feeds:
            self._known |= {(feed.host.name, unit) for unit in feed.ask.units}
            note(f"{feed.host.name}: {', '.join(feed.ask.units)} came there and is followed there too")
        return feeds

    def _new_homes(self) -> dict[str, tuple[Home, ...]]:
        found = {}
        try:
            state, records = self._session.store.load(), self._session.store.machines()
        except FleetError:
            return {}  # Busy or gone for now: what is followed is followed on.
        for unit in sorted({unit for _, unit in self._known} & set(state.wanted)):
            try:
                homes = homes_of(self._session, state, unit, records)
            except FleetError:
                continue  # On its way to another machine: told by the verbs that move it.
            found[unit] = tuple(home for home in homes if self._is_new(home.host, unit))
        return found

    def _is_new(self, host: Host, unit: str) -> bool:
        return (host.name, unit) not in self._known and (not self._wish.only or host in self._wish.only)


def _patience(session: Session) -> float:
    """How long a machine may be silent, in seconds: as long as it may take to connect, and two beats."""
    from fleetssh.hosts.over_fabric import CONNECT_SECONDS

    return (session.settings.connect_timeout or CONNECT_SECONDS) + 2 * BEAT_SECONDS
