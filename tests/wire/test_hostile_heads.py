"""A program whose beginning was lost: whatever a login shell's startup files read of it, nothing is done."""

from __future__ import annotations

import shlex

from tests.wire.machine import Machine
from tests.wire.test_cut import STEPS, A, B, around
from tests.wire.visits import act, holding, install

FEED = """
LC_ALL=C; IFS= read -r -d '' program </etc/program
for n in %s; do printf '%%s' "${program:n}" | %s 2>>/etc/said; done
"""

FIRST_BYTES = 40
"""Cut off one by one, as ``read -n`` or ``head -c`` would; beyond them at every line, as ``read`` would."""


def beginnings(program: bytes) -> list[int]:
    """Where the rest of a program may begin: after each of the first bytes, and after every line."""
    after_lines = (at + 1 for at, byte in enumerate(program) if byte == ord("\n"))
    return sorted({*range(1, FIRST_BYTES), *after_lines, len(program)})


def test_a_program_without_its_head_does_nothing(machine: Machine) -> None:
    machine.reached(act(install(A, B)))
    visit = act(STEPS, holding(A, B))
    (machine.root / "etc/program").write_bytes(visit.program)
    (machine.root / "etc/said").touch()
    before, beside = machine.tree(), around()
    cuts = beginnings(visit.program)
    assert len(cuts) > 200
    script = FEED % (" ".join(map(str, cuts)), visit.command)
    assert machine.enter(f"/usr/bin/bash -c {shlex.quote(script)}", timeout=240).out == b""
    said = (machine.root / "etc/said").read_text().splitlines()
    (machine.root / "etc/said").write_text("")
    assert machine.tree() == before
    assert around() <= beside
    assert set(said) == {"the login shell took the beginning of the program from standard input"}
    assert len(said) == len(cuts)
