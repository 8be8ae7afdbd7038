"""Following through breaks: the real commands in a real shell, on a journal that is played and a connection
that breaks off wherever it likes."""

from __future__ import annotations

import os
import random
import selectors
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fleetssh.control import following
from fleetssh.control.following import Remark, follow, go_on
from fleetssh.control.reading import Feed, Reading
from fleetssh.core.errors import MachineError
from fleetssh.core.journal import Line
from fleetssh.core.sighting import Sighting
from fleetssh.core.visit import Visit
from fleetssh.hosts import Target
from fleetssh.inventory import Host
from fleetssh.wire.journal import Ask

JOURNALCTL = '''#!{python}
"""The journal is a file: a line "BOOT MICROSECONDS MESSAGE" an entry, their numbers the cursors."""
import pathlib, signal, sys, time
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
words = sys.argv[1:]
options = dict(word.split("=", 1) for word in words if "=" in word)
journal = pathlib.Path({path!r})
def entries():
    return [(n, *line.split(" ", 2)) for n, line in enumerate(journal.read_text().splitlines(), 1)]
def show(found):
    for n, boot, at, message in found:
        print("__CURSOR=%d\\n__REALTIME_TIMESTAMP=%s\\n_BOOT_ID=%s\\nMESSAGE=%s\\n" % (n, at, boot, message))
    sys.stdout.flush()
found = entries()
if options.get("_BOOT_ID"):
    found = [e for e in found if e[1] == options["_BOOT_ID"]]
if "--boot" in words or "--follow" in words:
    found = [e for e in found if e[1] == found[-1][1]]
if "--after-cursor" in options:
    found = [e for e in found if e[0] > int(options["--after-cursor"])]
if "--grep" in options and "--reverse" in words:
    # As systemd 252 does it: it counts what matches only when it reads backwards.
    found = [e for e in found if options["--grep"] in e[3]]
if "--lines" in options:
    found = found[max(0, len(found) - int(options["--lines"])):]
show(found[::-1] if "--reverse" in words else found)
last = max([e[0] for e in found] + [int(options.get("--after-cursor", 0))])
while "--follow" in words:
    time.sleep(0.01)
    new = [e for e in entries() if e[0] > last]
    show(new)
    last += len(new)
'''


class Machine:
    """A played machine: a journal, and a cable that can be broken."""

    def __init__(self, folder: Path, name: str) -> None:
        self.host = Host(name, name, 22, None, None, False, None, {}, (), "")
        self.journal = folder / name / "journal.txt"
        self.journal.parent.mkdir()
        self.journal.touch()
        self._folder = folder / name
        self._put("journalctl", JOURNALCTL.format(python=sys.executable, path=str(self.journal)))
        self.env = {**os.environ, "PATH": f"{folder / name}:/usr/bin:/bin"}
        self.away = threading.Event()
        self.break_after: Callable[[], int | None] = lambda: None
        self._power = threading.Lock()
        self._processes: list[subprocess.Popen[bytes]] = []
        self.reboot("b1")

    def write(self, at: int, message: str) -> None:
        with self.journal.open("a") as file:
            file.write(f"{self._boot} {at} {message}\n")

    def run(self, command: str) -> subprocess.Popen[bytes]:
        with self._power:
            if self.away.is_set():
                raise MachineError(f"{self.host.name}: no route")
            pipe = subprocess.PIPE
            process = subprocess.Popen(
                ["/bin/sh", "-c", command], env=self.env, stdin=pipe, stdout=pipe, stderr=pipe
            )
            self._processes.append(process)
            return process

    def reboot(self, boot: str) -> None:
        """Ends everything that runs there; what is written then is of another boot."""
        with self._power:
            for process in self._processes:
                assert process.stdin
                process.stdin.close()
                process.wait()
            self._boot = boot
            self._put("cat", f"#!/bin/sh\n[ $# = 0 ] && exec /bin/cat || echo {boot}\n")

    def _put(self, name: str, program: str) -> None:
        (self._folder / f"{name}.new").write_text(program)
        (self._folder / f"{name}.new").chmod(0o755)
        (self._folder / f"{name}.new").rename(self._folder / name)


Tell = Callable[[bytes], None]


def _output(process: subprocess.Popen[bytes], out: Tell, err: Tell) -> Iterator[tuple[Tell, bytes]]:
    """What a process says, piece by piece, and where it belongs; until it says no more."""
    with selectors.DefaultSelector() as selector:
        for stream, tell in ((process.stdout, out), (process.stderr, err)):
            assert stream is not None
            selector.register(stream, selectors.EVENT_READ, tell)
        while selector.get_map():
            for key, _ in selector.select():
                data = os.read(key.fd, 37)
                if data:
                    yield key.data, data
                else:
                    selector.unregister(key.fileobj)


class LocalCarrier:
    """Runs commands here, in a shell. A connection breaks off after as many bytes as its machine says."""

    def __init__(self, machines: dict[str, Machine]) -> None:
        self.machines = machines

    def fallen(self) -> frozenset[str]:
        return frozenset()

    def visit(self, target: Target, visit: Visit, deadline_seconds: float) -> Sighting:
        raise AssertionError("a journal needs no visit")

    def stream(
        self,
        target: Target,
        command: str,
        out: Tell,
        err: Tell,
        source: int | None = None,
        silence_seconds: float | None = None,
    ) -> int:
        machine = self.machines[target.name]
        rest = machine.break_after()
        process = machine.run(command)
        assert process.stdin
        try:
            for tell, data in _output(process, out, err):
                tell(data if tell is err or rest is None else data[:rest])
                if tell is out and rest is not None:
                    rest -= len(data)
                if machine.away.is_set() or (rest is not None and rest < 0):
                    raise MachineError(f"{target.name}: the connection broke off")
        finally:
            # As sshd does it when a connection is gone.
            process.stdin.close()
        return process.wait()

    def close(self) -> None:
        for machine in self.machines.values():
            machine.away.set()
            machine.reboot("")


@pytest.fixture
def machines(tmp_path: Path) -> dict[str, Machine]:
    return {name: Machine(tmp_path, name) for name in ("m1", "m2")}


@pytest.fixture
def carrier(machines: dict[str, Machine], monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalCarrier]:
    monkeypatch.setattr(following, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(following, "RETRY_MAX_SECONDS", 0.05)
    carrier = LocalCarrier(machines)
    yield carrier
    carrier.close()


def feeds(machines: dict[str, Machine], lines: int | None = None) -> list[Feed]:
    return [Feed(machine.host, Ask(("a.service",), lines)) for machine in machines.values()]


def message(line: Line) -> str:
    (value,) = line.entry.fields["MESSAGE"]
    assert isinstance(value, bytes)
    return value.decode()


def test_journals_are_read_at_once_and_merged(machines: dict[str, Machine], carrier: LocalCarrier) -> None:
    for at in range(1, 30):
        machines["m1" if at % 3 else "m2"].write(at, f"line {at}")
    reading = Reading(carrier, feeds(machines), 5)
    assert [message(line) for line in reading.lines()] == [f"line {at}" for at in range(1, 30)]
    assert [(f.code, f.why, f.complaint) for f in reading.findings] == [(0, "", b"")] * 2


def test_the_latest_that_match_are_found_however_long_ago_they_were(
    machines: dict[str, Machine], carrier: LocalCarrier
) -> None:
    for at in range(1, 60):
        machines["m1"].write(at, f"{'rare' if at in (3, 5, 7, 9) else 'usual'} {at}")
        machines["m2"].write(at, "rare 4" if at == 4 else "usual")
    asked = [Feed(m.host, Ask(("a.service",), 3, grep="rare")) for m in machines.values()]
    reading = Reading(carrier, asked, 5)
    assert [message(line) for line in reading.lines()] == ["rare 4", "rare 5", "rare 7", "rare 9"]
    assert [f.place.cursor for f in reading.findings if f.place] == ["9", "4"]


def test_a_machine_that_does_not_answer_is_a_finding(
    machines: dict[str, Machine], carrier: LocalCarrier
) -> None:
    machines["m1"].write(1, "here")
    machines["m2"].away.set()
    reading = Reading(carrier, feeds(machines), 5)
    assert [message(line) for line in reading.lines()] == ["here"]
    assert [(f.code, f.why) for f in reading.findings] == [(0, ""), (None, "m2: no route")]


class Reader:
    """Follows in a thread until it has heard what it waits for."""

    def __init__(self, carrier: LocalCarrier, started: list[Feed]) -> None:
        self.heard: list[tuple[str, str]] = []
        self.remarks: list[str] = []
        self._news = follow(carrier, started, 5, lambda: ())

    def listen(self, count: int) -> None:
        """Until that many lines were heard in all."""
        while len(self.heard) < count:
            self.hear()

    def listen_for(self, remark: str) -> None:
        """Until a remark that holds these words."""
        while not any(remark in said for said in self.remarks):
            self.hear()

    def hear(self) -> None:
        news = next(self._news)
        if isinstance(news, Remark):
            self.remarks.append(news.text)
        else:
            self.heard += [(line.host, message(line)) for line in news]

    def close(self) -> None:
        self._news.close()


def start(carrier: LocalCarrier, asked: list[Feed]) -> Reader:
    reading = Reading(carrier, asked, 5, start=True)
    lines = list(reading.lines())
    reader = Reader(carrier, [go_on(finding, 0.0) for finding in reading.findings])
    reader.heard += [(line.host, message(line)) for line in lines]
    return reader


@pytest.mark.timeout(60)
@pytest.mark.parametrize("seed", range(3))
def test_no_line_is_lost_or_repeated_wherever_connections_break(
    machines: dict[str, Machine], carrier: LocalCarrier, seed: int
) -> None:
    chance = random.Random(seed)
    for machine in machines.values():
        machine.write(1, "old")
    reader = start(carrier, feeds(machines, lines=0))
    for machine in machines.values():
        machine.break_after = lambda: chance.choice([0, 20, 130, 400, 900, 1500, None])

    def write() -> None:
        for number in range(40):
            for name, machine in machines.items():
                machine.write(10 + number, f"{name}-{number}")
                if number == 20:
                    machine.reboot("b2")
            threading.Event().wait(chance.random() / 50)
        for machine in machines.values():
            machine.break_after = lambda: None

    writer = threading.Thread(target=write)
    writer.start()
    try:
        reader.listen(80)
    finally:
        writer.join()
        reader.close()
    for name in machines:
        said = [text for host, text in reader.heard if host == name]
        assert said == [f"{name}-{number}" for number in range(40)], f"seed {seed}"


def test_a_machine_is_told_to_be_silent_once_and_to_be_back_once(
    machines: dict[str, Machine], carrier: LocalCarrier
) -> None:
    for machine in machines.values():
        machine.write(1, "old")
    reader = start(carrier, feeds(machines, lines=1))
    try:
        machines["m1"].write(2, "heard")
        reader.listen(3)
        machines["m1"].away.set()
        machines["m1"].write(3, "half heard")
        reader.listen_for("m1: the connection broke off; trying until it is back")
        machines["m1"].write(4, "while away")
        machines["m2"].write(5, "the other goes on")
        reader.listen(4)
        machines["m1"].away.clear()
        reader.listen(6)
    finally:
        reader.close()
    assert reader.heard[3:] == [("m2", "the other goes on"), ("m1", "half heard"), ("m1", "while away")]
    assert len(reader.remarks) == 2
    assert reader.remarks[1].startswith("m1: back after ")


def test_a_journal_that_forgot_is_gone_on_with_from_the_new_boot(
    machines: dict[str, Machine], carrier: LocalCarrier
) -> None:
    machine = machines["m1"]
    machine.write(5, "old boot")
    reader = start(carrier, feeds({"m1": machine}))
    try:
        machine.write(6, "heard")
        reader.listen(2)
        machine.away.set()
        machine.write(7, "lost words")
        reader.listen_for("trying until it is back")
        machine.reboot("b2")
        # The new boot's clock is behind, as that of a machine without a battery.
        machine.journal.write_text("")
        machine.write(1, "new boot")
        machine.away.clear()
        reader.listen(3)
        machine.write(2, "goes on")
        reader.listen(4)
    finally:
        reader.close()
    assert [text for _, text in reader.heard] == ["old boot", "heard", "new boot", "goes on"]
    assert any("its journal did not outlive that" in remark for remark in reader.remarks)


def test_lines_of_machines_come_in_time_order(machines: dict[str, Machine], carrier: LocalCarrier) -> None:
    reader = start(carrier, feeds(machines))
    try:
        # Both lie in the window, whichever machine is heard first.
        machines["m1"].write(20, "second")
        machines["m2"].write(10, "first")
        reader.listen(2)
    finally:
        reader.close()
    assert [text for _, text in reader.heard] == ["first", "second"]


def test_what_turns_up_elsewhere_is_followed_there_too(
    machines: dict[str, Machine], carrier: LocalCarrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "LOOK_SECONDS", 0.05)
    for name, machine in machines.items():
        machine.write(1, f"on {name}")
    both = feeds(machines)
    turned_up = iter([[], [both[1]]])
    news = follow(carrier, both[:1], 5, lambda: next(turned_up, []))
    heard: list[str] = []
    while len(heard) < 2:
        said = next(news)
        heard += [] if isinstance(said, Remark) else [message(line) for line in said]
    news.close()
    assert sorted(heard) == ["on m1", "on m2"]
