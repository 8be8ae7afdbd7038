"""A program cut off while it was sent: whatever arrived of it, none of it is carried out."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable
from pathlib import Path

from tests.wire.machine import Machine
from tests.wire.visits import LOADED, act, holding, install, plan, want

A, B = want("a.service"), want("b.service", LOADED)
TEXT = b"[Service]\nExecStart=/bin/sh -c 'echo \"}\"; exit 0'\n}\n"
STEPS = plan(
    [want("b.service", text=TEXT), want("c.service", text=TEXT, installs=True)],
    stop=["a.service"],
    remove=["a.service"],
    write=["b.service", "c.service"],
    link=["b.service"],
    reload=[""],
    restart=["b.service"],
    start=["c.service"],
)

FEED = """
LC_ALL=C; IFS= read -r -d '' program </etc/program
for n in %s; do printf '%%s' "${program:0:n}" | %s 2>/dev/null; done
"""

HEAD = 600
"""The program's first lines: what would be carried out if the shell ran it line by line."""

TAIL = 200
STRIDE = 23


def places(program: bytes) -> list[int]:
    """Where to cut: everywhere in the first lines and in what acts, elsewhere by samples."""
    acting = program.index(b"\nact() {")
    everywhere = {*range(HEAD), *range(acting, len(program))}
    assert len(program) - acting > TAIL
    return sorted(everywhere | set(range(HEAD, acting, STRIDE)))


def around() -> set[str]:
    """What a shell gone wrong would leave on this computer."""
    return {str(path) for folder in (Path(os.sep), Path.cwd()) for path in folder.iterdir()}


def feed(machine: Machine, command: str, cuts: Iterable[int]) -> bytes:
    script = FEED % (" ".join(map(str, cuts)), command)
    return machine.enter(f"/usr/bin/bash -c {shlex.quote(script)}", timeout=240).out


def test_a_program_cut_off_anywhere_does_nothing(machine: Machine) -> None:
    machine.reached(act(install(A, B)))
    visit = act(STEPS, holding(A, B))
    (machine.root / "etc/program").write_bytes(visit.program)
    before, beside = machine.tree(), around()
    cuts = places(visit.program)
    assert feed(machine, visit.command, cuts) == b""
    assert machine.tree() == before
    assert around() <= beside
    # And the whole of it, fed in the same way, does everything.
    assert b" end" in feed(machine, visit.command, [len(visit.program)])
    assert sorted(machine.files()) == ["b.service", "c.service"]
