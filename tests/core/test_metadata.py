from __future__ import annotations

import pytest

from fleetssh.core.metadata import chosen, describe, merge
from fleetssh.core.sighting import Facts

GIB = 2**30


def test_a_machine_describes_itself() -> None:
    facts = Facts(
        "m1",
        "b1",
        architecture="x86-64",
        os="debian",
        os_version="12",
        systemd_version="252",
        cpus=4,
        memory_total=8 * GIB - 300 * 2**20,
        metadata={"disk": "ssd"},
    )
    assert describe(facts) == {
        "disk": "ssd",
        "fleet.arch": "x86-64",
        "fleet.cpus": "4",
        "fleet.memory": "8",
        "fleet.os": "debian",
        "fleet.os_version": "12",
        "fleet.systemd": "252",
    }


def test_what_is_not_known_is_not_said() -> None:
    assert describe(Facts("m1", "b1")) == {}


def test_a_machine_cannot_lie_about_what_is_probed() -> None:
    facts = Facts("m1", "b1", architecture="arm64", metadata={"fleet.arch": "x86-64", "fleet.gpu": "yes"})
    assert describe(facts) == {"fleet.arch": "arm64"}


@pytest.mark.parametrize(("memory", "text"), [(GIB // 4, "0"), (GIB, "1"), (GIB * 7 // 4, "2")])
def test_memory_is_told_in_whole_gibibytes(memory: int, text: str) -> None:
    assert describe(Facts("m1", "b1", memory_total=memory)) == {"fleet.memory": text}


def test_the_inventory_wins_over_the_machine() -> None:
    """F-200: what is configured wins; pair by pair, where fleet replaced all."""
    assert merge({"disk": "ssd", "a": "1"}, {"disk": "hdd"}) == {"disk": "hdd", "a": "1"}


def test_without_pairs_in_the_inventory_the_machines_own_count() -> None:
    """F-201"""
    assert merge({"disk": "ssd"}, {}) == {"disk": "ssd"}
    assert merge({}, {}) == {}


def test_people_see_what_people_gave_sorted() -> None:
    metadata = {"z": "1", "fleet.arch": "x86-64", "a": "2"}
    assert list(chosen(metadata).items()) == [("a", "2"), ("z", "1")]


def test_brief_facts_keep_what_is_known_of_the_boot_but_not_the_old_labels() -> None:
    facts = Facts("m1", "b1", metadata={"disk": "ssd"}, is_brief=True)
    known = {"fleet.arch": "arm64", "disk": "hdd", "gone": "yes"}
    assert describe(facts, known) == {"disk": "ssd", "fleet.arch": "arm64"}
