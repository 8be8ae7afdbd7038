"""Runs command lines in this process, on a state file of their own and in a folder of their own."""

import os
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from fleetssh.cli.main import main


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


@pytest.fixture
def fleetssh(tmp_path, monkeypatch, capsys) -> Callable[..., Ran]:
    for name in [n for n in os.environ if n.startswith(("FLEETSSH_", "FLEETCTL_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FLEETSSH_STATE", str(tmp_path / "state.db"))
    monkeypatch.chdir(tmp_path)

    def run(*argv: str) -> Ran:
        capsys.readouterr()
        code = main(argv)
        return Ran(code, *capsys.readouterr())

    return run


@pytest.fixture
def hello(tmp_path) -> bytes:
    """A unit file hello.service in the current folder; its bytes."""
    text = rb"""# a comment
[Unit]
Description=Hello World

[Service]
ExecStart=/bin/bash -c "while true; do echo \"Hello, world\"; sleep 1; done"
"""
    (tmp_path / "hello.service").write_bytes(text)
    return text
