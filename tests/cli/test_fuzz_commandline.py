"""Whatever words are typed: an exit code that is promised, an answer in words, and never a defect."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleetssh.cli.exits import Exit
from fleetssh.cli.flags import Flag
from fleetssh.cli.main import ENTRIES, main
from tests.fuzzing import EXAMPLES

VERBS = sorted(set(ENTRIES) - {"lab", "run"})
"""The lab would make machines, and the loop would go on."""

LASTING = {"--follow", "-f", "--f", "--wait", "--watch"}
"""Flags of what goes on until it is interrupted."""

PATHS = {"--state", "--inventory", "--known-hosts-file"}
"""Their values are paths, at which files may be made: only some in the folder of the test are tried."""


def options() -> dict[str, list[click.Option]]:
    """Every option of every verb."""
    found = {}
    for verb in VERBS:
        module = importlib.import_module(f"fleetssh.cli.{ENTRIES[verb].module}")
        command = getattr(module, verb.replace("-", "_"))
        parameters = command.get_params(click.Context(command))
        found[verb] = [
            option
            for option in parameters
            if isinstance(option, click.Option) and not {*option.opts} & (LASTING | PATHS)
        ]
    return found


OPTIONS = options()
FLAGS = st.sampled_from(
    sorted({name for group in OPTIONS.values() for option in group for name in option.opts})
)

BAIT = st.sampled_from(
    [
        *(
            "web",
            "web.service",
            "w@1",
            "w@.service",
            "bad",
            "binary",
            "*",
            "web*",
            "[",
            "m1",
            "nobody",
            "",
            "-",
            "--",
        ),
        *(
            "../../etc/passwd",
            "/",
            ".",
            "..",
            "a b",
            "$(reboot)",
            "`x`",
            "a;b",
            "'",
            '"',
            "\n",
            "\x1b[2J",
            "é",
            "😀",
        ),
        *(
            "\udcff",
            "x" * 300,
            "0",
            "-1",
            "99999999999999999999",
            "1e400",
            "nan",
            "true",
            "json",
            "yaml",
            "unit,x",
        ),
        *("today", "yesterday", "1 hour ago", "now", "tomorrow at noon", "2026-13-45", "12345678"),
    ]
)
TEXTS = BAIT | st.text(st.characters(exclude_characters="\0"), max_size=8)
VALUES = st.sampled_from(
    ["0", "1", "3", "false", "json", "table", "today", "unit", "web.service", "m1", "short"]
)
IN_THE_FOLDER = ("state.db", "hosts.yml", "binary.service", "nowhere", "web.service", ".")
PLACES = st.tuples(st.sampled_from(sorted(PATHS)), st.sampled_from(IN_THE_FOLDER)).map("=".join)
WORDS = TEXTS | FLAGS | st.tuples(FLAGS, TEXTS).map("=".join)


@st.composite
def lines(draw: st.DrawFn) -> list[str]:
    """A verb with words and with options of its own, and now and then with something else."""
    verb = draw(st.sampled_from(VERBS))
    line = draw(st.lists(TEXTS, max_size=2))
    for option in draw(st.lists(st.sampled_from(OPTIONS[verb]), max_size=2)) if OPTIONS[verb] else []:
        name = draw(st.sampled_from(option.opts))
        is_bare = option.is_flag or isinstance(option, Flag)
        line.append(name if is_bare else f"{name}={draw(VALUES | VALUES | TEXTS)}")
    line += draw(st.just([]) | st.just([]) | st.lists(WORDS, max_size=2))
    line += draw(st.just([]) | st.just([]) | st.lists(PLACES, max_size=1))
    return [verb, *(word for word in draw(st.permutations(line)) if is_harmless(word))]


def is_harmless(word: str) -> bool:
    """Texts that are made up may be flags: hypothesis takes some from the code that is tested."""
    name, _, value = word.partition("=")
    return name not in LASTING and (name not in PATHS or value in IN_THE_FOLDER)


HOSTS = """
all:
  vars: {ansible_user: root, ansible_port: 9}
  hosts: {m1: {ansible_host: 127.0.0.1}, m2: {ansible_host: 127.0.0.2}}
"""


@pytest.fixture(scope="module")
def desk() -> Iterator[Path]:
    """A folder with units good and bad, a state, and an inventory of machines that refuse to be reached."""
    kept = dict(os.environ), Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "hosts.yml").write_text(HOSTS)
        (folder / "web.service").write_text("[Service]\nExecStart=/bin/true\n")
        (folder / "w@.service").write_text("[Service]\nExecStart=/bin/true %i\n")
        (folder / "bad.service").write_text("[Service\n")
        (folder / "binary.service").write_bytes(bytes(range(256)))
        os.chdir(folder)
        for key in [key for key in os.environ if key.startswith(("FLEETSSH_", "FLEETCTL_"))]:
            del os.environ[key]
        os.environ |= {
            "FLEETSSH_STATE": str(folder / "state.db"),
            "FLEETSSH_INVENTORY": str(folder / "hosts.yml"),
        }
        os.environ |= {"FLEETSSH_CONNECT_TIMEOUT": "1", "HOME": name}
        yield folder
        os.environ.clear()
        os.environ.update(kept[0])
        os.chdir(kept[1])


def run(line: list[str]) -> tuple[int, str]:
    """One command line in this process: its exit code, and what it said on standard error."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace") for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(line)
    for stream in (out, err):
        stream.flush()
    return code, err.buffer.getvalue().decode()  # type: ignore[attr-defined]


@settings(max_examples=EXAMPLES // 2, deadline=None, suppress_health_check=list(HealthCheck))
@given(lines())
def test_fuzz_any_command_line_is_answered_in_words_with_a_promised_exit_code(
    desk: Path, line: list[str]
) -> None:
    names = {path.name for path in desk.iterdir()}
    code, said = run(line)
    assert "internal error" not in said and "Traceback" not in said, said
    assert code in set(Exit)
    assert not code or said.strip()
    made = {path.name for path in desk.iterdir()} - names
    assert all(name.startswith(("state.db", "nowhere")) for name in made), made
