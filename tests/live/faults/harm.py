"""What breaks, and how it is mended."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from fleetssh import clock
from tests.live.conftest import Fleet

Harm: TypeAlias = Callable[[Fleet, str], None]
"""Done to one machine of a user's; some are done to all of them, whichever is named."""


def inside(fleet: Fleet, machine: str, script: str) -> None:
    done = fleet.lab.run_inside(machine, ["/bin/sh", "-ec", script])
    assert done.returncode == 0, done.stderr


def run(script: str) -> Harm:
    """A script that runs inside the machine."""
    return lambda fleet, machine: inside(fleet, machine, script)


def nothing(fleet: Fleet, machine: str) -> None:
    pass


def kill(fleet: Fleet, machine: str) -> None:
    fleet.lab.kill(machine)


def boot(fleet: Fleet, machine: str) -> None:
    fleet.lab.boot(machine)


def kill_and_boot(fleet: Fleet, machine: str) -> None:
    kill(fleet, machine)
    boot(fleet, machine)


def freeze(fleet: Fleet, machine: str) -> None:
    fleet.lab.freeze(machine)


def thaw(fleet: Fleet, machine: str) -> None:
    fleet.lab.thaw(machine)


def freeze_for_a_while(fleet: Fleet, machine: str) -> None:
    fleet.lab.freeze(machine)
    clock.sleep(5)
    fleet.lab.thaw(machine)


def cut(fleet: Fleet, machine: str) -> None:
    fleet.lab.cut(machine)


def cut_one_way(fleet: Fleet, machine: str) -> None:
    fleet.lab.cut(machine, one_way=True)


def heal(fleet: Fleet, machine: str) -> None:
    fleet.lab.heal(machine)


def lose(fleet: Fleet, machine: str) -> None:
    """Three packets of ten, each way."""
    fleet.lab.lose(machine, 30)


def cut_all(fleet: Fleet, machine: str) -> None:
    for found in fleet.lab.machines():
        fleet.lab.cut(found.name)


def heal_all(fleet: Fleet, machine: str) -> None:
    for found in fleet.lab.machines():
        fleet.lab.heal(found.name)


def isolate(fleet: Fleet, machine: str) -> None:
    fleet.lab.isolate()


def rejoin(fleet: Fleet, machine: str) -> None:
    fleet.lab.rejoin()


SSHD_STOPPED = "systemctl kill -s KILL ssh; systemctl stop ssh"
"""Open connections too: they would go on by themselves."""

SSHD_STARTED = "systemctl start ssh"

NO_SUDO = "mv /etc/sudoers.d/ops /root/ops.sudoers"
SUDO = "mv /root/ops.sudoers /etc/sudoers.d/ops"

OTHER_KEY = """
mkdir /root/keys; cp -a /etc/ssh/ssh_host_* /root/keys
rm /etc/ssh/ssh_host_*; ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
systemctl kill -s KILL ssh; systemctl restart ssh
"""
FORMER_KEY = "rm /etc/ssh/ssh_host_*; cp -a /root/keys/. /etc/ssh; rm -r /root/keys; systemctl restart ssh"

SMALL = "cp -a /run/fleet /root/kept; mount -t tmpfs -o size=64k,mode=755 none /run/fleet"
FULL = f"{SMALL}; cp -a /root/kept/. /run/fleet/; rm -r /root/kept; cat /dev/zero >/run/fleet/filler || :"
READ_ONLY = "mount --bind /run/fleet /run/fleet; mount -o remount,bind,ro /run/fleet"
UNMOUNT = "until umount /run/fleet; do sleep 0.02; done"
"""A visit may have it open."""
