"""The rows of the table of faults that break machines and networks."""

from __future__ import annotations

from tests.live.conftest import Fleet
from tests.live.faults import harm
from tests.live.faults.rows import Fate, Row
from tests.live.outside import edit_inventory

HIDDEN = {"FLEETSSH_LOST_AFTER_LOOKS": "2", "FLEETSSH_LOST_AFTER_SECONDS": "1"}


def with_sudo(fleet: Fleet) -> None:
    """The user logs in as somebody who must become root."""
    edit_inventory(fleet, lambda everyone, _: everyone.update(ansible_user="ops", ansible_become=True))


ROWS = (
    Row("kill", Fate.MOVE, harm.kill, harm.boot, dies=True),
    Row("kill and boot", Fate.STAY, harm.kill_and_boot, dies=True),
    Row("freeze 5 s", Fate.STAY, harm.freeze_for_a_while),
    Row("freeze past the verdict, thaw", Fate.MOVE, harm.freeze, harm.thaw, freezes=True),
    Row("cut past the verdict, heal", Fate.MOVE, harm.cut, harm.heal),
    Row("cut one way", Fate.MOVE, harm.cut_one_way, harm.heal),
    Row("sshd stopped", Fate.MOVE, harm.run(harm.SSHD_STOPPED), harm.run(harm.SSHD_STARTED)),
    Row("sudo taken away", Fate.STAY, harm.run(harm.NO_SUDO), harm.run(harm.SUDO), prepare=with_sudo),
    Row("host key changed", Fate.STAY, harm.run(harm.OTHER_KEY), harm.run(harm.FORMER_KEY)),
    Row("/run/fleet full", Fate.STAY, harm.run(harm.FULL), harm.run(harm.UNMOUNT)),
    Row("/run/fleet read-only", Fate.STAY, harm.run(harm.READ_ONLY), harm.run(harm.UNMOUNT)),
    Row("all machines cut", Fate.STAY, harm.cut_all, harm.heal_all, everywhere=True),
    Row("controller's network gone", Fate.STAY, harm.isolate, harm.rejoin, everywhere=True),
)
