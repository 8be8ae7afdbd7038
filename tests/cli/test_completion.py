"""What completion offers, asked as the shells' scripts ask it; nothing here visits a machine."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetssh.cli.candidates import find_candidates
from fleetssh.cli.completion import SCRIPTS
from fleetssh.cli.main import ENTRIES, program
from fleetssh.core.model import MachineRecord
from fleetssh.store import open_store

UNIT = b"[Service]\nExecStart=/bin/true\n"
MACHINE_ID = "0b2e8d25a65dc99e46d8741dd959c6a3"


@pytest.fixture
def offered(fleetssh, tmp_path):
    """The candidates for the last word of a command line; a space at its end begins a new one."""

    def ask(line: str) -> list[str]:
        ran = fleetssh("completion", "zsh", "--", *line.split(" ")[1:])
        assert (ran.code, ran.err) == (0, "")
        return [text.partition("\t")[0] for text in ran.out.splitlines()]

    return ask


@pytest.fixture
def cluster(fleetssh, tmp_path, monkeypatch) -> None:
    """Units in the state and in a folder, machines in the inventory and in the state."""
    folder = tmp_path / "units"
    folder.mkdir()
    for name in ("web@.service", "web@1.service", "hello.service", "new.timer"):
        (folder / name).write_bytes(UNIT)
    (folder / "readme.txt").write_bytes(b"")
    (tmp_path / "inventory.yml").write_text("all: {hosts: {m1: {ansible_host: 10.0.0.1}, m2: {}}}\n")
    assert fleetssh("submit", *(f"units/{n}" for n in ("web@.service", "web@1", "hello"))).code == 0
    with closing(open_store(str(tmp_path / "state.db"), "default", {})) as store:
        store.remember([MachineRecord("m1", MACHINE_ID)])


# ---------------------------------------------------------------- verbs and flags


def test_verbs(offered):
    assert offered("fleetssh ") == list(ENTRIES)
    assert offered("fleetssh --debug --forks 3 list-unit") == ["list-units", "list-unit-files"]
    assert offered("fleetssh help j") == ["journal"]
    assert offered("fleetssh help lab ki") == ["kill"]
    assert offered("fleetssh help journal ") == []
    assert offered("fleetssh lab ki") == ["kill"]
    assert offered("fleetssh nosuchverb ") == []


def _commands():
    root = click.Context(program)
    for name in ENTRIES:
        command = program.get_command(root, name)
        yield name, command
        if isinstance(command, click.Group):
            yield from ((f"{name} {word}", part) for word, part in command.commands.items())


@pytest.mark.parametrize(("verb", "command"), [*_commands()], ids=lambda value: str(value))
def test_every_flag_of_every_verb_and_no_hidden_one(offered, verb, command):
    flags = [p for p in command.get_params(click.Context(command)) if isinstance(p, click.Option)]
    shown = offered(f"fleetssh {verb} --")
    assert {name for flag in flags if not flag.hidden for name in flag.opts if len(name) > 3} == set(shown)
    assert not {name for flag in flags if flag.hidden for name in flag.opts} & set(shown)


def test_flags_by_their_letters_too(offered):
    assert "-f" in offered("fleetssh journal -")
    assert not {"--f", "--l"} & set(offered("fleetssh journal --"))


def test_a_boolean_flag_takes_a_value_only_behind_an_equals_sign(offered, cluster):
    assert offered("fleetssh stop --no-block=") == ["--no-block=true", "--no-block=false"]
    assert "hello.service" in offered("fleetssh stop --no-block ")


def test_nothing_is_offered_for_a_value_that_is_free(offered, cluster):
    assert offered("fleetssh journal --lines ") == []
    assert offered("fleetssh journal --lines=") == []
    assert offered("fleetssh --forks ") == []


def test_choices(offered):
    assert offered("fleetssh completion ") == list(SCRIPTS)
    assert offered("fleetssh completion z") == ["zsh"]
    assert offered("fleetssh plan -o ") == ["table", "json", "yaml"]


def test_fields_one_after_the_other(offered):
    assert offered("fleetssh list-units --fields un") == ["unit"]
    assert offered("fleetssh list-units --fields=unit,a") == [
        "--fields=unit,active",
        "--fields=unit,age",
        "--fields=unit,age_seconds",
    ]


# ---------------------------------------------------------------- units, machines, paths


@pytest.mark.parametrize("verb", ["stop", "unload", "destroy", "restart", "cat", "status", "journal", "why"])
def test_stored_units(offered, cluster, verb):
    assert offered(f"fleetssh {verb} ") == ["hello.service", "web@.service", "web@1.service"]
    assert offered(f"fleetssh {verb} web@1") == ["web@1.service"]


@pytest.mark.parametrize("verb", ["submit", "load", "start"])
def test_stored_units_and_local_files(offered, cluster, verb):
    assert offered(f"fleetssh {verb} ") == ["units/", "hello.service", "web@.service", "web@1.service"]
    assert offered(f"fleetssh {verb} units/n") == ["units/new.timer"]
    assert offered(f"fleetssh {verb} ./units/h") == ["./units/hello.service"]


def test_verify_takes_local_files_only(offered, cluster):
    assert offered("fleetssh verify ") == ["units/"]
    assert offered("fleetssh verify units/w") == ["units/web@.service", "units/web@1.service"]


def test_a_unit_that_was_named_already_is_not_offered_again(offered, cluster):
    assert offered("fleetssh stop hello.service --no-block web@1.service ") == ["web@.service"]


def test_machines_by_name_and_by_the_beginning_of_an_id(offered, cluster):
    assert offered("fleetssh ssh ") == ["m1", "m2", "hello.service", "web@.service", "web@1.service"]
    assert offered("fleetssh ssh 0b") == [MACHINE_ID]
    assert offered("fleetssh ssh --machine ") == ["m1", "m2"]
    assert offered("fleetssh ssh --machine=0b") == [f"--machine={MACHINE_ID}"]
    assert offered("fleetssh ssh --unit=h") == ["--unit=hello.service"]


def test_the_command_for_a_machine_is_not_ours_to_complete(offered, cluster):
    assert offered("fleetssh ssh m1 ") == []
    assert offered("fleetssh ssh m1 -- -") == []


def test_machines_of_a_lab(offered, tmp_path, monkeypatch):
    monkeypatch.setenv("FLEETSSH_LAB_DIR", str(tmp_path))
    for number in (1, 2):
        folder = tmp_path / "mine" / "machines" / f"m{number}"
        folder.mkdir(parents=True)
        entry = {"version": 1, "number": number, "machine_id": "x"}
        (folder / "machine.json").write_text(json.dumps(entry))
    assert offered("fleetssh lab kill --name mine m") == ["m1", "m2"]
    assert offered("fleetssh lab kill m") == []


def test_paths(offered, cluster, tmp_path, monkeypatch):
    (tmp_path / ".hidden.yml").touch()
    (tmp_path / "new\nline").touch()
    assert offered("fleetssh --inventory ") == ["inventory.yml", "state.db", "units/"]
    assert offered("fleetssh list-units --inventory=inv") == ["--inventory=inventory.yml"]
    assert offered("fleetssh --state .h") == [".hidden.yml"]
    assert offered("fleetssh --known-hosts-file units/r") == ["units/readme.txt"]
    monkeypatch.setenv("HOME", str(tmp_path))
    assert offered("fleetssh --inventory ~/inv") == ["~/inventory.yml"]


# ---------------------------------------------------------------- where names come from


def test_global_flags_and_the_environment_say_where_names_are(offered, cluster, tmp_path, monkeypatch):
    other = tmp_path / "other"
    other.mkdir()
    (tmp_path / "state.db").rename(other / "s.db")
    (tmp_path / "inventory.yml").rename(other / "i.yml")
    assert offered("fleetssh ssh m") == offered("fleetssh stop h") == []
    for line in ("fleetssh --state other/s.db stop h", "fleetssh stop --state=other/s.db h"):
        assert offered(line) == ["hello.service"]
    assert offered("fleetssh --inventory=other/i.yml ssh m") == ["m1", "m2"]
    monkeypatch.setenv("FLEETSSH_STATE", "other/s.db")
    monkeypatch.setenv("FLEETCTL_INVENTORY", "other/i.yml")
    assert offered("fleetssh stop h") == ["hello.service"]
    assert offered("fleetssh ssh m") == ["m1", "m2"]
    assert offered("fleetssh --state=state.db stop h") == []


@pytest.mark.parametrize(
    "state", ["missing.db", "missing/state.db", "memory:", "folder", "broken.db", "etcd:x"]
)
def test_a_state_that_cannot_be_read_gives_no_names_and_is_left_as_it_is(offered, tmp_path, state):
    (tmp_path / "folder").mkdir()
    (tmp_path / "broken.db").write_bytes(b"no database at all " * 100)
    (tmp_path / "hello.service").write_bytes(UNIT)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    for verb in ("stop", "ssh 0", "why"):
        assert offered(f"fleetssh --state {state} {verb} ") == []
    assert offered(f"fleetssh --state {state} start h") == ["hello.service"]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_without_any_state_none_is_made(offered, tmp_path, monkeypatch):
    monkeypatch.delenv("FLEETSSH_STATE")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    assert offered("fleetssh stop ") == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text", ["", "all: {hosts: [", "all: {hosts: {}}", "\0", "all: {vars: {ansible_port: x}}"]
)
def test_a_broken_inventory_gives_no_machines_and_leaves_the_units(offered, cluster, tmp_path, text):
    (tmp_path / "inventory.yml").write_text(text)
    assert offered("fleetssh ssh ") == ["hello.service", "web@.service", "web@1.service"]


@pytest.mark.parametrize(
    "words", [("--sign",), ("--forks", "x"), ("--nosuchflag",), ("--cluster", "/"), ("\0",)]
)
def test_a_line_with_mistakes_ends_in_silence(fleetssh, cluster, words):
    ran = fleetssh("completion", "fish", "--", "start", *words, "")
    assert (ran.code, ran.err) == (0, "")


@settings(deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=8), max_size=5), st.text(max_size=8))
def test_no_line_is_too_strange_to_complete(words, current):
    for candidate in find_candidates(program, [w for w in words if "\0" not in w], current):
        assert candidate.value.startswith(current)


# ---------------------------------------------------------------- what it costs

HEAVY = ("fabric", "invoke", "paramiko", "rich")


@pytest.mark.parametrize("line", ["", "st", "start --", "start ", "ssh m", "journal ", "lab kill "])
def test_it_imports_nothing_heavy(cluster, tmp_path, line):
    code = (
        "import sys; from fleetssh.cli.main import main; main(sys.argv[1:]);"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    argv = [sys.executable, "-c", code, "completion", "fish", "--", *line.split(" ")]
    ran = subprocess.run(argv, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert ran.stdout.splitlines()[-1] == "[]"


# ---------------------------------------------------------------- bash's pieces


@pytest.mark.parametrize(
    ("line", "piece", "reply"),
    [
        ("fleetssh stop web@1", "@1", "@1.service"),
        ("fleetssh stop web@", "@", "@1.service"),
        ("fleetssh stop a:", "", "b.service"),
        ("fleetssh stop a:b", "b", "b.service"),
        (r"fleetssh stop a\:b", r"a\:b", "a:b.service"),
        ("fleetssh stop dev", "dev", r"dev-disk\\x2d.mount"),
        ("fleetssh stop 'dev", "dev", r"dev-disk\x2d.mount"),
        ("fleetssh stop --no-block=t", "t", "true"),
        ("fleetssh stop 'a b' a", "a", "a:b.service"),
        ('fleetssh stop "we"b@1', "@1", "@1.service"),
    ],
)
def test_bash_gets_what_goes_in_the_place_of_its_piece(fleetssh, tmp_path, line, piece, reply):
    for name in ("web@1.service", "a:b.service", r"dev-disk\x2d.mount"):
        (tmp_path / name).write_bytes(UNIT)
        assert fleetssh("submit", f"./{name}").code == 0
    ran = fleetssh("completion", "bash", "--", line, piece)
    assert (ran.code, ran.out, ran.err) == (0, f"{reply}\n", "")


@pytest.mark.parametrize("shell", SCRIPTS)
def test_the_shell_itself_finds_its_script_in_order(fleetssh, tmp_path, shell):
    script = tmp_path / "script"
    script.write_text(fleetssh("completion", shell).out)
    assert subprocess.run([shell, "-n", script], capture_output=True, check=True).stderr == b""


def test_help_says_how_to_install_it_for_every_shell(fleetssh):
    text = fleetssh("completion", "--help").out
    for place in ("~/.bashrc", "~/.zshrc", "~/.config/fish/config.fish"):
        assert place in text
    assert fleetssh("completion", "csh").code == 2
    assert Path("state.db").exists() is False
