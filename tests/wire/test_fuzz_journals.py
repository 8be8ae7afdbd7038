"""Whatever a machine's journal, or something in its place, says: entries, or a WireError. Nothing else."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetssh.core.errors import WireError
from fleetssh.core.journal import Entry
from fleetssh.wire.export import BEGIN, FORGOT, EntryReader
from fleetssh.wire.journal import MONTHS, read_customs
from tests.fuzzing import LONGEST_MESSAGE, fuzz

RECORDED = [
    path.read_bytes()
    for path in sorted((Path(__file__).parent / "journal").rglob("*"))
    if path.is_file() and b"__CURSOR" in path.read_bytes()
]
ENTRY = (
    b"__CURSOR=s=1;i=2\n__REALTIME_TIMESTAMP=1795243415639509\n_BOOT_ID=9e9f40384261\n_HOSTNAME=m1\n"
    b"MESSAGE=hello\n_PID=1\nMESSAGE\n\x05\0\0\0\0\0\0\0a\nb\0c\n\n"
)
SAMPLES = [*RECORDED, ENTRY * 3]
NOISE = st.sampled_from(
    [
        *(
            b"\n",
            b"\n\n",
            b"=",
            b"\0",
            b"\xff",
            b"=\n",
            b"x",
            b"MESSAGE\n",
            b"\xff" * 8,
            b"\0" * 8,
            b"x" * 70_000,
        ),
        *(
            b"\x01\0\0\0\0\0\0\0",
            b"\xff\xff\xff\xff\xff\xff\xff\x7f",
            b"__CURSOR=\n",
            b"__REALTIME_TIMESTAMP=x\n",
        ),
        *("__REALTIME_TIMESTAMP=²\n".encode(), b"__REALTIME_TIMESTAMP=" + b"9" * 5000 + b"\n", BEGIN, FORGOT),
    ]
)


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """A recorded export stream, whole or meddled with, behind what may come before one."""
    text = bytearray(draw(st.sampled_from(SAMPLES)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(text)))
        text[at : at + draw(st.integers(0, 20))] = draw(NOISE | st.binary(max_size=9))
    head = draw(
        st.sampled_from([b"", b"Welcome!\n", FORGOT, b"__CURSOR=a\n_BOOT_ID=b\n"]) | st.binary(max_size=9)
    )
    return head + draw(st.sampled_from([BEGIN, BEGIN, BEGIN, b""])) + bytes(text)


def feed(pieces: list[bytes]) -> list[Entry] | str:
    """The entries of a stream in pieces, or why it is none."""
    reader = EntryReader()
    entries: list[Entry] = []
    try:
        for piece in pieces:
            entries += reader.feed(piece)
    except WireError as error:
        assert error.message.isprintable()
        assert len(error.message) < LONGEST_MESSAGE
        return error.message
    return entries


@fuzz
@given(streams(), st.data())
def test_fuzz_any_stream_gives_entries_or_an_error_however_it_is_cut_into_pieces(
    stream: bytes, data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    whole, cut = feed([stream]), feed(pieces)
    if isinstance(whole, list) and isinstance(cut, list):
        assert whole == cut
    for entry in whole if isinstance(whole, list) else []:
        assert entry.cursor
        assert entry.at >= 0


@fuzz
@given(st.binary(max_size=200) | st.text("A=+/;\nJan:09-+T ", max_size=80).map(str.encode), st.booleans())
def test_fuzz_any_customs_are_customs(data: bytes, begun: bool) -> None:
    customs = read_customs((BEGIN if begun else b"") + data)
    assert len(customs.months) == len(MONTHS)


# ---------------------------------------------------------------- megabytes

HUGE: dict[str, Callable[[int], bytes]] = {
    "entries": lambda count: BEGIN + ENTRY * count,
    "fields": lambda count: BEGIN + b"MESSAGE=x\n" * (10 * count) + ENTRY,
    "newlines": lambda count: BEGIN + b"\n" * (100 * count),
    "a line": lambda count: BEGIN + b"MESSAGE=" + b"x" * (200 * count) + b"\n" + ENTRY,
    "a banner": lambda count: b"x" * (200 * count),
}


def seconds(stream: bytes) -> float:
    pieces = [stream[at : at + 4096] for at in range(0, len(stream), 4096)]
    gc.collect()  # not in the measured time, however much other tests left behind
    begun = time.process_time()
    feed(pieces)
    return time.process_time() - begun


@pytest.mark.parametrize("make", HUGE.values(), ids=HUGE.keys())
def test_a_long_journal_is_read_in_time_in_proportion(make: Callable[[int], bytes]) -> None:
    few, many = make(5_000), make(20_000)
    small = min(seconds(few) for _ in range(3))
    large = min(seconds(many) for _ in range(2))
    assert large < 10 * small + 0.05
