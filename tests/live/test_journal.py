"""Journals of many units and machines, read and followed through every break; the witness is journalctl."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.conftest import Fleet, wait_for

LINE = re.compile(r"\w{3} \d\d (?P<time>[\d:.]+) (?P<host>\S+) sh\[\d+\]: (?P<what>\S+)-(?P<number>\d+)$")
CUT_SESSIONS = "systemctl restart ssh; pkill -KILL -f 'sshd: [^/]*@notty'"


def counter(what: str, pause: float = 0.1, fleet: str = "") -> str:
    """A unit that prints WHAT-1, WHAT-2, ... and begins anew when it is started anew."""
    loop = f"i=0; while :; do i=$((i+1)); echo {what}-$i; sleep {pause}; done"
    return f'[Service]\nExecStart=/bin/sh -c "{loop}"\n[X-Fleet]\n{fleet}\n'


def start_three(fleet: Fleet, name: str) -> None:
    """NAME@1 on m1, NAME@2 on m2, NAME@3 on m3."""
    for number in "123":
        fleet.unit(f"{name}@{number}.service", counter(f"{name}%i", fleet=f"MachineMetadata=name=m{number}"))
    fleet.run("start", *(f"{name}@{number}" for number in "123"))


def lines(text: str) -> list[re.Match[str]]:
    """The counters' lines; systemd's own are left out."""
    return [found for found in map(LINE.match, text.splitlines()) if found]


def numbers(text: str, what: str) -> list[int]:
    """What one counter said, in the order of the text."""
    return [int(found["number"]) for found in lines(text) if found["what"] == what]


class Follower:
    """fleetssh journal -f, writing into files."""

    def __init__(self, fleet: Fleet, *words: str) -> None:
        self._paths = [fleet.folder / "followed.out", fleet.folder / "followed.err"]
        with self._paths[0].open("w") as out, self._paths[1].open("w") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "fleetssh", "journal", "-f", *words],
                cwd=fleet.folder, env=fleet.env, stdout=out, stderr=err,
            )  # fmt: skip

    @property
    def out(self) -> str:
        return self._paths[0].read_text()

    @property
    def err(self) -> str:
        return self._paths[1].read_text()

    def hears(self, what: str, host: str, more: int = 5) -> None:
        """Waits until some more lines of a counter have come from a host."""
        before = self._count(what, host)
        wait_for(lambda: self._count(what, host) >= before + more, what=f"{what} of {host}\n{self.err}")

    def _count(self, what: str, host: str) -> int:
        return sum(found["what"] == what and found["host"] == host for found in lines(self.out))

    def tells(self, words: str) -> None:
        """Waits for words on standard error."""
        wait_for(lambda: words in self.err, what=f"{words!r}\n{self.err}")

    def interrupt(self) -> int:
        """Ctrl-C; the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(10)


@pytest.fixture
def followers(fleet: Fleet) -> Iterator[list[Follower]]:
    started: list[Follower] = []
    yield started
    for follower in started:
        follower.process.kill()
        follower.process.wait()


def assert_nothing_runs(fleet: Fleet) -> None:
    """No journalctl and no shell of ours on any machine."""
    for name in fleet.machine_ids():
        wait_for(lambda name=name: not _readers(fleet, name), 5, f"the journal's readers on {name} to end")


def _readers(fleet: Fleet, machine: str) -> list[str]:
    running = fleet.lab.run_inside(machine, ["ps", "-eo", "args"]).stdout.splitlines()
    return [line for line in running if "journal" in line and "systemd-journald" not in line]


# ---------------------------------------------------------------- read


def test_journals_of_three_machines_are_one_sequence(fleet: Fleet) -> None:
    start_three(fleet, "seq")
    for name, host in fleet.witnesses().items():
        talked = f"journalctl -u seq@{name[1]} -g ^seq.-20$ -o cat"
        wait_for(lambda host=host, talked=talked: host.run(talked).stdout, what=f"20 lines of {name}")
    fleet.run("stop", "seq@*")
    words = ["-g", "^seq.-", "-o", "short-precise"]
    said = []
    for name, host in fleet.witnesses().items():
        said += host.check_output(f"journalctl -u seq@{name[1]} -g ^seq.- -o short-precise").splitlines()
    expected = sorted(said)

    assert fleet.run("journal", "seq@*", "-n", "30", *words).out.splitlines() == expected[-30:]
    assert fleet.run("journal", "seq@1", "seq@2", "seq@3", "-n", "9999", *words).out.splitlines() == expected
    assert len(fleet.run("journal", "seq@*").out.splitlines()) == 10
    two = fleet.run("journal", "seq@*", "--machine", "m1", "--machine", fleet.machine_ids()["m3"][:8], *words)
    assert {found["host"] for found in lines(two.out)} == {"m1", "m3"}
    # journalctl's own words for when.
    middle = LINE.match(expected[len(expected) // 2])
    assert middle is not None
    later = fleet.run("journal", "seq@*", "--since", middle["time"], *words).out.splitlines()
    assert later == expected[len(expected) // 2 :]
    earlier = fleet.run("journal", "seq@*", "--until", middle["time"], *words).out.splitlines()
    assert earlier == expected[: len(expected) // 2 + 1]
    assert fleet.run("journal", "seq@*", "-g", "^seq2-7$", "-o", "cat").out == "seq2-7\n"

    # A list with one bad name shows nothing.
    bad = fleet.run("journal", "seq@*", "nosuch", "neither*", code=1)
    assert bad.out == ""
    assert bad.err == "Unit nosuch.service does not exist.\nNo unit matches neither*.service.\n"
    wrong = fleet.run("journal", "seq@*", "--since", "bogus", code=1)
    assert (wrong.out, wrong.err) == ("", "m1, m2, m3: Failed to parse timestamp: bogus\n")


def test_a_global_unit_is_shown_from_every_machine_that_answers(fleet: Fleet) -> None:
    fleet.unit("everywhere.service", counter("everywhere", fleet="Global=true"))
    fleet.run("start", "everywhere")
    shown = fleet.run("journal", "everywhere", "-n", "60")
    assert {found["host"] for found in lines(shown.out)} == {"m1", "m2", "m3"}
    fleet.lab.cut("m2")
    some = fleet.run("journal", "everywhere", "-n", "60", code=4)
    assert {found["host"] for found in lines(some.out)} == {"m1", "m3"}
    assert re.fullmatch(r"m2: (timed out|no route).*\n", some.err)
    fleet.lab.heal("m2")


def test_what_a_machine_says_steers_no_terminal(fleet: Fleet) -> None:
    nasty = "printf 'a\\033[31mb\\007\\n\\377\\233x\\n'"
    service = f'Type=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c "{nasty}"'
    fleet.unit("nasty.service", f"[Service]\n{service}\n[X-Fleet]\nGlobal=true\n")
    fleet.run("start", "nasty")
    for mode in ("short", "cat", "json"):
        shown = fleet.run("journal", "nasty", "-o", mode, "-n", "50").out
        assert "b" in shown
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", shown), (mode, shown)
    usage = fleet.run("journal", "nasty", "-o", "verbose", code=2)
    assert "merged as short, short-iso, short-precise, cat, json" in usage.err


# ---------------------------------------------------------------- followed


def test_following_many_loses_and_repeats_nothing_through_every_break(
    fleet: Fleet, followers: list[Follower]
) -> None:
    start_three(fleet, "many")
    follower = Follower(fleet, "many@*", "-n", "1")
    followers.append(follower)
    for number in "123":
        follower.hears(f"many{number}", f"m{number}", 1)

    fleet.lab.cut("m2")
    fleet.lab.run_inside("m1", ["/bin/sh", "-c", CUT_SESSIONS])
    follower.tells("m1: the connection broke off; trying until it is back")
    follower.tells("m1: back after")
    follower.hears("many1", "m1")
    fleet.lab.reboot("m3")
    fleet.run("reconcile", code=None)
    follower.tells("m3: back after")
    # A cut cable says nothing: that is noticed by the beat that does not come.
    follower.tells("m2: timed out: it said nothing for 6 s; trying until it is back")
    fleet.lab.heal("m2")
    follower.tells("m2: back after")
    for number in "123":
        follower.hears(f"many{number}", f"m{number}")
    assert follower.interrupt() == 130
    assert_nothing_runs(fleet)

    for number in "12":
        said = numbers(follower.out, f"many{number}")
        assert said == list(range(said[0], said[-1] + 1))
    said = numbers(follower.out, "many3")
    anew = said.index(1)
    assert said[anew:] == list(range(1, said[-1] + 1))
    # The last words before the reboot were heard after it.
    assert said[:anew] == list(range(said[0], said[anew - 1] + 1))
    last = fleet.witness("m3").check_output("journalctl -b -1 -u many@3 -g ^many3- -n 1 -o cat")
    assert last == f"many3-{said[anew - 1]}"


def test_one_unit_is_followed_just_as_its_machine_prints_it(fleet: Fleet, followers: list[Follower]) -> None:
    host = fleet.witness("m1")
    zone = host.check_output("readlink -f /etc/localtime")
    host.check_output("ln -sf /usr/share/zoneinfo/America/St_Johns /etc/localtime")
    try:
        nasty = "printf 'a\\tb \\033[31mred\\033[0m\\n\\377\\n'; sleep"
        text = counter("one", fleet="MachineMetadata=name=m1")
        fleet.unit("one.service", text.replace("sleep", nasty))
        fleet.run("start", "one")
        follower = Follower(fleet, "one", "-n", "3")
        followers.append(follower)
        follower.hears("one", "m1", 1)
        fleet.lab.run_inside("m1", ["/bin/sh", "-c", CUT_SESSIONS])
        follower.tells("m1: back after")
        follower.hears("one", "m1")
        assert follower.interrupt() == 130
        there = fleet.witness("m1").run("journalctl -u one --no-pager").stdout
    finally:
        fleet.witness("m1").check_output(f"ln -sf {zone} /etc/localtime")
    assert len(follower.out.splitlines()) > 10
    assert follower.out in there
    assert "[1B blob data]" in follower.out
    assert_nothing_runs(fleet)


def test_a_journal_in_memory_is_gone_on_with_after_a_reboot(fleet: Fleet, followers: list[Follower]) -> None:
    conf = Path("/etc/systemd/journald.conf.d/volatile.conf")
    forget = f"printf '[Journal]\\nStorage=volatile\\n' >{conf} && systemctl restart systemd-journald"
    fleet.witness("m3").check_output(f"{forget} && rm -r /var/log/journal")
    try:
        fleet.unit("brief.service", counter("brief", fleet="MachineMetadata=name=m3"))
        fleet.run("start", "brief")
        follower = Follower(fleet, "brief")
        followers.append(follower)
        follower.hears("brief", "m3", 1)
        fleet.lab.reboot("m3")
        fleet.run("reconcile", code=None)
        follower.tells("m3: it was rebooted and its journal did not outlive that; going on with the new boot")
        follower.hears("brief", "m3")
        follower.interrupt()
    finally:
        fleet.witness("m3").check_output(
            f"rm {conf}; mkdir /var/log/journal; systemctl restart systemd-journald"
        )
    said = numbers(follower.out, "brief")
    anew = said.index(1, 1)
    assert said[:anew] == list(range(said[0], said[anew - 1] + 1))
    assert said[anew:] == list(range(1, said[-1] + 1))


def test_a_unit_that_moves_is_followed_to_its_new_machine(fleet: Fleet, followers: list[Follower]) -> None:
    fleet.unit("mover.service", counter("mover", fleet="MachineMetadata=name=m1"))
    fleet.run("start", "mover")
    follower = Follower(fleet, "mover")
    followers.append(follower)
    follower.hears("mover", "m1", 1)
    fleet.unit("mover.service", counter("mover", fleet="MachineMetadata=name=m2"))
    fleet.run("start", "--replace", "mover")
    follower.tells("m2: mover.service came there and is followed there too")
    follower.hears("mover", "m2")
    follower.interrupt()
    said = [found for found in lines(follower.out) if found["host"] == "m2"]
    assert [int(found["number"]) for found in said] == list(range(1, len(said) + 1))
    assert "Stopped mover.service" in follower.out
