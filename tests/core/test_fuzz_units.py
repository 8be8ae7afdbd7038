"""Whatever bytes a unit file has: a unit that keeps them, or an error with its place. Nothing else."""

from __future__ import annotations

import gc
import hashlib
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetssh.core.errors import UnitError
from fleetssh.core.model import Unit
from fleetssh.core.names import mangle, split_name, validate_name
from fleetssh.core.requirements import KEYS, read_unit
from fleetssh.core.unitfile import MAX_LINE, parse
from tests.fuzzing import check_answer, fuzz

ROOT = Path(__file__).parents[2]
SAMPLES = [path.read_bytes() for path in sorted((ROOT / "units").rglob("*.*")) if path.is_file()]
NAMES = [
    "web.service",
    "web@.service",
    "web@1.service",
    "a.timer",
    r"a\x2d@b.c.target",
    "x" * 247 + ".service",
]

PIECES = st.sampled_from(
    [
        *(f"[{section}]" for section in ("Unit", "Service", "Install", "X-Fleet", "x-fleet ", "", "A\nB")),
        *(f"\n{key}=" for key in (*KEYS, "ExecStart", "Description", "Requires", "BindsTo", "", "X-Unknown")),
        *(
            "\n",
            "\r\n",
            "\r",
            "\\\n",
            "\\ \n",
            "\\",
            "\n\n",
            "#",
            ";",
            "=",
            '"',
            "'",
            " ",
            "\t",
            "\ufeff",
            "\0",
        ),
        *(
            "true",
            "false",
            "region=eu",
            '"a=b" "c=d"',
            "web.service",
            "web@*.service",
            "*",
            "[a-",
            "[^]",
            "?",
        ),
        *(
            "%i",
            "%n",
            "%N",
            "%p",
            "%%",
            "\u2028",
            "\x85",
            "\xa0",
            "\x1b[2J",
            "é",
            "😀",
            "x" * 300,
            "y " * 1100,
        ),
    ]
).map(str.encode)
BROKEN = st.sampled_from([b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\xc0\x80"])
MADE_UP = st.lists(PIECES | st.text(max_size=6).map(str.encode), max_size=40).map(b"".join)


@st.composite
def meddled(draw: st.DrawFn) -> bytes:
    """One of the samples with some of it cut out, doubled, or overwritten."""
    text = bytearray(draw(st.sampled_from(SAMPLES)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(text)))
        end = min(len(text), at + draw(st.integers(0, 40)))
        text[at:end] = draw(PIECES | st.just(b"") | st.just(bytes(text[at:end]) * 2))
    return bytes(text)


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """A text with bytes in it that are none."""
    text = draw(MADE_UP | meddled())
    at = draw(st.integers(0, len(text)))
    return text[:at] + draw(BROKEN | st.binary(max_size=6)) + text[at:]


@fuzz
@given(st.sampled_from(NAMES), MADE_UP | meddled() | broken())
def test_fuzz_any_bytes_give_a_unit_that_keeps_them_or_an_error_with_its_line(name: str, text: bytes) -> None:
    try:
        unit = read_unit(name, text, "folder/file")
    except UnitError as error:
        check_answer(error, "folder/file")
        return
    assert isinstance(unit, Unit)
    assert unit.text == text
    assert unit.digest == hashlib.sha1(text).hexdigest()
    assert unit.hash == parse(text).hash
    assert read_unit(name, text) == unit


@fuzz
@given(MADE_UP | meddled())
def test_fuzz_a_parsed_file_says_where_each_option_begins(text: bytes) -> None:
    try:
        file = parse(text, "f")
    except UnitError as error:
        check_answer(error, "f")
        return
    lines = text.decode().split("\n")
    for option in file.options:
        assert f"{option.name}" in lines[option.line - 1]
        assert "=" in lines[option.line - 1]
    assert [option.line for option in file.options] == sorted({option.line for option in file.options})


ARGUMENTS = st.text(max_size=300) | st.text("@.\\:-_/ \n\0$`;&|*?[]'\"{}()<>~é\udcff9a", max_size=40)


@fuzz
@given(ARGUMENTS, st.sampled_from(["", ".service", ".timer", "@.service", ".scope", ".", "@1.mount"]))
def test_fuzz_any_argument_is_a_name_fit_for_every_machine_or_refused(argument: str, end: str) -> None:
    name = mangle(argument + end)
    try:
        validate_name(name)
    except UnitError as error:
        assert error.message.isprintable()
        assert len(error.message) + len(error.hint) < 2000
        return
    assert set(name) <= set("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ:-_.\\@")
    assert len(name) <= 255
    assert name not in (".", "..")
    assert split_name(name).full == name


# ---------------------------------------------------------------- a megabyte of anything

MEGABYTE = 1024 * 1024


def long_value(start: bytes, piece: bytes, end: bytes = b"\n") -> Callable[[int], bytes]:
    """A value of a given size in continued lines of lawful length."""
    line = (piece * MAX_LINE)[: MAX_LINE - 50] + b"\\\n"
    return lambda size: start + line * (size // len(line)) + end


def repeated(start: bytes, piece: bytes, end: bytes = b"") -> Callable[[int], bytes]:
    return lambda size: start + piece * (size // len(piece)) + end


HUGE: dict[str, Callable[[int], bytes]] = {
    "options": repeated(b"[Service]\n", b"A=b\n"),
    "empty continuations": repeated(b"[Service]\nA=", b"\\\n"),
    "one quoted value": long_value(b'[X-Fleet]\nMachineMetadata="', b"a", b'"\n'),
    "quoted values": long_value(b'[X-Fleet]\nMachineMetadata="', b'" "', b'"\n'),
    "patterns": long_value(b"[X-Fleet]\nConflicts=", b"a* "),
    "stars": long_value(b"[X-Fleet]\nReplaces=", b"a*"),
    "peers": repeated(b"[X-Fleet]\n", b"MachineOf=b.service\nConflicts=*c\n"),
    "specifiers": long_value(b"[Unit]\nRequires=", b"%n "),
    "sections": repeated(b"", b"[a]\nx=1\n"),
    "a header that never ends": repeated(b"[", b"\n", b"] x"),
    "text before the first section": repeated(b"", b"x\n"),
    "a comment that never ends": repeated(b"[a]\n", b"#\\\n"),
    "blank lines": repeated(b"[a]\nx=\\\n", b"\n"),
    "carriage returns": repeated(b"[a]\nx=1", b"\r"),
    "nothing but backslashes": repeated(b"[a]\nx=", b"\\" * 2000 + b"\n"),
}


def seconds(text: bytes) -> float:
    gc.collect()  # not in the measured time, however much other tests left behind
    begun = time.process_time()
    try:
        read_unit("a.service", text)
    except UnitError as error:
        check_answer(error, "a.service")
    return time.process_time() - begun


@pytest.mark.parametrize("make", HUGE.values(), ids=HUGE.keys())
def test_a_megabyte_of_anything_takes_time_in_proportion(make: Callable[[int], bytes]) -> None:
    """Four times as long takes four times as long, and not sixteen; CPU time, so a busy computer is none."""
    few, many = make(MEGABYTE // 4), make(MEGABYTE)
    small = min(seconds(few) for _ in range(3))
    large = min(seconds(many) for _ in range(2))
    assert large < 10 * small + 0.05
