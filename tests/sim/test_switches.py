"""The ring can fail: with any safeguard off, some seed breaks a rule.

What no simulation of visits as values can see is tested elsewhere: host keys and logins (rule 11: here they
are kinds of failure only; ``tests/hosts``, ``tests/live``), formats on the wire (rule 10: ``tests/wire``),
limits (rule 12: beside what they limit), a state that is lost (rule 9: ``tests/live``), and whether systemd
keeps what its unit files promise (leases in ``tests/live``).
"""

from __future__ import annotations

import pytest

from tests.sim.run import run_seed
from tests.sim.switches import SWITCHES, Switch

MOST_SEEDS = 400
"""Tried for each safeguard, from the first that is known to miss it; hardly ever more than one is needed."""


@pytest.mark.parametrize("switch", SWITCHES, ids=lambda switch: switch.off.replace(" ", "-"))
def test_a_safeguard_that_is_off_is_missed(switch: Switch, monkeypatch: pytest.MonkeyPatch) -> None:
    for owner, name, instead in switch.patches:
        monkeypatch.setattr(owner, name, instead)
    levers = frozenset() if switch.patches else frozenset({switch.off})
    rules = (
        run_seed(seed, levers, switch.about).rule for seed in range(switch.first, switch.first + MOST_SEEDS)
    )
    assert any(rule in switch.breaks for rule in rules), "nobody noticed"
