"""Whatever a machine answers: a sighting, or a WireError in words. And in time in proportion."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetssh.core.errors import WireError
from fleetssh.core.sighting import Reached, Sighting, Unreached
from fleetssh.wire.reply import read_reply
from tests.fuzzing import LONGEST_MESSAGE, fuzz

MARK = "3f9c0d6a1be24c77a5d81c02"
"""The mark of the recorded replies."""

REPLIES = [path.read_bytes() for path in sorted((Path(__file__).parent / "replies").glob("*.txt"))]
LINES = sorted({line for reply in REPLIES for line in reply.split(b"\n")})
FRAMES = [line for line in LINES if line.startswith(b"FLEETSSH")]

NOISE = st.sampled_from(
    [
        *(
            b"",
            b"\n",
            b"\n\n",
            b" ",
            b"=",
            b"\r",
            b"\0",
            b"\xff",
            b"\xc2\xb2",
            b"\xef\xbb\xbf",
            b"{",
            b"}",
            b'"',
        ),
        *(b"9" * 400, b"x" * 400, b"-1", b"1e999", b"nan", b"\xe2\x97\x8f", b"[" * 100_000, b'{"UNIT":[]}'),
        *(f"FLEETSSH {MARK} ".encode(), f"FLEETSSH {MARK}".encode(), b"FLEETSSH x end"),
        *(b'{"UNIT":{},"JOB_TYPE":"stop"}', b"null", b"{}", b"Id=", b"../../etc/passwd", b"fleetssh 1 c 0"),
    ]
)


@st.composite
def meddled(draw: st.DrawFn) -> bytes:
    """A real reply with bytes, lines and whole frames changed, lost, doubled and exchanged."""
    lines = draw(st.sampled_from(REPLIES)).split(b"\n")
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(lines)))
        end = min(len(lines), at + draw(st.sampled_from([0, 1, 1, 2, 9, 60])))
        other = st.lists(st.sampled_from(LINES) | st.sampled_from(FRAMES) | NOISE, max_size=3)
        lines[at:end] = draw(other | st.just(lines[at:end] * 2))
    reply = bytearray(b"\n".join(lines))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(reply)))
        reply[at : at + draw(st.integers(0, 5))] = draw(NOISE | st.binary(max_size=5))
    return bytes(reply)


def read(output: bytes) -> Sighting | WireError:
    try:
        return read_reply("h1", "10.1.1.1", MARK, output, 12.5)
    except WireError as error:
        assert len(error.message) < LONGEST_MESSAGE
        return error


@fuzz
@given(meddled())
def test_fuzz_any_reply_gives_a_sighting_or_an_error_in_words(output: bytes) -> None:
    seen = read(output)
    assert isinstance(seen, Reached | Unreached | WireError)
    if isinstance(seen, Reached):
        assert seen.facts.machine_id
        assert {found.entry for found in seen.found} <= set(seen.manifest.entries)
        assert not set(seen.strangers) & {entry.name for entry in seen.manifest.entries}


@fuzz
@given(st.sampled_from(REPLIES), st.data())
def test_fuzz_a_reply_cut_off_is_never_believed(reply: bytes, data: st.DataObject) -> None:
    """Whatever is missing at its end, and whatever noise comes instead of it."""
    last = reply.rindex(f"FLEETSSH {MARK} end".encode())
    cut = reply[: data.draw(st.integers(0, last + len("FLEETSSH ") + len(MARK)))]
    assert isinstance(read(cut), Unreached)
    noise = data.draw(st.binary(max_size=40))
    assert isinstance(read(cut + noise), Unreached)


# ---------------------------------------------------------------- megabytes of anything

REPLY = max(REPLIES, key=len)


def after(place: str, line: Callable[[int], str]) -> Callable[[int], bytes]:
    """The longest real reply with a number of lines more below a frame, or below another line."""
    head, found, tail = REPLY.partition(f"{place}\n".encode())
    assert found, place
    return lambda count: head + found + "".join(f"{line(n)}\n" for n in range(count)).encode() + tail


DIGEST = "86943ac9f3754cb90f8dd38bf6da7b0cad074592"
HUGE: dict[str, Callable[[int], bytes]] = {
    "a banner": lambda count: b"welcome\n" * count + REPLY,
    "one line": lambda count: b"x" * 40 * count + REPLY,
    "nothing but newlines": lambda count: REPLY.replace(b"\n", b"\n" * (count // 50)),
    "units": after(f"{MARK} units", lambda n: f"u{n}.service loaded active running U"),
    "files": after(f"{MARK} files", lambda n: f"{DIGEST}  u{n}.service"),
    "manifest": after("fleetssh 1 c0ffee 0", lambda n: f"launched 0 {DIGEST} u{n}.service"),
    "job records": after(f"{MARK} jobs", lambda n: f'{{"UNIT":"u{n}.service","JOB_TYPE":"stop"}}'),
    "idle units": after(f"{MARK} idle", lambda n: f"u{n}.service"),
    "details": after(f"{MARK} details", lambda n: f"Id=u{n}.service\nResult=success\n"),
    "frames": after(f"{MARK} files", lambda n: f"FLEETSSH {MARK} log u{n}.service"),
    "metadata": after(f"{MARK} conf", lambda n: f"metadata=k{n}=v"),
}


BRACKETS = "[" * 100_000
BROKEN = {
    "frame": after(f"{MARK} files", lambda _: f"FLEETSSH {MARK} occupied {BRACKETS} x x"),
    "beginning": after(f"{MARK} manifest", lambda _: BRACKETS),
    "version": after(f"{MARK} manifest", lambda _: f"fleetssh {BRACKETS} c0ffee 0"),
    "line": after("fleetssh 1 c0ffee 0", lambda _: f"launched 0 {DIGEST}{BRACKETS} no/name"),
    "job record": after(f"{MARK} jobs", lambda _: f'{{"UNIT":{BRACKETS}'),
}


@pytest.mark.parametrize("make", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_reply_is_not_said_whole(make: Callable[[int], bytes]) -> None:
    """An error goes to the report, the events of the store and the terminal."""
    error = read(make(1))
    assert isinstance(error, WireError)
    assert "..." in error.message


def seconds(output: bytes) -> float:
    gc.collect()  # not in the measured time, however much other tests left behind
    begun = time.process_time()
    read(output)
    return time.process_time() - begun


@pytest.mark.parametrize("make", HUGE.values(), ids=HUGE.keys())
def test_a_long_reply_is_read_in_time_in_proportion(make: Callable[[int], bytes]) -> None:
    """Four times as much takes four times as long, and not sixteen; CPU time, so a busy computer is none."""
    few, many = make(10_000), make(40_000)
    small = min(seconds(few) for _ in range(3))
    large = min(seconds(many) for _ in range(2))
    assert large < 10 * small + 0.05
