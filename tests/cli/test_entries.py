"""Entries as a real journalctl (systemd 252, in Newfoundland) printed them, byte for byte."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fleetssh.cli.entries import MODES, Style, make_printer
from fleetssh.core.journal import Entry, Large
from fleetssh.wire.export import BEGIN, EntryReader
from fleetssh.wire.journal import MONTHS, Customs, read_customs

JOURNAL = Path(__file__).parents[1] / "wire" / "journal"
CUSTOMS = read_customs((JOURNAL / "customs").read_bytes())
UTC = Customs(b"", MONTHS, colon=False)


def recorded() -> list[Entry]:
    return EntryReader().feed((JOURNAL / "export").read_bytes())


def entry(message: bytes | Large, **fields: bytes) -> Entry:
    given = {name: (value,) for name, value in fields.items()}
    return Entry("c", "b", 1795243482_126929, {"MESSAGE": (message,), **given})


def short(message: bytes | Large, mode: str = "short", customs: Customs = UTC, **fields: bytes) -> str:
    return make_printer(Style(mode, customs))(entry(message, **fields), b"m1").decode()


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "json"])
def test_what_is_printed_is_what_the_machine_prints(mode: str) -> None:
    form = make_printer(Style(mode, CUSTOMS))
    lines = b"".join(form(each, None) for each in recorded())
    assert lines == (JOURNAL / mode).read_bytes()


def test_json_says_what_the_machines_json_says() -> None:
    form = make_printer(Style("json", CUSTOMS))
    full = EntryReader().feed(BEGIN + (JOURNAL / "full").read_bytes())
    mine = [json.loads(form(each, None)) for each in full]
    theirs = [json.loads(text) for text in (JOURNAL / "json").read_text().split("\n") if text]
    for ours, real in zip(mine, theirs, strict=True):
        # journalctl leaves out what is longer than 4 KiB; nobody is served by that here.
        assert ours | {name: None for name, value in real.items() if value is None} == real


def test_the_host_column_is_the_name_that_is_given() -> None:
    form = make_printer(Style("short", CUSTOMS))
    assert b"".join(form(each, b"m1") for each in recorded()) == (JOURNAL / "short").read_bytes()
    assert form(recorded()[1], b"web-7").startswith(b"Nov 21 03:42:01 web-7 nat[")


def test_time_is_in_this_computers_zone_unless_a_machine_has_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        form = make_printer(Style("short-iso"))
        assert form(entry(b"x"), b"m1") == b"2026-11-21T12:14:42+0530 m1 unknown: x\n"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_months_and_offsets_are_written_as_the_machine_does() -> None:
    german = replace(UTC, months=(*MONTHS[:10], "Nov.", "Dez"), colon=True)
    assert short(b"x", customs=german).startswith("Nov. 21 06:44:42 m1")
    assert short(b"x", "short-iso", german).startswith("2026-11-21T06:44:42+00:00 m1")
    assert short(b"x", "short-precise").startswith("Nov 21 06:44:42.126929 m1")


def test_who_says_it_is_the_identifier_or_the_command() -> None:
    assert short(b"x", SYSLOG_IDENTIFIER=b"a", _COMM=b"b", _PID=b"7").endswith(" m1 a[7]: x\n")
    assert short(b"x", _COMM=b"b", SYSLOG_PID=b"8").endswith(" m1 b[8]: x\n")
    assert short(b"x", SYSLOG_IDENTIFIER=b"a\x1b[2J", _COMM=b"b" * 300).endswith(" m1 unknown: x\n")


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (1023, "1023B"), (1024, "1.0K"), (1024 * 1024 - 1, "1023.9K"), (1024 * 1024, "1.0M"),
        (48 * 1024 * 1024 + 600 * 1024, "48.5M"), (3 * 1024**3, "3.0G"), (5 * 1024**4, "5120.0G"),
    ],
)  # fmt: skip
def test_what_is_too_large_or_binary_is_told_by_its_size(size: int, words: str) -> None:
    assert short(Large(size)).endswith(f" m1 unknown: [{words} blob data]\n")
    form = make_printer(Style("cat"))
    assert form(entry(Large(size)), None) == f"[{words} blob data]\n".encode()
    assert json.loads(make_printer(Style("json"))(entry(Large(size)), None)) == {"MESSAGE": None}


def test_a_time_that_is_none_is_the_journals_own() -> None:
    for said in (b"", b"soon", b"9" * 30):
        stamp = short(b"x", "short-precise", _SOURCE_REALTIME_TIMESTAMP=said)
        assert stamp.startswith("Nov 21 06:44:42.126929")
