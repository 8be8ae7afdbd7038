"""Inventories that mean more than a computer can hold, and folders that never end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fleetssh.core.errors import InventoryError
from fleetssh.inventory import load_inventory
from tests.inventory.conftest import Load

LEVELS = range(1, 41)

MERGES = "x0: &x0 {hosts: {h: }}\ny0: &y0 {vars: {}}\n" + "".join(
    f"{name}{level}: &{name}{level}\n  <<: [*x{level - 1}, *y{level - 1}]\n"
    for level in LEVELS
    for name in "xy"
)
CHILDREN = "g0: &g0 {hosts: {h: }}\n" + "".join(
    f"g{level}: &g{level} {{children: {{a{level}: *g{level - 1}, b{level}: *g{level - 1}}}}}\n"
    for level in LEVELS
)
VALUES = "all:\n  hosts: {h: }\n  vars:\n    v0: &v0 [x, x]\n" + "".join(
    f"    v{level}: &v{level} [*v{level - 1}, *v{level - 1}]\n" for level in LEVELS
)


@pytest.mark.parametrize("text", [MERGES, CHILDREN, VALUES], ids=["merge keys", "groups", "values"])
def test_aliases_of_aliases_are_counted_before_they_are_followed(load: Load, text: str) -> None:
    with pytest.raises(InventoryError, match="its aliases repeat more than 1000000 values"):
        load(text)


def test_an_alias_may_repeat_what_many_hosts_share(load: Load) -> None:
    hosts = "".join(f"    h{number}: *common\n" for number in range(2000))
    text = "x: {vars: &common {ansible_user: core, a: [1, 2, 3]}}\nall:\n  hosts:\n" + hosts
    assert {host.user for host in load(text).hosts} == {"core"}


def test_ranges_of_ranges_are_counted_before_they_are_written_out(load: Load) -> None:
    with pytest.raises(InventoryError, match="more than 10000"):
        load("all:\n  hosts:\n    ? '" + "[0:9999]" * 30 + "'\n    :\n")
    with pytest.raises(InventoryError, match=r"hosts\.yml:23: more than 200000 mentions of hosts"):
        load("all:\n  hosts:\n" + "".join(f"    h{number}-[0:9999]:\n" for number in range(100)))


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/full"])
def test_a_file_without_an_end_is_no_inventory(device: str) -> None:
    with pytest.raises(InventoryError, match=f"{device}: larger than 16777216 bytes; that is no inventory"):
        load_inventory(Path(device))


def test_a_pipe_is_read_as_shells_hand_it_over() -> None:
    """``--inventory <(make-inventory)``"""
    reader, writer = os.pipe()
    os.write(writer, b"all: {hosts: {m1: {}}}")
    os.close(writer)
    assert [host.name for host in load_inventory(Path(f"/dev/fd/{reader}")).hosts] == ["m1"]


def test_a_folder_inside_itself_is_told(load: Load) -> None:
    folder = Path("inv/group_vars/all")
    folder.mkdir(parents=True)
    for name in ("one", "other"):
        (folder / name).symlink_to(".")
    with pytest.raises(InventoryError, match="inv/group_vars/all/one: a symbolic link leads back to"):
        load({"hosts.yml": "all: {hosts: {m1: }}"})
