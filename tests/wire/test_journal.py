"""The export format as it was recorded from a real journalctl (systemd 252), and how it is asked for."""

from __future__ import annotations

import itertools
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetssh.core.errors import CommandError, WireError
from fleetssh.core.journal import Entry, Large
from fleetssh.wire.export import BEGIN, MAX_VALUE_BYTES, EntryReader, Place
from fleetssh.wire.journal import (
    MONTHS,
    Ask,
    catch_up_command,
    customs_command,
    follow_command,
    read_command,
    read_customs,
)
from fleetssh.wire.remote import BEAT

JOURNAL = Path(__file__).parent / "journal"
RECORDED = (JOURNAL / "export").read_bytes()
PRESENT = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
NAME = "it's $(false) a\\x2db.service"


def read(data: bytes) -> list[Entry]:
    return EntryReader().feed(data)


def text(number: int, message: bytes = b"MESSAGE=x\n") -> bytes:
    return b"__CURSOR=c%d\n__REALTIME_TIMESTAMP=%d\n_BOOT_ID=b\n" % (number, number) + message + b"\n"


# ---------------------------------------------------------------- hearing


def test_a_recorded_journal_is_read_as_the_machine_meant_it() -> None:
    reader = EntryReader()
    entries = reader.feed(RECORDED)
    assert len(entries) == 40
    assert reader.end is not None
    # The end is of before anything was read, and of the whole journal: later entries are other units'.
    assert reader.end.cursor == RECORDED.split(b"\n")[0].removeprefix(b"__CURSOR=").decode()
    assert not reader.forgot
    first = entries[0]
    assert first.cursor.startswith("s=d7070f91709344aa8754a604d295ed41;i=68a22;")
    assert (first.boot, first.at) == ("7032ce0ca25241158dc34b4b514edbe9", 1795245121885965)
    messages = [entry.fields.get("MESSAGE") for entry in entries]
    assert (b"first\nsecond\n\n  fourth",) in messages
    assert (b"latin \xe9",) in messages
    assert (b"nul \0 inside",) in messages
    assert (b"one of two", b"two of two") in messages
    assert (b"",) in messages
    assert None in messages


@given(st.lists(st.integers(0, len(RECORDED)), max_size=12))
def test_it_does_not_matter_how_the_stream_is_cut_into_pieces(cuts: list[int]) -> None:
    reader = EntryReader()
    places = [0, *sorted(cuts), len(RECORDED)]
    entries = [e for a, b in itertools.pairwise(places) for e in reader.feed(RECORDED[a:b])]
    assert entries == read(RECORDED)


@given(st.integers(0, len(RECORDED)))
def test_a_stream_that_breaks_off_gives_only_whole_entries(end: int) -> None:
    entries = read(RECORDED[:end])
    assert entries == read(RECORDED)[: len(entries)]


def test_what_a_login_shell_says_first_is_no_journal() -> None:
    head = b"Welcome!\n__CURSOR=no\nMESSAGE\nLast login: \xff\0\n"
    assert read(head + BEGIN + text(1)) == read(BEGIN + text(1))
    with pytest.raises(WireError, match="says too much"):
        read(b"z" * 100_000)


def test_a_value_too_large_is_told_by_its_size_and_never_held() -> None:
    size = 3 * MAX_VALUE_BYTES
    binary = b"MESSAGE\n" + size.to_bytes(8, "little") + b"\xff" * size + b"\n"
    line = b"MESSAGE=" + b"y" * size + b"\n"
    for message in (binary, line):
        stream = BEGIN + text(1, message) + text(2)
        reader, entries, held = EntryReader(), [], 0
        for start in range(0, len(stream), 64 * 1024):
            entries += reader.feed(stream[start : start + 64 * 1024])
            held = max(held, len(reader._rest))
        assert [e.fields["MESSAGE"] for e in entries] == [(Large(size),), (b"x",)]
        assert held <= MAX_VALUE_BYTES + 128 * 1024


@pytest.mark.parametrize(
    "junk",
    [
        b"MESSAGE=x\n\n",
        b"__CURSOR=c\nMESSAGE=x\n\n",
        b"__CURSOR=c\n__REALTIME_TIMESTAMP=soon\n\n",
        b"y" * (MAX_VALUE_BYTES + 1),
    ],
)
def test_what_is_no_export_stream_is_told(junk: bytes) -> None:
    with pytest.raises(WireError):
        read(BEGIN + junk)


@given(st.binary(max_size=400))
def test_whatever_comes_is_entries_or_a_wire_error(junk: bytes) -> None:
    reader = EntryReader()
    try:
        reader.feed(BEGIN + junk)
        reader.feed(text(1))
    except WireError:
        pass


# ---------------------------------------------------------------- asking

JOURNALCTL = r"""#!/bin/sh
case "$*" in
  *"--lines=1 --output=export"*_BOOT_ID=known*) echo "__CURSOR=k"; echo ;;
  *"--lines=1 --output=export --output-fields=_BOOT_ID") printf '__CURSOR=here\n_BOOT_ID=b0\n\n' ;;
  *"--lines=1 --output=export"*) ;;
  *) for word; do printf '__CURSOR=c\n__REALTIME_TIMESTAMP=1\nMESSAGE=%s\n\n' "$word"; done ;;
esac
"""


@pytest.fixture
def journalctl(tmp_path: Path) -> dict[str, str]:
    """A PATH whose journalctl writes an entry for each of its arguments."""
    (tmp_path / "journalctl").write_text(JOURNALCTL)
    (tmp_path / "sudo").write_text('#!/bin/sh\n[ "$1 $2" = "-n --" ] && shift 2 && exec "$@"\n')
    for path in tmp_path.iterdir():
        path.chmod(0o755)
    return {"PATH": f"{tmp_path}:/usr/bin:/bin"}


def run(command: str, env: dict[str, str]) -> tuple[EntryReader, list[str], bytes]:
    with subprocess.Popen(
        command,
        shell=True,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as ran:
        assert ran.stdout is not None
        assert ran.stderr is not None
        reader = EntryReader()
        entries = reader.feed(ran.stdout.read())
        error = ran.stderr.read()
    return reader, [_message(entry) for entry in entries], error


def _message(entry: Entry) -> str:
    (value,) = entry.fields["MESSAGE"]
    assert isinstance(value, bytes)
    return value.decode()


FIELDS = (
    "--output-fields=MESSAGE,SYSLOG_IDENTIFIER,_COMM,_PID,SYSLOG_PID,_SOURCE_REALTIME_TIMESTAMP,_HOSTNAME"
)


@pytest.mark.parametrize("sudo", [False, True])
def test_all_units_of_a_machine_are_asked_for_at_once(journalctl: dict[str, str], sudo: bool) -> None:
    ask = Ask((NAME, "b.service"), 7, "1 hour ago", "now", "a'b|$(x)", sudo=sudo)
    reader, words, error = run(read_command(ask), journalctl)
    assert words == [
        "--no-pager", "--output=export", FIELDS, f"--unit={NAME}", "--unit=b.service",
        "--lines=7", "--reverse", "--since=1 hour ago", "--until=now", "--grep=a'b|$(x)",
    ]  # fmt: skip
    assert reader.end is None
    assert error.strip(BEAT) == b""


def test_a_reading_that_is_followed_is_of_this_boot_and_tells_where_the_journal_ends(
    journalctl: dict[str, str],
) -> None:
    reader, words, _ = run(read_command(Ask(("a.service",), 0), start=True), journalctl)
    assert words[-2:] == ["--lines=0", "--boot"]
    assert reader.end == Place("here", "b0")


def test_what_was_missed_is_all_after_the_place(journalctl: dict[str, str]) -> None:
    ask = Ask(("a.service",), 10, "yesterday", grep="x", whole=True)
    place = Place("s=1;i=2", "known")
    reader, words, _ = run(catch_up_command(ask, place), journalctl)
    assert words == [
        "--after-cursor=s=1;i=2", "--no-pager", "--output=export", "--unit=a.service", "--grep=x"
    ]  # fmt: skip
    assert (reader.boot, reader.forgot) == (PRESENT, False)
    _, words, _ = run(follow_command(ask, place, reader.boot), journalctl)
    assert words == [
        "--follow", "--no-tail", "--no-pager", "--output=export", "--unit=a.service",
        "--after-cursor=s=1;i=2", "--grep=x",
    ]  # fmt: skip


def test_a_journal_that_forgot_the_boot_is_read_from_the_new_one_on(journalctl: dict[str, str]) -> None:
    reader, words, _ = run(catch_up_command(Ask(("a.service",)), Place("s=1;i=2", "gone")), journalctl)
    assert reader.forgot
    assert words[0] == "--boot"
    assert not any("cursor" in word for word in words)


def test_a_machine_that_was_rebooted_meanwhile_is_not_followed(journalctl: dict[str, str]) -> None:
    command = follow_command(Ask(("a.service",)), Place("s=1;i=2", "b0"), "another-boot")
    _, words, error = run(command, journalctl)
    assert (words, error) == ([], b"")


def test_without_a_place_or_a_time_it_is_this_boot(journalctl: dict[str, str]) -> None:
    _, words, _ = run(catch_up_command(Ask(("a.service",), 10), None), journalctl)
    assert words[-1] == "--boot"


def test_without_a_place_it_is_what_was_written_since(journalctl: dict[str, str]) -> None:
    ask = Ask(("a.service",), 10, since="@17")
    for command in (catch_up_command(ask, None), follow_command(ask, None, PRESENT)):
        _, words, _ = run(command, journalctl)
        assert words[-1] == "--since=@17"
        assert not any(word.startswith("--lines") for word in words)


def test_a_quiet_journal_beats_and_ends_with_our_end_of_standard_input(tmp_path: Path) -> None:
    (tmp_path / "journalctl").write_text("#!/bin/sh\nexec sleep 1000\n")
    (tmp_path / "journalctl").chmod(0o755)
    command = follow_command(Ask(("a.service",)), None, PRESENT)
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    with subprocess.Popen(
        command,
        shell=True,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as ran:
        assert ran.stdin is not None
        assert ran.stdout is not None
        assert ran.stderr is not None
        assert ran.stderr.read(2) == BEAT * 2
        ran.stdin.close()
        # Both pipes close only when nothing holds them any more.
        assert ran.stdout.read() == BEGIN
        assert ran.stderr.read().strip(BEAT) in (b"", b"Terminated\n")


def test_more_units_than_a_command_can_name_are_refused() -> None:
    units = tuple(f"a-unit-with-a-long-name-{number:060d}.service" for number in range(2000))
    with pytest.raises(CommandError, match="2000 units on one machine are too many"):
        read_command(Ask(units))


# ---------------------------------------------------------------- customs


def test_how_a_machine_writes_time_is_read() -> None:
    customs = read_customs((JOURNAL / "customs").read_bytes())
    assert customs.zone.startswith(b"TZif")
    assert (customs.months, customs.colon) == (MONTHS, False)
    german = "Jan;Feb;Mär;Apr;Mai;Jun;Jul;Aug;Sep;Okt;Nov;Dez"
    customs = read_customs(
        b"hello\n" + BEGIN + f"\n{german}\n2026-11-21T06:44:42+01:00 m1 x: +0100\n".encode()
    )
    assert (customs.zone, customs.months[9], customs.colon) == (b"", "Okt", True)


@pytest.mark.parametrize("answer", [b"", b"nonsense", BEGIN, BEGIN + b"\n\n", BEGIN + b"abc\na;b\n"])
def test_what_a_machine_does_not_say_is_as_usual(answer: bytes) -> None:
    customs = read_customs(answer)
    assert (customs.zone, customs.months, customs.colon) == (b"", MONTHS, False)


def test_customs_are_asked_of_a_real_shell(journalctl: dict[str, str]) -> None:
    done = subprocess.run(
        customs_command(sudo=False), shell=True, env=journalctl, capture_output=True, timeout=10
    )
    customs = read_customs(done.stdout)
    assert len(customs.months) == 12
    assert customs.zone[:4] == b"TZif" or not Path("/etc/localtime").exists()
