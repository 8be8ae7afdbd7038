"""What a look starts on a machine, and that it sees the same where it goes another way about it: a machine is
looked at every few seconds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fleetssh.core.model import Claim
from fleetssh.core.sighting import Ending, Found
from fleetssh.wire.program import FEW, SHORT_LINES
from fleetssh.wire.script import format_manifest
from tests.wire.machine import Machine
from tests.wire.visits import CLUSTER, LOADED, WHO, act, holding, install, look, plan, want

CLAIM = Claim(CLUSTER, 0, WHO)

NOTING = """#!/usr/bin/bash
read -r parent </proc/$PPID/comm; [ "$parent" = systemctl ] || echo {name} >>/run/sim/started
exec /usr/bin/{name} "$@"
"""


def note_starts(machine: Machine, program: bytes) -> None:
    """Writes down which programs that its text may name a visit starts; what the played systemctl starts by
    itself does not count."""
    words = set(re.findall(r"[a-z0-9-]+", program.decode()))
    for name in words & {path.name for path in Path("/usr/bin").iterdir()} - {"systemctl", "journalctl"}:
        path = machine.root / "bin" / name
        path.write_text(NOTING.format(name=name))
        path.chmod(0o755)


def found(machine: Machine) -> dict[str, Found]:
    return {item.entry.name: item for item in machine.reached(look()).found}


def test_where_all_is_well_a_look_of_a_pass_starts_three_processes(machine: Machine) -> None:
    machine.reached(act(install(want("a.service"), want("b.service", LOADED)), claim=CLAIM))
    note_starts(machine, look(claim=CLAIM).program)
    (machine.sim / "calls").unlink()
    seen = machine.reached(look(claim=CLAIM))
    assert [item.active for item in seen.found] == ["active", "inactive"]
    assert (machine.sim / "started").read_text().split() == ["cat", "sha1sum"]
    (asked,) = (machine.sim / "calls").read_text().splitlines()
    assert asked.partition(" -- ")[2] == "a.service b.service fleetssh-lease-*"


@pytest.mark.parametrize("count", [4, FEW, FEW + 1])
def test_few_units_and_many_are_seen_alike(machine: Machine, count: int) -> None:
    units = [want(f"unit-{number}.service") for number in range(count)]
    machine.reached(act(install(*units)))
    machine.set_state("unit-0.service", "failed", "failed")
    machine.set_state("unit-1.service", "inactive", "dead")
    (machine.sim / "units/unit-2.service").unlink()
    machine.set_state("own.service", "failed", "failed")
    seen = found(machine)
    assert {name for name, item in seen.items() if item.active != "active"} == {
        f"unit-{number}.service" for number in range(3)
    }
    assert {name for name, item in seen.items() if item.detail} == {"unit-0.service"}
    assert {name: item.ending for name, item in seen.items() if item.ending} == {
        "unit-1.service": Ending.NEVER_STARTED,
        "unit-2.service": Ending.NEVER_STARTED,
    }


def test_names_with_backslashes_are_no_patterns(machine: Machine) -> None:
    names = [r"a\x2db.service", r"ax2db.service", r"c\x2dd.service", r"c\\x2dd.service"]
    machine.reached(act(install(*map(want, names))))
    machine.set_state(names[1], "inactive", "dead")
    machine.set_state(names[2], "failed", "failed")
    seen = found(machine)
    assert [seen[name].active for name in names] == ["active", "inactive", "failed", "active"]
    assert [seen[name].ending for name in names] == [None, Ending.NEVER_STARTED, None, None]


@pytest.mark.parametrize("end", ["", "\n", "\n\n\n"])
def test_files_of_any_length_are_read_whole(machine: Machine, end: str) -> None:
    machine.units.mkdir(parents=True)
    for lines in (1, 2, SHORT_LINES - 1, SHORT_LINES, SHORT_LINES + 1, 3 * SHORT_LINES):
        units = [want(f"unit-{number}.service", LOADED) for number in range(lines - 1)]
        machine.manifest.write_text(format_manifest(holding(*units)).rstrip("\n") + end)
        comments = "# a comment with a \\ in it\n\n" * lines
        (machine.root / "etc/fleet/fleet.conf").write_text(f'{comments}metadata="lines={lines}"{end}')
        seen = machine.reached(look())
        assert seen.manifest.entries == holding(*units).entries
        assert seen.facts.metadata == {"lines": str(lines)}
    # An act is for the manifest that was seen, however it ends.
    done = machine.reached(act(plan([], note=[]), seen.manifest))
    assert done.outcomes == ()
