"""What every answer to bad input must be, and logins that misbehave."""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing

from tests.live.conftest import Answer, Fleet

NO_FILES: Mapping[str, str] = {}
DECISIONS = ("meta", "text", "unit", "placement")


def decisions(fleet: Fleet) -> list[tuple[object, ...]]:
    """Everything in the state file that somebody decided."""
    with closing(sqlite3.connect(f"file:{fleet.env['FLEETSSH_STATE']}?mode=ro", uri=True)) as store:
        return [row for table in DECISIONS for row in store.execute(f"SELECT * FROM {table} ORDER BY 1")]


def refuse(fleet: Fleet, *args: str, code: int = 1, says: Iterable[str] = ()) -> Answer:
    """Runs what cannot be done: its exit code, what its answer says, no defect, and nothing decided."""
    before = decisions(fleet)
    answer = fleet.run(*args, code=code)
    assert "internal error" not in answer.err
    for text in says:
        assert text in answer.err, f"{text!r} is not in:\n{answer.err}"
    assert decisions(fleet) == before
    return answer


def add_login(fleet: Fleet, machine: str, name: str, shell: str, files: Mapping[str, str] = NO_FILES) -> None:
    """Gives a machine a second root whose login shell, or home, is out of the ordinary; ``shell`` is a path,
    or a script that begins with ``#!``. Taken away again by ``drop_logins``."""
    home = f"/run/logins/{name}"
    path = f"{home}/shell" if shell.startswith("#!") else shell
    lines = [
        f"mkdir -p {home}/.ssh && cp /root/.ssh/authorized_keys {home}/.ssh/ && chmod 755 /run/logins {home}",
        f"useradd -o -u 0 -g 0 -M -d {home} -s {path} {name}",
        *(f"printf %s {shlex.quote(text)} >{home}/{file}" for file, text in files.items()),
    ]
    if shell.startswith("#!"):
        lines += [f"printf %s {shlex.quote(shell)} >{path}", f"chmod 755 {path}"]
    run_inside(fleet, machine, "\n".join(["set -e", *lines]))


def drop_logins(fleet: Fleet, machine: str) -> None:
    """Takes all logins of ``add_login`` away, and what wrote its process id into /run/logins/.pids."""
    script = "kill $(cat .pids); for login in *; do userdel -f $login; done; rm -rf /run/logins"
    fleet.lab.run_inside(machine, ["/bin/sh", "-c", f"cd /run/logins && {{ {script}; }}"])


def run_inside(fleet: Fleet, machine: str, script: str) -> str:
    """Runs a script inside a machine, past its sshd; what it printed. It must succeed."""
    done = fleet.lab.run_inside(machine, ["/bin/sh", "-c", script])
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
    return done.stdout
