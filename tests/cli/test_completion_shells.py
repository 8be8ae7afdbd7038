"""Completion in real shells: what a person gets who types the beginning of a word and presses Tab."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.terminal import Terminal, terminal

FLEETSSH = Path(sys.executable).with_name("fleetssh")
ESCAPED = r"dev-disk\x2dby.mount"
UNIT = "[Service]\nExecStart=/bin/true\n"
SHOW = "\x18\x10"  # Ctrl-X Ctrl-P

SETUP = {
    "bash": r"""
PS1='ready>'
bind 'set bell-style none'
source <(fleetssh completion bash)
bind -x '"\C-x\C-p": printf "LINE<%s>" "$READLINE_LINE"'
""",
    "zsh": r"""
PROMPT='ready>'
autoload -U compinit && compinit -u -D
source <(fleetssh completion zsh)
show() { print -rn -- "LINE<$BUFFER>" }
zle -N show
bindkey '^X^P' show
""",
    "fish": r"""
function fish_prompt; echo -n 'ready>'; end
fleetssh completion fish | source
bind \cx\cp 'echo -n "LINE<"(commandline)">"'
""",
}
START = {
    "bash": ("bash", "--noprofile", "--rcfile", "{rc}", "-i"),
    "zsh": ("zsh", "-f", "-i", "-c", "ZDOTDIR={folder} exec zsh -i"),
    "fish": ("fish", "--no-config", "--init-command", "source {rc}", "-i"),
}


@pytest.fixture
def environ(tmp_path, monkeypatch) -> dict[str, str]:
    """A cluster with a few units, one of them a local file only, and two machines."""
    home = tmp_path / "home"
    work = tmp_path / "work"
    (work / "units").mkdir(parents=True)
    home.mkdir()
    (home / "inventory.yml").write_text("all: {hosts: {m1: {}, main.example.com: {}}}\n")
    for name in ("web@.service", "web@1.service", "a:b.service", ESCAPED):
        (work / name).write_text(UNIT)
    (work / "units" / "local.service").write_text(UNIT)
    environ = {
        "PATH": f"{FLEETSSH.parent}:{os.environ['PATH']}",
        "HOME": str(home),
        "TERM": "dumb",
        "LC_ALL": "C.UTF-8",
        "FLEETSSH_INVENTORY": str(home / "inventory.yml"),
        "FLEETCTL_STATE": str(home / "state.db"),
    }
    stored = ["web@.service", "web@1.service", "a:b.service", f"./{ESCAPED}"]
    subprocess.run([FLEETSSH, "submit", *stored], env=environ, cwd=work, check=True, capture_output=True)
    return environ


@pytest.fixture
def shell(tmp_path, environ) -> Iterator[Callable[[str], Terminal]]:
    opened = []

    def start(name: str) -> Terminal:
        rc = tmp_path / ".zshrc"
        rc.write_text(SETUP[name])
        argv = [word.format(rc=rc, folder=tmp_path) for word in START[name]]
        context = terminal(argv, environ, tmp_path / "work")
        opened.append(context)
        started = context.__enter__()
        started.await_text("ready>")
        return started

    yield start
    for context in opened:
        context.__exit__(None, None, None)


def complete(shell: Terminal, typed: str) -> str:
    shell.type(f"{typed}\t{SHOW}")
    shell.await_text("LINE<")
    line = shell.await_text(">")
    shell.type("\x15")
    return line


CASES = {
    "fleetssh star": "fleetssh start ",
    "fleetssh list-unit-": "fleetssh list-unit-files ",
    "fleetssh start --repl": "fleetssh start --replace ",
    "fleetssh stop --no-block=t": "fleetssh stop --no-block=true ",
    "fleetssh stop web@1": "fleetssh stop web@1.service ",
    "fleetssh stop a:": "fleetssh stop a:b.service ",
    "fleetssh stop a": "fleetssh stop a:b.service ",
    "fleetssh stop dev": r"fleetssh stop dev-disk\\x2dby.mount ",
    r"fleetssh stop dev-disk\\x": r"fleetssh stop dev-disk\\x2dby.mount ",
    "fleetssh stop 'web@1": "fleetssh stop 'web@1.service' ",
    "fleetssh --inventory ~/inv": "fleetssh --inventory ~/inventory.yml ",
    "fleetssh --inventory=units/loc": "fleetssh --inventory=units/local.service ",
    "fleetssh start units/": "fleetssh start units/local.service ",
    "fleetssh verify uni": "fleetssh verify units/",
    "fleetssh ssh ma": "fleetssh ssh main.example.com ",
    "fleetssh ssh --machine=ma": "fleetssh ssh --machine=main.example.com ",
    "fleetssh --state /nowhere/x stop web@1": "fleetssh --state /nowhere/x stop web@1",
}


@pytest.mark.parametrize("name", SETUP)
def test_a_word_is_completed_where_it_is_typed(shell, name):
    started = shell(name)
    assert {typed: complete(started, typed) for typed in CASES} == CASES
