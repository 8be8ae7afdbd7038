"""Names that a machine has for itself, wherever that is: never overwritten, shadowed, started or stopped."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.live.conftest import Fleet
from tests.live.misuse import run_inside
from tests.live.outside import main_pid, pinned

OWN = "[Service]\\nExecStart=/bin/sleep 77\\n"

FILES: dict[str, tuple[str, str]] = {
    "etc.service": ("/etc/systemd/system/etc.service", "f"),
    "control.service": ("/etc/systemd/system.control/control.service", "f"),
    "attached.service": ("/run/systemd/system.attached/attached.service", "f"),
    "vendor.service": ("/usr/lib/systemd/system/vendor.service", "f"),
    "local.service": ("/usr/local/lib/systemd/system/local.service", "f"),
    "runtime.service": ("/run/systemd/system/runtime.service", "f"),
    "alias.service": ("/etc/systemd/system/alias.service", "l"),
    "masked.service": ("/etc/systemd/system/masked.service", "m"),
    "hidden.service": ("/run/systemd/system/hidden.service", "m"),
    "lost.service": ("/etc/systemd/system/lost.service", "d"),
    "web@1.service": ("/etc/systemd/system/web@.service", "f"),
    "two@words@x.service": ("/usr/lib/systemd/system/two@.service", "f"),
}
"""The unit, the machine's file, and what that is: a file, a link to another unit, a mask, a dangling link."""

MAKE = {
    "f": f"printf '{OWN}' >{{0}}",
    "l": "ln -s /lib/systemd/system/ssh.service {0}",
    "m": "ln -s /dev/null {0}",
    "d": "ln -s /nowhere {0}",
}

GENERATOR = """#!/bin/sh
printf '[Service]\\nExecStart=/bin/sleep 77\\n' >"$1/made.service"
"""

RUNNING = [name for name, (_, kind) in FILES.items() if kind == "f"] + ["made.service", "transient.service"]


@pytest.fixture
def owner(fleet: Fleet) -> Iterator[Fleet]:
    """m2 has units of its own by many names, and runs those that can."""
    lines = ["set -e", "mkdir -p /usr/local/lib/systemd/system /run/systemd/system.attached"]
    lines += ["mkdir -p /etc/systemd/system.control /run/systemd/system-generators"]
    lines += [MAKE[kind].format(path) for path, kind in FILES.values()]
    lines += [f"cat >/run/systemd/system-generators/maker <<'END'\n{GENERATOR}END"]
    lines += ["chmod 755 /run/systemd/system-generators/maker", "systemctl daemon-reload"]
    lines += ["systemd-run -q --unit=transient sleep 77", "mount -t tmpfs none /mnt"]
    lines += [f"systemctl start -- {' '.join(RUNNING)}"]
    try:
        run_inside(fleet, "m2", "\n".join(lines))
        yield fleet
    finally:
        paths = " ".join(path for path, _ in FILES.values())
        run_inside(
            fleet,
            "m2",
            f"systemctl stop -- {' '.join(RUNNING)}; mountpoint -q /mnt && umount /mnt; rm -f -- {paths}\n"
            "rm -r /run/systemd/system-generators; systemctl daemon-reload",
        )


def standing(fleet: Fleet) -> str:
    """What the machine has: its files, what systemd loaded from where, and which processes run."""
    paths = " ".join(path for path, _ in FILES.values())
    return run_inside(
        fleet,
        "m2",
        f"ls -l --time-style=full-iso {paths}; mountpoint /mnt\n"
        f"systemctl show -p Id -p FragmentPath -p MainPID -p ActiveState -- {' '.join(RUNNING)} mnt.mount",
    )


def test_nothing_that_a_machine_has_for_itself_is_touched(owner: Fleet) -> None:
    before = standing(owner)
    names = [*FILES, "made.service", "transient.service"]
    for name in names:
        owner.unit(name, pinned("m2"))
    mount = "[Mount]\nWhat=none\nWhere=/mnt\nType=tmpfs\n[X-Fleet]\nMachineMetadata=name=m2\n"
    owner.unit("mnt.mount", mount)
    owner.unit("free.service", pinned("m2"))
    answer = owner.run("start", *names, "mnt.mount", "free", code=3)
    assert f"Unit free.service launched on {owner.legend('m2')}" in answer.out
    for name in [*names, "mnt.mount"]:
        assert f"Unit {name} launched" not in answer.out
        assert f"Unit {name} cannot go on {owner.legend('m2')}: it has a unit of its own" in answer.err
    for name, (path, _) in FILES.items():
        assert (
            f"Unit {name} cannot go on {owner.legend('m2')}: it has a unit of its own, {path}" in answer.err
        )
    assert standing(owner) == before
    owner.run("reconcile", code=3)
    owner.run("stop", *names, "mnt.mount", code=None)
    owner.run("destroy", *names, "mnt.mount", code=None)
    assert standing(owner) == before
    assert owner.running_on("free.service") == ["m2"]
    files = run_inside(owner, "m2", "ls /run/fleet/units").split()
    assert files == ["free.service"]


def test_a_mount_of_ours_comes_back_when_its_file_was_deleted(fleet: Fleet) -> None:
    """It is active without a file then, as one that the machine made would be; but we launched it."""
    fleet.unit(
        "srv.mount", "[Mount]\nWhat=none\nWhere=/srv\nType=tmpfs\n[X-Fleet]\nMachineMetadata=name=m2\n"
    )
    fleet.run("start", "srv.mount")
    run_inside(
        fleet, "m2", "rm /run/fleet/units/srv.mount /run/systemd/system/srv.mount; systemctl daemon-reload"
    )
    fleet.run("reconcile")
    assert fleet.witness("m2").file("/run/fleet/units/srv.mount").exists
    fleet.run("destroy", "srv.mount")
    assert fleet.witness("m2").run("mountpoint -q /srv").rc != 0


def test_a_unit_of_ours_that_the_machine_gets_for_itself_later_is_left_to_it(fleet: Fleet) -> None:
    fleet.unit("web@1.service", pinned("m2"))
    fleet.run("start", "web@1")
    pid = main_pid(fleet.witness("m2"), "web@1.service")
    run_inside(fleet, "m2", f"printf '{OWN}' >/etc/systemd/system/web@.service; systemctl daemon-reload")
    try:
        fleet.run("reconcile", code=None)
        assert main_pid(fleet.witness("m2"), "web@1.service") == pid
        fleet.run("destroy", "web@1", code=None)
        assert fleet.witness("m2").file("/etc/systemd/system/web@.service").exists
    finally:
        run_inside(fleet, "m2", "rm /etc/systemd/system/web@.service; systemctl daemon-reload")
