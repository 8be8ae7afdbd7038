"""The plain commands of a person, run by real shells with programs that write their arguments down."""

from __future__ import annotations

import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from fleetssh.wire.remote import journal_command, plain_command, status_command

NAME = "it's $(false) a\\x2db.service"


@pytest.fixture
def programs(tmp_path: Path) -> dict[str, str]:
    """A PATH whose systemctl, journalctl and sudo write down what they were given."""
    tell = '#!/bin/sh\nfor word; do printf "%s\\n" "$word"; done\n'
    for name in ("systemctl", "journalctl"):
        (tmp_path / name).write_text(tell)
    (tmp_path / "sudo").write_text('#!/bin/sh\necho "sudo $1 $2"; shift 2; exec "$@"\n')
    for path in tmp_path.iterdir():
        path.chmod(0o755)
    return {"PATH": f"{tmp_path}:/usr/bin:/bin"}


def run(command: str, env: dict[str, str]) -> list[str]:
    done = subprocess.run(command, shell=True, env=env, capture_output=True, text=True, timeout=10)
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_status_names_the_unit_whatever_it_is_called(programs: dict[str, str]) -> None:
    assert run(status_command(NAME, sudo=False), programs) == ["--no-pager", "-l", "--", "status", NAME]
    assert run(status_command(NAME, sudo=True), programs)[0] == "sudo -n --"


def test_the_journal_is_asked_as_fleet_did(programs: dict[str, str]) -> None:
    command = journal_command(NAME, lines=7, follow=False, output="cat", sudo=False, since="1 hour ago")
    assert run(command, programs) == [
        "--unit", NAME, "--no-pager", "-n", "7", "--output", "cat", "--since=1 hour ago",
    ]  # fmt: skip


def test_a_followed_journal_ends_with_our_end_of_standard_input(
    programs: dict[str, str], tmp_path: Path
) -> None:
    mark = tmp_path / "ended"
    (tmp_path / "journalctl").write_text(
        f"#!/bin/sh\ntrap 'echo ended >{shlex.quote(str(mark))}; exit' TERM\n"
        "echo following\nwhile :; do sleep 0.05; done\n"
    )
    command = journal_command("a.service", lines=1, follow=True, output="cat", sudo=False)
    with subprocess.Popen(
        command, shell=True, env=programs, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        assert reader.stdout.readline() == "following\n"
        assert reader.poll() is None
        reader.stdin.close()
        # The pipe closes only when the follower has gone too: nothing is left running.
        assert reader.stdout.read() == ""
        assert reader.wait(10) in (0, -signal.SIGTERM)
    assert mark.read_text() == "ended\n"


def test_a_followed_journal_ends_when_journalctl_does(programs: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "journalctl").write_text("#!/bin/sh\necho 'no such mode' >&2; exit 3\n")
    command = journal_command("a.service", lines=1, follow=True, output="bogus", sudo=False)
    with subprocess.Popen(
        command, shell=True, env=programs, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stderr is not None
        # Standard input stays open, as it does while a person waits.
        assert reader.stderr.read() == "no such mode\n"
        assert reader.wait(10) == 3


def test_words_are_handed_over_as_openssh_does() -> None:
    assert plain_command(["echo", "a  b", "$HOME"]) == "echo a  b $HOME"
