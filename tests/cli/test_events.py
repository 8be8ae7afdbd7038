"""The verb events, on a history of the test's own; no machine is touched."""

import json
from pathlib import Path

import pytest

from fleetssh import clock
from fleetssh.core.model import MachineRecord
from fleetssh.store import Event
from fleetssh.store.sqlite import SqliteStore

M1, M2 = "0b2e8d256ae17a74522b8dce625be8a2", "7c73a89bc94e21ac5b3b794e7c9ee034"
HASH = "e55c0ae99ae42d0c1e1ea1f9dd2c5e0cbcb5c1b4"
ANN, CRON = "ann@desk (fleetssh start, pid 7)", "ops@steer (fleetssh reconcile, pid 9)"
NOON = 1_772_366_400.25  # 2026-03-01 12:00:00 UTC

HISTORY = [
    Event(NOON, ANN, "command", "web@1.service", f"start web@1: file {HASH} -> {HASH}"),
    Event(NOON + 1, ANN, "move", "web@1.service", f"nowhere -> {M1}: least loaded (0 units)"),
    Event(NOON + 2, ANN, "step", "web@1.service", "m1: write, start (least loaded (0 units))"),
    Event(NOON + 3, ANN, "pass", "", "machines: 2, moves: 1, steps: 2, took 0.4 s"),
    Event(NOON + 3600, CRON, "health", "m1", "up -> doubtful: timed out: no answer"),
    Event(NOON + 7200, CRON, "move", "web@1.service", f"{M1} -> {M2}: m1 was lost"),
    Event(NOON + 7201, CRON, "trouble", "db.service", "m2: start failed: no such file"),
]


@pytest.fixture
def past(tmp_path: Path, monkeypatch, fleetssh):
    """A command line whose cluster has a history; it is noon in UTC+1."""
    monkeypatch.setenv("TZ", "UTC-1")
    clock.time.tzset()
    store = SqliteStore(tmp_path / "state.db")
    records = [MachineRecord("m1", M1), MachineRecord("m2", M2)]
    store.remember(records, (), HISTORY)
    store.close()
    yield fleetssh
    monkeypatch.undo()
    clock.time.tzset()


def numbers(ran) -> list[int]:
    """Which events of HISTORY were told, in order."""
    assert (ran.code, ran.err) == (0, "")
    return [[event.text for event in HISTORY].index(row["text"]) for row in json.loads(ran.out)]


def test_a_line_tells_when_who_what_and_why_with_short_ids(past):
    assert past("events", "-n", "7").out.splitlines() == [
        "TIME\t\t\tWHO\t\tKIND\tSUBJECT\t\tTEXT",
        "2026-03-01 13:00:00\tann@desk\tcommand\tweb@1.service\tstart web@1: file e55c0ae -> e55c0ae",
        "2026-03-01 13:00:01\tann@desk\tmove\tweb@1.service\tnowhere -> 0b2e8d25...: least loaded (0 units)",
        "2026-03-01 13:00:02\tann@desk\tstep\tweb@1.service\tm1: write, start (least loaded (0 units))",
        "2026-03-01 13:00:03\tann@desk\tpass\t-\t\tmachines: 2, moves: 1, steps: 2, took 0.4 s",
        "2026-03-01 14:00:00\tops@steer\thealth\tm1\t\tup -> doubtful: timed out: no answer",
        "2026-03-01 15:00:00\tops@steer\tmove\tweb@1.service\t0b2e8d25... -> 7c73a89b...: m1 was lost",
        "2026-03-01 15:00:01\tops@steer\ttrouble\tdb.service\tm2: start failed: no such file",
    ]


def test_in_full_and_for_scripts_nothing_is_cut(past):
    full = past("events", "-l", "--no-legend", "-n", "2").out.splitlines()[0]
    assert full == f"2026-03-01T15:00:00.250+01:00\t{CRON}\tmove\tweb@1.service\t{HISTORY[5].text}"
    (row,) = json.loads(past("events", "-o", "json", "--unit", "db").out)
    assert row == {
        "time": "2026-03-01T15:00:01.250+01:00", "who": CRON, "kind": "trouble", "subject": "db.service",
        "text": "m2: start failed: no such file",
    }  # fmt: skip
    (row,) = json.loads(past("events", "-o", "json", "--kind", "pass").out)
    assert row["subject"] is None


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        ("", [0, 1, 2, 3, 4, 5, 6]),
        ("-n 2", [5, 6]),
        ("-n 2 -r", [6, 5]),
        ("--reverse --kind move", [5, 1]),
        ("--unit web@1", [0, 1, 2, 5]),
        ("--unit web@*.service", [0, 1, 2, 5]),
        ("--unit web@* --lines 1", [5]),
        ("--unit m1", []),
        ("--machine m1", [1, 2, 4, 5]),
        (f"--machine {M1}", [1, 2, 4, 5]),
        ("--machine 0b2e", [1, 2, 4, 5]),
        ("--machine m2", [5, 6]),
        ("--machine nowhere", []),
        ("--machine m", []),
        ("--machine m1 --unit web@1 --kind step", [2]),
        ("--kind pass --kind trouble", [3, 6]),
        ("--since 2026-03-01T14:00", [4, 5, 6]),
        ("--since 2026-03-01T12:30+00:00", [4, 5, 6]),
        ("--since 2026-03-01", [0, 1, 2, 3, 4, 5, 6]),
        ("--since 2026-03-02", []),
        ("--since 2h", []),
        ("--since 5000w", [0, 1, 2, 3, 4, 5, 6]),
    ],
)
def test_filters_choose(past, argv, told):
    assert numbers(past("events", "-o", "json", *argv.split())) == told


def test_an_age_counts_back_from_now(past, monkeypatch):
    monkeypatch.setattr(clock, "now", lambda: NOON + 4 * 3600)
    for age in ("2h", "1h60m", "120m", "-2h", "2h ago"):
        assert numbers(past("events", "-o", "json", "--since", age)) == [5, 6]
    assert numbers(past("events", "-o", "json", "--since", "1h59m59s")) == [6]


@pytest.mark.parametrize("time", ["yesterdayish", "2x", "2026-13-01", "0001-01-01", "h"])
def test_a_time_that_is_none_is_a_usage_error(past, time):
    ran = past("events", "--since", time)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.splitlines()[0] == f"--since: {time!r} is no time"


@pytest.mark.parametrize("argv", ["--kind nope", "-n 0", "-n x", "--units web"])
def test_what_cannot_be_meant_is_a_usage_error(past, argv):
    ran = past("events", *argv.split())
    assert (ran.code, ran.out) == (2, "")


def test_a_command_line_leaves_its_words_and_what_it_changed(fleetssh, hello, monkeypatch):
    monkeypatch.setenv("USER", "ann")
    fleetssh("submit", "./hello.service")
    fleetssh("submit", "hello")  # changes nothing
    fleetssh("destroy", "absent")  # nor does this
    fleetssh("destroy", "hel*")
    rows = json.loads(fleetssh("events", "-o", "json").out)
    assert [(row["kind"], row["subject"], row["text"]) for row in rows] == [
        ("command", "hello.service", "submit ./hello.service: new, inactive"),
        ("command", "hello.service", "destroy hel*: forgotten, was inactive"),
    ]
    assert [row["who"].startswith("ann@") for row in rows] == [True, True]
    assert "(fleetssh destroy, pid " in rows[1]["who"]


def test_what_was_typed_may_be_no_text(fleetssh, tmp_path):
    folder = tmp_path / "f\udcff"
    folder.mkdir()
    (folder / "x.service").write_text("[Service]\nExecStart=/bin/true\n")
    assert fleetssh("submit", "f\udcff/x.service").code == 0
    (row,) = json.loads(fleetssh("events", "-o", "json").out)
    assert row["text"] == r"submit f\udcff/x.service: new, inactive"
