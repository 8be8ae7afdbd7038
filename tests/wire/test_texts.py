"""Whole unit texts through a real visit: what the operator wrote lies on the machine, byte by byte."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.wire.machine import Machine
from tests.wire.visits import MARK, act, install, want

LINES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=80)
SHELL_WORDS = st.sampled_from(
    [
        "'",
        '"',
        "\\",
        "\\\n",
        "\r\n",
        "\n",
        "\n\n\n",
        "$(exit 3)",
        "`exit 3`",
        "${HOME}",
        "}",
        "{",
        "'\\''",
        "EOF\n",
    ]
)
TEXTS = st.lists(LINES | SHELL_WORDS, max_size=12).map(lambda parts: "".join(parts).encode())

AWKWARD: dict[str, bytes] = {
    "empty": b"",
    "one newline": b"\n",
    "many newlines at the end": b"[Service]\n\n\n\n",
    "no newline at the end": b"[Service]\nExecStart=/bin/true",
    "CRLF": b"[Service]\r\nExecStart=/bin/true\r\n",
    "continued": b"[Service]\nExecStart=/bin/sh -c 'a \\\n  b' \\\n",
    "ends in a backslash": b"[Service]\nA=\\",
    "ends in a quote": b"[Service]\nA='",
    "only quotes": b"'" * 1000,
    "percent": b"%s %n %% \\n \\0 \\c -n -e",
    "looks like the reply": f"FLEETSSH {MARK} end\n\nFLEETSSH {MARK} begin\n".encode(),
    "closes the program": b"'\n}\n}\nvisit\n",
    "a line of 100 kB": b"[Service]\nA=" + b"x'\\" * 33_000 + b"\n",
    "every character of two bytes": "".join(map(chr, range(1, 0x800))).encode(),
    "what dash uses inside": "".join(map(chr, range(0x81, 0x89))).encode() * 3,
    "four bytes": "😀\U0010ffff".encode() * 100,
}


def test_awkward_texts_arrive_byte_for_byte(machine: Machine) -> None:
    texts = {f"u{index}.service": text for index, text in enumerate(AWKWARD.values())}
    seen = machine.reached(act(install(*(want(name, text=text) for name, text in texts.items()))))
    assert machine.files() == texts
    assert all(found.digest == found.entry.digest for found in seen.found)
    assert len(seen.found) == len(texts)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(TEXTS, min_size=20, max_size=60))
def test_any_text_arrives_byte_for_byte(shell: str, texts: list[bytes]) -> None:
    units = [want(f"u{index:02}.service", text=text) for index, text in enumerate(texts)]
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(Path(folder) / "machine", shell)
        machine.reached(act(install(*units)))
        assert machine.files() == {wanted.unit.name: wanted.unit.text for wanted in units}


def test_names_with_every_allowed_character_are_taken_literally(machine: Machine) -> None:
    names = [r"a\x2db:c_d.e@f-g.service", r"-n.service", r"--help.service", r"a\\n.service"]
    seen = machine.reached(act(install(*(want(name) for name in names))))
    assert sorted(machine.files()) == sorted(names)
    assert sorted(machine.asked("start")) == sorted(names)
    assert [found.active for found in seen.found] == ["active"] * len(names)
    assert all(found.linked and found.digest for found in seen.found)


def test_hundreds_of_units_are_started_in_a_few_commands(new_machine: Callable[..., Machine]) -> None:
    machine = new_machine()
    names = [f"unit-{index:04}@{'x' * 60}.service" for index in range(1200)]
    seen = machine.reached(act(install(*(want(name) for name in names))))
    assert len(seen.found) == 1200
    assert sorted(machine.asked("start")) == names
    assert len(machine.calls("start")) == 3
    assert len(machine.calls("daemon-reload")) == 1
