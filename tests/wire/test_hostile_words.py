"""Texts made to break out of their quotes: they reach the programs of a machine unchanged and run nothing."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleetssh.core.sighting import Failure
from fleetssh.wire.export import Place
from fleetssh.wire.journal import Ask, catch_up_command, follow_command, read_command
from fleetssh.wire.remote import journal_command, status_command
from tests.wire.machine import SHELLS, Machine
from tests.wire.visits import act, holding, install, want

LOGINS = {**SHELLS, "zsh": "/usr/bin/zsh", "fish": "/usr/bin/fish", "tcsh": "/usr/bin/tcsh"}
"""Shells that a machine's root may have; sshd hands them the command with ``-c``."""

BAIT = st.sampled_from(
    [
        *(
            "$(touch bait)",
            "`touch bait`",
            "; touch bait;",
            "\ntouch bait\n",
            "&& touch bait",
            "| touch bait",
        ),
        *(
            ">bait",
            "<(touch bait)",
            "${x:=bait}",
            "$IFS",
            "~",
            "*",
            "?",
            "[a]",
            "{a,b}",
            "!!",
            "!touch",
            "^a^b",
        ),
        *(
            "'",
            '"',
            "\\",
            "\\'",
            "''",
            "'\"'\"'",
            "'; touch bait; '",
            '"; touch bait; "',
            "\\\n",
            "#",
            "%",
            "=-",
        ),
        *(
            "--output=bait",
            "-x",
            "--",
            "-",
            "",
            " ",
            "\t",
            "\r",
            "\n",
            "\x01",
            "\x1b[2J",
            "\x7f",
            "é",
            "😀",
            "\x85",
        ),
    ]
)
ANYTHING = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6)
BYTES = st.binary(max_size=6).map(lambda data: os.fsdecode(data.replace(b"\0", b"")))
"""As Python hands over arguments that are not UTF-8 (PEP 383)."""

BOOT_ID = Path("/proc/sys/kernel/random/boot_id").read_text().strip()

TEXTS = st.lists(BAIT | ANYTHING | BYTES, max_size=8).map(
    lambda parts: os.fsdecode(os.fsencode("".join(parts)))
)
WORDS = TEXTS.filter(bool)


@dataclass(frozen=True)
class Wordy:
    """A folder to run commands in, with programs that write down the words that they were given."""

    shell: str
    programs: Path
    folder: Path

    def run(self, command: str) -> list[list[str]]:
        """The words of every call that a command made, as the login shell of a machine runs it."""
        told = self.programs / "told"
        told.unlink(missing_ok=True)
        with subprocess.Popen(
            ["sh" if "busybox" in self.shell else self.shell, "-c", command],
            executable=self.shell,
            cwd=self.folder,
            env={"PATH": f"{self.programs}:/usr/bin:/bin", "HOME": str(self.programs), "TOLD": str(told)},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        ) as process:
            # Standard input stays open: a followed journal would end with it.
            process.wait(30)
        assert not list(self.folder.iterdir()), command
        return list(_calls(told.read_bytes() if told.exists() else b""))


def _calls(told: bytes) -> Iterator[list[str]]:
    """Each call is its number of words, then the words, every one ended by a NUL, which no word can have."""
    words = iter(told.split(b"\0")[:-1])
    for count in words:
        yield [os.fsdecode(next(words)) for _ in range(int(count))]


TELL = '#!/bin/sh\nset -- "${0##*/}" "$@"; printf "%s\\0" "$#" "$@" >>"$TOLD"\n'


@pytest.fixture(params=sorted(LOGINS))
def wordy(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Wordy]:
    shell = LOGINS[request.param]
    if not Path(shell).exists():
        pytest.skip(f"{shell} is not installed")
    (tmp_path / "programs").mkdir()
    for name, text in {
        "systemctl": TELL,
        "journalctl": TELL,
        "sudo": '#!/bin/sh\nshift 2; exec "$@"\n',
    }.items():
        (tmp_path / "programs" / name).write_text(text)
        (tmp_path / "programs" / name).chmod(0o755)
    (tmp_path / "here").mkdir()
    yield Wordy(shell, tmp_path / "programs", tmp_path / "here")


some = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))


@some
@given(name=WORDS, sudo=st.booleans())
def test_a_status_is_asked_for_the_very_name(wordy: Wordy, name: str, sudo: bool) -> None:
    (call,) = wordy.run(status_command(name, sudo=sudo))
    assert call == ["systemctl", "--no-pager", "-l", "--", "status", name]


@some
@given(name=WORDS, output=WORDS, since=WORDS, until=WORDS, grep=WORDS, follow=st.booleans())
def test_a_journal_is_asked_with_the_very_words(
    wordy: Wordy, name: str, output: str, since: str, until: str, grep: str, follow: bool
) -> None:
    command = journal_command(
        name, lines=3, follow=follow, output=output, sudo=False, since=since, until=until, grep=grep
    )
    (call,) = wordy.run(command)
    expected = ["journalctl", "--unit", name, "--no-pager", "-n", "3", "--output", output]
    expected += [f"--since={since}", f"--until={until}", f"--grep={grep}"]
    assert call == expected + ["-f"] * follow


@some
@given(units=st.lists(WORDS, min_size=1, max_size=3), cursor=WORDS, boot=WORDS, grep=WORDS, data=st.data())
def test_journals_of_many_are_asked_with_the_very_words(
    wordy: Wordy, units: list[str], cursor: str, boot: str, grep: str, data: st.DataObject
) -> None:
    """Also with a cursor that a machine made up."""
    ask = Ask(tuple(units), lines=3, since="today", grep=grep)
    asking: list[Callable[[], str]] = [
        lambda: read_command(ask),
        lambda: read_command(ask, start=True),
        lambda: catch_up_command(ask, Place(cursor, boot)),
        lambda: follow_command(ask, Place(cursor, boot), BOOT_ID),
    ]
    calls = wordy.run(data.draw(st.sampled_from(asking))())
    assert [word for word in calls[-1] if word.startswith("--unit=")] == [f"--unit={unit}" for unit in units]
    assert f"--grep={grep}" in calls[-1]
    assert {call[0] for call in calls} == {"journalctl"}
    for call in calls:
        given = [word for word in call if word.startswith("--after-cursor=")]
        assert given in ([], [f"--after-cursor={cursor}"])


@some
@given(boot=WORDS)
def test_a_boot_that_a_machine_made_up_is_only_compared(wordy: Wordy, boot: str) -> None:
    assert wordy.run(follow_command(Ask(("a.service",)), None, boot)) == []


# ---------------------------------------------------------------- in a visit

NAMES = st.text("0123456789abcXYZ:-_.\\@", min_size=1, max_size=20).map(lambda stem: f"{stem}x.service")


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    cluster=TEXTS.filter(bool),
    texts=st.lists(TEXTS, min_size=1, max_size=5),
    names=st.sets(NAMES, min_size=5, max_size=5),
)
def test_a_visit_takes_texts_names_and_its_cluster_as_they_are(
    shell: str, cluster: str, texts: list[str], names: set[str]
) -> None:
    units = [
        want(name, text=text.encode("utf-8", "replace"))
        for name, text in zip(sorted(names), texts, strict=False)
    ]
    cluster = cluster.encode("utf-8", "replace").decode()
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(Path(folder) / "machine", shell)
        before = set(machine.root.rglob("*"))
        ran = machine.run(act(install(*units), cluster=cluster))
        assert ran.err == b""
        assert machine.files() == {wanted.unit.name: wanted.unit.text for wanted in units}
        assert sorted(machine.asked("start")) == sorted(wanted.unit.name for wanted in units)
        made = {path.name for path in set(machine.root.rglob("*")) - before}
        assert "bait" not in made
        assert not Path("bait").exists()


def test_a_machine_of_a_cluster_with_a_strange_name_is_still_its_own(machine: Machine) -> None:
    ours = act(install(want("a.service")), cluster="$(exit)*'")
    machine.reached(ours)
    theirs = act(install(want("b.service")), holding(want("a.service"), cluster="$(exit)*'"), cluster="*")
    seen = machine.reached(theirs)
    assert any(str(Failure.FOREIGN) in outcome.message for outcome in seen.outcomes)
    assert set(machine.files()) == {"a.service"}


def test_shlex_agrees_with_our_quoting_on_every_bait() -> None:
    """A second opinion on what one word is, by the standard library."""
    for text in ("$(touch bait)", "a'b", 'a"b', "a\nb", "~", "!x", ""):
        command = journal_command(text, lines=1, follow=False, output="cat", sudo=False)
        inner = shlex.split(command)[-1]
        if "printf %b" not in inner:
            assert shlex.split(inner)[2] == text
