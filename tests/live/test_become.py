"""Everything through a plain user and sudo."""

from __future__ import annotations

import pytest

from tests.live.conftest import Fleet
from tests.live.outside import edit_inventory, kinds, service, traces


@pytest.fixture
def ops(fleet: Fleet) -> Fleet:
    edit_inventory(fleet, lambda everyone, _: everyone.update(ansible_user="ops", ansible_become=True))
    return fleet


def test_a_unit_lives_and_dies_through_sudo(ops: Fleet) -> None:
    text = service(command="/bin/sh -c 'echo here I am; exec sleep infinity'")
    ops.unit("web.service", text)
    ops.unit("agent.service", service(fleet=["Global=true"]))
    ops.run("start", "web", "agent")
    (home,) = ops.running_on("web.service")
    assert ops.running_on("agent.service") == ["m1", "m2", "m3"]
    file = ops.witness(home).file("/run/fleet/units/web.service")
    assert (file.user, file.mode, file.content_string) == ("root", 0o644, text)

    assert "Active: active (running)" in ops.run("status", "web").out
    assert "here I am" in ops.run("journal", "web").out
    before = traces(ops)
    assert ops.run("reconcile").out == ""
    assert traces(ops) == before

    ops.run("restart", "web")
    ops.run("stop", "web")
    ops.run("destroy", "web", "agent")
    assert kinds(ops, home, "web.service") == ["start", "restart", "start", "stop"]
    assert ops.run("list-units", "--no-legend").out == ""
    assert not ops.witness(home).file("/run/fleet/units/web.service").exists


def test_root_and_sudo_see_the_same(ops: Fleet) -> None:
    ops.unit("web.service", service())
    ops.run("start", "web")
    before = traces(ops)
    edit_inventory(ops, lambda everyone, _: everyone.update(ansible_user="root", ansible_become=False))
    assert ops.run("reconcile").out == ""
    assert traces(ops) == before


def test_a_plain_user_is_told_what_is_missing(fleet: Fleet) -> None:
    edit_inventory(fleet, lambda everyone, _: everyone.update(ansible_user="ops"))
    answer = fleet.run("reconcile", code=4)
    assert answer.err.count("set `ansible_become: true` in the inventory") == 3
