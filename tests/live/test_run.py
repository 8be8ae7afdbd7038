"""The loop as it runs for months: it watches, it tells, and its own life changes nothing."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.live.conftest import Fleet, wait_for
from tests.live.outside import edit_inventory, main_pid, pinned, service, traces

OWN = ("FLEETSSH_LOST_AFTER_LOOKS", "FLEETSSH_LOST_AFTER_SECONDS", "FLEETSSH_CONNECT_TIMEOUT")
"""Settings of which the loop has defaults of its own."""

SESSION = "^sshd: root@notty"
"""The process of a login for commands."""


class Manager:
    """Hears what a service says of itself, as systemd does."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("")  # the kernel chooses a name in the abstract namespace
        name = self._socket.getsockname().decode().replace("\0", "@", 1)
        self.env = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "30000000"}
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while said := self._socket.recv(4096):
            self.heard += said.decode().split("\n")

    def count(self, word: str) -> int:
        """How often something was said that begins so."""
        return sum(line.startswith(word) for line in list(self.heard))

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()


class Watcher:
    """``fleetssh run`` in the background: what it has printed, and what systemd has heard of it."""

    def __init__(self, fleet: Fleet, *flags: str) -> None:
        self.manager = Manager()
        environ = {key: value for key, value in fleet.env.items() if key not in OWN}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fleetssh", "run", *flags],
            cwd=fleet.folder,
            env={**environ, **self.manager.env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def says(self, *words: str) -> bool:
        """Whether there is a line with all these words."""
        return self.says_since(0, *words)

    def says_since(self, start: int, *words: str) -> bool:
        """The same, of the lines after the first ``start``."""
        return any(all(word in line for word in words) for line in self.lines[start:])

    def wait_to_say(self, *words: str) -> None:
        """Until there is a line with all these words."""
        wait_for(lambda: self.says(*words), 30, f"{words}")

    def wait_for_passes(self, count: int) -> None:
        """Until so many more are over."""
        before = self.manager.count("STATUS=")
        wait_for(lambda: self.manager.count("STATUS=") >= before + count, 30, "passes")

    def end(self, number: int = signal.SIGTERM) -> int:
        """Tells it to end; its exit code."""
        self.process.send_signal(number)
        code = self.process.wait(30)
        self._reader.join()
        assert not self.says("Traceback"), self.lines
        return code

    def close(self) -> None:
        """Leaves nothing behind, also after a test that failed."""
        self.process.kill()
        self.process.wait()
        self._reader.join()
        self.manager.close()


@contextmanager
def watching(fleet: Fleet, *flags: str) -> Iterator[Watcher]:
    """A loop whose first pass is over."""
    with closing(Watcher(fleet, *flags)) as watcher:
        wait_for(lambda: watcher.manager.count("READY=1") == 1, 30, "its first pass")
        try:
            yield watcher
        finally:
            print("\n".join(watcher.lines))  # noqa: T201 - pytest shows it of a test that failed


def sessions(fleet: Fleet) -> dict[str, list[str]]:
    """The logins that are open on each machine, as processes."""
    found = {m.name: fleet.lab.run_inside(m.name, ["pgrep", "-f", SESSION]) for m in fleet.lab.machines()}
    return {name: done.stdout.split() for name, done in found.items()}


def running_elsewhere(fleet: Fleet, unit: str, machine: str) -> list[str]:
    """The machines but for one on which a unit is active."""
    rest = {name: host for name, host in fleet.witnesses().items() if name != machine}
    return [name for name, host in rest.items() if host.service(unit).is_running]


@pytest.fixture
def web(fleet: Fleet) -> Fleet:
    """web.service, which only m1 can run."""
    fleet.unit("web.service", pinned("m1"))
    fleet.run("start", "web")
    return fleet


def test_it_moves_the_units_of_a_dead_machine_and_tells_each_thing_once(fleet: Fleet) -> None:
    fleet.unit("web.service", service())
    fleet.run("start", "web")
    (home,) = fleet.running_on("web.service")
    with watching(fleet) as watcher:
        fleet.lab.kill(home)
        watcher.wait_to_say("move web.service")
        wait_for(lambda: running_elsewhere(fleet, "web.service", home), what="web elsewhere")
        watcher.wait_to_say(home, "lost, its units move")
        watcher.wait_for_passes(2)
        fleet.lab.boot(home)
        watcher.wait_to_say(f"{home}: answers again")
        assert watcher.end() == 0
    told = [line for line in watcher.lines if "its units move" in line and "timed out" in line]
    assert len(told) == 1
    assert home not in fleet.running_on("web.service")


def test_a_quiet_cluster_is_only_looked_at_over_logins_that_stay(web: Fleet) -> None:
    before = traces(web)
    with watching(web, "--interval", "0.3") as watcher:
        logins = sessions(web)
        watcher.wait_for_passes(5)
        assert watcher.manager.count("WATCHDOG=1") >= 5
        assert sessions(web) == logins
        assert all(logins.values())
        assert traces(web) == before
        assert watcher.end() == 0
    assert [line.split(" ", 1)[1].split(" ")[0] for line in watcher.lines] == ["watching", "not"]
    assert web.run("events", "--since", "1h", "--kind", "pass", "--no-legend").out.count("\n") <= 1


def test_told_to_end_it_ends_in_order_and_touches_nothing(web: Fleet) -> None:
    """F-028."""
    before = traces(web)
    for number in (signal.SIGTERM, signal.SIGINT):
        with watching(web) as watcher:
            assert watcher.end(number) == 0
            assert watcher.says("every unit stays as it is")
            assert watcher.manager.count("STOPPING=1") == 1
    assert traces(web) == before


def test_told_twice_it_ends_at_once(web: Fleet) -> None:
    """A pass that hangs on a frozen machine is not waited for, and can be gone on with."""
    with watching(web) as watcher:
        pid = main_pid(web.witness("m1"), "web.service")
        web.lab.freeze("m1")
        passes = watcher.manager.count("STATUS=")
        watcher.process.send_signal(signal.SIGTERM)
        # Its first end waits for the pass: a second one must come when the first was understood.
        wait_for(lambda: has_given_back(watcher.process.pid, signal.SIGTERM), what="the first to arrive")
        assert watcher.end() in (0, -signal.SIGTERM)
        assert watcher.manager.count("STATUS=") <= passes + 1
        web.lab.thaw("m1")
    web.run("reconcile")
    assert main_pid(web.witness("m1"), "web.service") == pid


def has_given_back(pid: int, number: int) -> bool:
    """Whether a process has let the system decide again what a signal does; or has ended."""
    path = Path("/proc", str(pid), "status")
    fields = dict(line.split(":\t") for line in path.read_text().splitlines() if ":\t" in line)
    return fields["State"].startswith("Z") or not int(fields["SigCgt"], 16) >> (number - 1) & 1


def test_it_goes_on_through_an_outage_of_its_state_and_can_be_ended_in_it(web: Fleet) -> None:
    """F-029."""
    path, away = web.folder / "state.db", web.folder / "away.db"
    with watching(web) as watcher:
        pid = main_pid(web.witness("m1"), "web.service")
        path.rename(away)
        watcher.wait_to_say("no pass: ", f"{path} was moved away")
        away.rename(path)
        watcher.wait_to_say("passes go on")
        path.rename(away)
        count = len(watcher.lines)
        wait_for(lambda: watcher.says_since(count, "no pass: "), what="a word about it")
        assert watcher.end() == 0
        assert not path.exists()
        away.rename(path)
    assert main_pid(web.witness("m1"), "web.service") == pid
    assert web.run("reconcile").out == ""


def test_a_state_file_that_was_replaced_is_the_one_that_counts(web: Fleet) -> None:
    path, copy = web.folder / "state.db", web.folder / "copy.db"
    web.run("state", "backup", str(copy))
    with watching(web) as watcher:
        copy.rename(path)
        watcher.wait_to_say("passes go on")
        watcher.wait_for_passes(1)
        assert not watcher.says("held by another controller")
        web.run("stop", "web")
        assert watcher.end() == 0
    assert web.running_on("web.service") == []


def test_told_to_it_reads_the_inventory_again_and_loses_nothing(web: Fleet) -> None:
    """F-027, beside a file that changes by itself."""
    edit_inventory(web, lambda *_: None)
    path = Path(web.env["FLEETSSH_INVENTORY"])
    good = path.read_text()
    with watching(web) as watcher:
        pid, logins = main_pid(web.witness("m1"), "web.service"), sessions(web)
        watcher.process.send_signal(signal.SIGHUP)
        watcher.wait_to_say("read again", "3 machines")
        wait_for(lambda: watcher.manager.count("READY=1") == 2, what="the end of the reload")
        assert watcher.manager.count("RELOADING=1") == 1
        path.write_text(good + "oops: [")
        watcher.wait_to_say("stays in force", f"{path}:", "not valid YAML")
        path.write_text(good)
        edit_inventory(web, lambda _, hosts: hosts.pop("m3"))
        watcher.wait_to_say("m3 is gone")
        watcher.wait_for_passes(1)
        assert main_pid(web.witness("m1"), "web.service") == pid
        now = sessions(web)
        assert (now["m1"], now["m2"]) == (logins["m1"], logins["m2"])
        assert watcher.end() == 0


def test_commands_get_their_turn_beside_it_and_it_beside_them(web: Fleet) -> None:
    web.unit("more@.service", service())
    with watching(web, "--interval", "0.1") as watcher:
        for number in (1, 2, 3):
            web.run("start", f"more@{number}")
        watcher.wait_for_passes(2)
        for number in (1, 2, 3):
            web.run("destroy", f"more@{number}")
        watcher.wait_for_passes(2)
        assert not watcher.says("no pass")
        assert watcher.end() == 0
