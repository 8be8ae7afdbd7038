from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetssh.core.errors import WireError
from fleetssh.core.model import Action, TargetState
from fleetssh.core.sighting import (
    Detail,
    Ending,
    Failure,
    Manifest,
    ManifestEntry,
    Reached,
    Sighting,
    Unreached,
)
from fleetssh.wire.reply import count_cpus, parse_manifest, parse_metadata, read_reply
from fleetssh.wire.script import format_manifest

REPLIES = Path(__file__).parent / "replies"
MARK = "3f9c0d6a1be24c77a5d81c02"
"""The mark of the recorded replies: real ones, of a Debian 12 machine with systemd 252."""

RECORDED = sorted(path.name for path in REPLIES.glob("*.txt"))
DIGEST = "86943ac9f3754cb90f8dd38bf6da7b0cad074592"


def recorded(name: str) -> bytes:
    return (REPLIES / f"systemd-252-{name}.txt").read_bytes()


def read(output: bytes) -> Sighting:
    return read_reply("h1", "10.1.1.1", MARK, output, 12.5)


def reached(output: bytes) -> Reached:
    sighting = read(output)
    assert isinstance(sighting, Reached), sighting
    return sighting


def reply(**sections: str) -> bytes:
    """A complete small reply; each section replaces one of it or is added (``_`` stands for a blank)."""
    base = {
        "begin": "",
        "facts": "machine_id=m1\nboot_id=b1\nsystemd=yes\nroot=yes",
        "units": "",
        "manifest": f"fleetssh 1 c0ffee 0\nlaunched 0 {DIGEST} a.service",
        "files": f"{DIGEST}  a.service",
        "unlinked": "",
    }
    frames = {**base, **{name.replace("_", " "): text for name, text in sections.items()}, "end": ""}
    return "".join(f"\nFLEETSSH {MARK} {name}\n{text}\n" for name, text in frames.items()).encode()


# ---------------------------------------------------------------- recorded replies


def test_an_untouched_machine() -> None:
    seen = reached(recorded("fresh"))
    facts = seen.facts
    assert (seen.host, seen.address, seen.seen_at) == ("h1", "10.1.1.1", 12.5)
    assert (facts.os, facts.os_version, facts.is_brief) == ("debian", "12", False)
    assert (facts.systemd_version, facts.architecture) == ("252", "x86-64")
    assert len(facts.machine_id) == 32
    assert facts.memory_total == 24684084 * 1024
    assert facts.cpus == 2
    assert seen.manifest == Manifest()
    assert (seen.found, seen.strangers, seen.outcomes) == ((), (), ())


def test_a_machine_on_which_everything_went_differently() -> None:
    seen = reached(recorded("started"))
    found = {item.entry.name: item for item in seen.found}
    assert {name: (item.load, item.active, item.sub, item.ending) for name, item in found.items()} == {
        "broken.service": ("loaded", "failed", "failed", None),
        "hello.service": ("loaded", "active", "running", None),
        "loop.service": ("loaded", "activating", "auto-restart", None),
        "lost.service": ("loaded", "inactive", "dead", Ending.NEVER_STARTED),
        r"once@a\x2db.service": ("loaded", "inactive", "dead", Ending.BY_ITSELF),
        "rest.service": ("loaded", "inactive", "dead", None),
        "wrong.service": ("loaded", "inactive", "dead", Ending.NEVER_STARTED),
    }
    assert all(item.digest == item.entry.digest and item.linked for item in seen.found)
    broken = found["broken.service"].detail
    assert broken is not None
    assert (broken.result, broken.exit_status) == ("exit-code", 203)
    assert broken.log[-1] == "broken.service: Failed with result 'exit-code'."
    assert broken.restarts is None
    counted = recorded("started").replace(b"Id=loop.service\n", b"Id=loop.service\nNRestarts=7\n")
    loop = {item.entry.name: item for item in reached(counted).found}["loop.service"].detail
    assert loop is not None
    assert loop.restarts == 7
    wrong = found["wrong.service"].detail
    assert wrong is not None
    assert wrong.load_error == "Unit wrong.service has a bad unit file setting."
    assert found["hello.service"].detail is None
    assert list(seen.occupied) == ["systemd-journald.service"]
    assert [(o.action, o.ok) for o in seen.outcomes] == [
        (Action.WRITE, False),  # the name that the machine has for itself
        (Action.LINK, True),
        (Action.WRITE, True),  # enabling what has an [Install] section
        (Action.RELOAD, True),
        (Action.START, False),
    ]
    assert "Unit no-such.service not found." in seen.outcomes[-1].message


def test_a_machine_that_somebody_meddled_with() -> None:
    seen = reached(recorded("meddled"))
    found = {item.entry.name: item for item in seen.found}
    assert found["hello.service"].ending is Ending.BY_REQUEST
    assert found["rest.service"].digest != found["rest.service"].entry.digest
    assert not found["loop.service"].linked
    assert seen.strangers == ("stranger.service",)


def test_a_machine_after_units_were_removed() -> None:
    seen = reached(recorded("removed"))
    assert {"hello.service", "loop.service"}.isdisjoint(item.entry.name for item in seen.found)
    assert [(o.action, o.ok) for o in seen.outcomes] == [
        (Action.STOP, True),
        (Action.REMOVE, True),
        (Action.RELOAD, True),
    ]


# ---------------------------------------------------------------- broken off, surrounded, imitated


@pytest.mark.parametrize("name", RECORDED)
def test_a_reply_cut_off_anywhere_is_half(name: str) -> None:
    whole = (REPLIES / name).read_bytes()
    end = whole.rindex(b" end") + len(b" end")
    for cut in range(end):
        sighting = read(whole[:cut])
        assert isinstance(sighting, Unreached), cut
        assert sighting.failure is Failure.HALF
    assert read(whole[:end]) == read(whole)


@pytest.mark.parametrize("name", RECORDED)
def test_what_a_machine_says_before_the_reply_is_ignored(name: str) -> None:
    whole = (REPLIES / name).read_bytes()
    for banner in (
        b"Welcome!\r\n",
        b"FLEETSSH\nFLEETSSH  end\nFLEETSSH end\n",
        f"FLEETSSH {MARK}\nFLEETSSH {MARK[:-1]} end\n FLEETSSH {MARK} end\n".encode(),
        b"\xff\xfe\x80 no newline at the end",
        b"\x1b[1mmotd\x1b[0m\n" * 1000,
    ):
        assert read(banner + whole) == read(whole)


def test_frames_with_another_mark_in_a_log_are_only_log_lines() -> None:
    forged = b"FLEETSSH 0123456789abcdef01234567 end\nFLEETSSH x manifest\nfleetssh 1 evil 9\n"
    frame = f"FLEETSSH {MARK} log broken.service\n".encode()
    whole = recorded("started")
    seen = reached(whole.replace(frame, frame + forged))
    plain = reached(whole)
    assert seen.manifest == plain.manifest
    detail = {item.entry.name: item.detail for item in seen.found}["broken.service"]
    assert detail is not None
    assert detail.log[:3] == tuple(forged.decode().splitlines())
    assert [item.entry for item in seen.found] == [item.entry for item in plain.found]


def test_bytes_that_are_no_text_are_replaced() -> None:
    output = reply(details="Id=a.service\nResult=exit-code", log_a="").replace(b" log a", b" log a.service")
    output = output.replace(b"log a.service\n", b"log a.service\n\xff\xfe caf\xe9\n")
    assert reached(output).found[0].detail == Detail("exit-code", log=("�� caf�",))


# ---------------------------------------------------------------- single sections


def test_a_name_that_sha1sum_escaped_is_read_back() -> None:
    name = r"a\x2db@c.service"
    escaped = name.replace("\\", "\\\\")
    seen = reached(
        reply(
            manifest=f"fleetssh 1 c 0\nloaded 0 {DIGEST} {name}",
            files=f"\\{DIGEST}  {escaped}",
        )
    )
    assert [(item.entry.name, item.digest) for item in seen.found] == [(name, DIGEST)]
    assert seen.strangers == ()
    # An older sha1sum does not escape.
    plain = reply(manifest=f"fleetssh 1 c 0\nloaded 0 {DIGEST} {name}", files=f"{DIGEST}  {name}")
    assert reached(plain).found == seen.found


def test_a_unit_that_systemd_does_not_list_is_inactive() -> None:
    """F-120, where fleet was silent about it."""
    assert [(f.load, f.active, f.sub) for f in reached(reply()).found] == [("loaded", "inactive", "dead")]
    assert [(f.load, f.digest) for f in reached(reply(files="")).found] == [("not-found", None)]


def test_marks_before_a_units_name_are_no_part_of_it() -> None:
    for mark in ("● ", "* ", "  ", "× "):
        seen = reached(reply(units=f"{mark}a.service loaded failed failed A thing with words"))
        assert [(f.active, f.sub) for f in seen.found] == [("failed", "failed")]


def test_without_the_list_of_units_nothing_is_known() -> None:
    output = reply().replace(f"FLEETSSH {MARK} units\n".encode(), b"")
    assert read(output) == Unreached("h1", Failure.HALF, "systemd there does not say which units run", 12.5)


def test_the_last_job_of_an_idle_unit_tells_how_it_ended() -> None:
    def jobs(*records: tuple[str, str, str]) -> Ending | None:
        lines = [json.dumps({"UNIT": u, "JOB_TYPE": t, "JOB_RESULT": r}) for u, t, r in records]
        return reached(reply(idle="a.service", jobs="\n".join(lines))).found[0].ending

    assert jobs() is Ending.NEVER_STARTED
    assert jobs(("a.service", "start", "done")) is Ending.BY_ITSELF
    assert jobs(("a.service", "restart", "done")) is Ending.BY_ITSELF
    assert jobs(("a.service", "start", "dependency")) is Ending.START_FAILED
    assert jobs(("a.service", "start", "done"), ("a.service", "stop", "done")) is Ending.BY_REQUEST
    assert jobs(("a.service", "stop", "done"), ("a.service", "start", "done")) is Ending.BY_ITSELF
    assert jobs(("b.service", "stop", "done")) is Ending.NEVER_STARTED


@pytest.mark.parametrize(
    "line",
    [
        "{",
        '{"UNIT": "a.service"',
        '{"UNIT": ["a.service", "a.service"], "JOB_TYPE": "start"}',
        '{"UNIT": {"a": 1}}',
        '{"UNIT": null}',
        "{}",
        '{"JOB_TYPE": ["start"], "UNIT": "a.service"}',
        "{" * 100_000,
        '{"a":' * 100_000,
        '{"n": ' + "9" * 5000 + "}",
        "[1, 2]",
        "null",
        "-- No entries --",
        "{\ufffd",
    ],
    ids=range(14),
)
def test_garbage_among_the_job_records_is_a_wire_error_or_nothing(line: str) -> None:
    try:
        seen = reached(reply(idle="a.service", jobs=line))
    except WireError:
        return
    assert seen.found[0].ending in (Ending.NEVER_STARTED, Ending.START_FAILED)


def test_troubles_and_refusals_are_outcomes_that_failed() -> None:
    seen = reached(
        reply(
            trouble_busy="another visit",
            stuck_b="still active",
            trouble_strange="who knows",
            shadowed_b="",
            outcome_start_0="",
            outcome_stop_5="no\n\nway",
            outcome_dance_0="",
        )
        .replace(b"shadowed b", b"shadowed b.service /etc/b.service")
        .replace(b"stuck b", b"stuck b.service")
    )
    assert [(o.action, o.unit, o.ok, o.message) for o in seen.outcomes] == [
        (Action.NOTE, "", False, "another controller is at work there: another visit"),
        (Action.STOP, "b.service", False, "still active"),
        (Action.NOTE, "", False, "who knows"),
        (Action.WRITE, "b.service", False, "the machine has a unit of its own there: /etc/b.service"),
        (Action.START, "", True, ""),
        (Action.STOP, "", False, "no\nway"),
    ]


@pytest.mark.parametrize(
    "frame", ["trouble", "log", "shadowed", "shadowed a", "occupied a", "occupied a b c", "stuck"]
)
def test_a_frame_with_words_missing_is_a_wire_error(frame: str) -> None:
    with pytest.raises(WireError):
        read(reply().replace(b" unlinked\n", f" unlinked\n\nFLEETSSH {MARK} {frame}\n".encode()))


@pytest.mark.parametrize(
    "text",
    [
        "garbage",
        "fleetssh 1 c",
        "fleetssh 1 c x",
        "fleetssh 2 c 0",
        "fleetssh 1 c ²",
        "fleetssh 1 c " + "9" * 5000,
        "fleetssh 1 c 0\nlaunched 0 abc",
        "fleetssh 1 c 0\nflying 0 abc a.service",
        "fleetssh 1 c 0\nloaded x abc a.service",
        "fleetssh 1 c 0\nloaded -1 abc a.service",
        "fleetssh 1 c 0\nloaded 0 abc a b.service",
    ],
)
def test_a_manifest_that_we_did_not_write_is_a_wire_error(text: str) -> None:
    with pytest.raises(WireError):
        parse_manifest(tuple(text.split("\n")))


ENTRIES = st.builds(
    ManifestEntry,
    st.text("abc:_.\\@-019", min_size=1),
    st.text("0123456789abcdef", min_size=40, max_size=40),
    st.sampled_from(TargetState),
    st.integers(0, 2**48),
)


@given(st.lists(ENTRIES, min_size=1, unique_by=lambda entry: entry.name), st.integers(0, 2**48))
def test_a_manifest_comes_back_as_it_was(entries: list[ManifestEntry], fence: int) -> None:
    manifest = Manifest("c0ffee", fence, tuple(entries))
    assert parse_manifest(tuple(format_manifest(manifest).split("\n"))) == manifest


def test_an_empty_manifest_is_no_manifest() -> None:
    assert parse_manifest(()) == parse_manifest(("", "")) == Manifest()


def test_metadata_of_a_fleet_conf() -> None:
    """F-204, F-205"""
    assert parse_metadata(('metadata="foo=bar, ping=pong"',)) == {"foo": "bar", "ping": "pong"}
    assert parse_metadata(()) == parse_metadata(("public_ip=1.2.3.4",)) == {}
    assert parse_metadata(('metadata="a=1, b = x y ,broken,=no,a=2"', "public_ip=1.2.3.4")) == {
        "a": "2",
        "b": "x y",
    }
    assert parse_metadata(("# metadata=a=1", " metadata = a=1")) == {"a": "1"}
    assert parse_metadata(("metadata='a=1'", "metadata=b=2")) == {"b": "2"}
    assert parse_metadata(('metadata="',)) == {}


@pytest.mark.parametrize(
    ("online", "count"),
    [("0", 1), ("0-3", 4), ("0-3,8", 5), ("", 0), ("x", 0), ("3-0", 0), ("0-²", 0), ("-", 0)],
)
def test_cpus_are_counted(online: str, count: int) -> None:
    assert count_cpus(online) == count


def test_a_machine_without_systemd_or_without_an_id() -> None:
    """F-195; F-092: what a machine without an id says is not remembered."""
    for facts in ("machine_id=m1", "machine_id=\nsystemd=yes", "machine_id=uninitialized\nsystemd=yes"):
        sighting = read(reply(facts=f"{facts}\nroot=yes"))
        assert isinstance(sighting, Unreached)
        assert sighting.failure is Failure.NO_SYSTEMD


def test_a_login_that_is_not_root_sees_too_little_to_be_believed() -> None:
    sighting = read(reply(facts="machine_id=m1\nboot_id=b1\nsystemd=yes"))
    assert isinstance(sighting, Unreached)
    assert sighting.failure is Failure.NOT_ROOT
    assert "ansible_become" in sighting.message
    assert isinstance(read(reply()), Reached)


# ---------------------------------------------------------------- fuzz


def survive(output: bytes) -> None:
    try:
        sighting = read(output)
    except WireError:
        return
    assert isinstance(sighting, Reached | Unreached)


@given(st.binary(max_size=400))
def test_random_bytes_give_a_sighting(output: bytes) -> None:
    survive(output)


FRAMES = (
    "begin|facts|conf|system|manifest|files|unlinked|units|idle|jobs|details|end||log|"
    "log a.service|outcome|outcome start 0|trouble|trouble busy|shadowed a.service /x|occupied"
)
FRAGMENTS = st.sampled_from(
    [
        *(f"\nFLEETSSH {MARK} {frame}\n".encode() for frame in FRAMES.split("|")),
        b"machine_id=m1\nsystemd=yes\nroot=yes\n",
        b"fleetssh 1 c 0\n",
        f"launched 0 {DIGEST} a.service\n".encode(),
        f"{DIGEST}  a.service\n".encode(),
        b"a.service\n",
        b"a.service loaded active running A\n",
        b'{"UNIT":"a.service","JOB_TYPE":"stop"}\n',
        b"{",
        b"Id=a.service\nExecMainStatus=",
        b"MemTotal: ",
        b"1: x inet6 ",
        "²٣=\n".encode(),
        b"loadavg=nan 1\n",
        b"cpus=0-\n",
        b"metadata=",
    ]
)


@settings(max_examples=400)
@given(st.lists(FRAGMENTS | st.binary(max_size=8), max_size=40))
def test_frames_in_any_order_with_anything_between_give_a_sighting(parts: list[bytes]) -> None:
    body = b"".join(parts)
    survive(body)
    begin, end = (f"\nFLEETSSH {MARK} {word}\n".encode() for word in ("begin", "end"))
    survive(begin + body + end)
    survive(begin + f"\nFLEETSSH {MARK} units\n\nFLEETSSH {MARK} facts\n".encode() + body + end)


@settings(max_examples=100)
@given(st.data())
def test_a_recorded_reply_with_bytes_changed_gives_a_sighting(data: st.DataObject) -> None:
    output = bytearray(recorded(data.draw(st.sampled_from(["started", "meddled"]))))
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(output) - 1))
        output[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=6))
    survive(bytes(output))
