"""The lease of the units that do not say one, from the inventory."""

from __future__ import annotations

import pytest

from fleetssh.core.errors import InventoryError
from tests.inventory.conftest import Load


def test_without_the_variable_there_is_no_lease(load: Load) -> None:
    assert load("all: {hosts: {m1: }}\n").hosts[0].lease == 0


def test_a_lease_is_inherited_and_overridden_like_any_variable(load: Load) -> None:
    inventory = load(
        "all:\n  vars: {fleet_lease: 30}\n  hosts:\n    m1:\n    m2: {fleet_lease: 2min}\n"
        "    m3: {fleet_lease: 0}\n    m4: {fleet_lease: }\n"
    )
    assert {host.name: host.lease for host in inventory.hosts} == {"m1": 30, "m2": 120, "m3": 0, "m4": 0}
    assert inventory.warnings == ()


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("soon", ": 'soon' is no length of time; expected seconds, as in 30, 30s or 2min"),
        ("2", ": 2 s would run out between two passes; expected at least 5, or 0 for none"),
        ("2 d", ": '2 d' is no length of time; expected seconds, as in 30, 30s or 2min"),
        ("100000", ": '100000' is too long; expected at most a day (86400 s)"),
        ("[30]", " is a list; expected seconds, as in 30"),
        ("{s: 30}", " is a mapping; expected seconds, as in 30"),
        ("'{{ lease }}'", " is the template '{{ lease }}'; expected the value itself"),
    ],
)
def test_a_lease_that_cannot_be_meant_is_told_with_its_line(load: Load, value: str, problem: str) -> None:
    with pytest.raises(InventoryError) as caught:
        load(f"all:\n  hosts:\n    m1:\n      fleet_lease: {value}\n")
    assert str(caught.value) == f"hosts.yml:4: `fleet_lease`{problem}"
