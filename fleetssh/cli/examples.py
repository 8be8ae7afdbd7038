"""What the help of a command shows as examples: command lines that a person may type as they are."""

from __future__ import annotations

from collections.abc import Mapping

Example = tuple[str, str]
"""A command line and what it is for."""

EXAMPLES: Mapping[str, tuple[Example, ...]] = {
    "fleetssh": (
        ('eval "$(fleetssh lab up)"', "three machines to try things with, on this computer (root)"),
        ("fleetssh list-machines", "look at every machine of ./inventory.yml"),
        ("fleetssh start hello.service", "hand ./hello.service over, choose its machine, run it"),
        ("fleetssh why hello", "why it runs where it runs"),
        ("fleetssh destroy hello", "stop it and forget it"),
    ),
    "submit": (("fleetssh submit web@.service", "a template; its instances are started by name"),),
    "load": (("fleetssh load web@1", "choose a machine for it, and start it later"),),
    "start": (
        ("fleetssh start hello.service", "hand ./hello.service over and run it"),
        ("fleetssh start web@{1..3}", "three instances of web@.service"),
        ("fleetssh start --replace hello.service", "run the changed file instead of the stored one"),
    ),
    "restart": (("fleetssh restart 'web@*'", "every instance of web@.service"),),
    "stop": (("fleetssh stop 'web@*'", "every instance of web@.service"),),
    "unload": (("fleetssh unload hello", "hello.service, as everywhere"),),
    "destroy": (("fleetssh destroy hello 'web@*'", "a unit, and what fits a glob"),),
    "cat": (("fleetssh cat hello", "the file of hello.service"),),
    "verify": (("fleetssh verify units/*.service", "every service in a folder"),),
    "list-machines": (
        ("fleetssh list-machines --full", "whole machine ids"),
        ("fleetssh list-machines --fields host,health,age", "who answers, and since when not"),
    ),
    "list-units": (
        ("fleetssh list-units --fields unit,host,active", "units by the names of their machines"),
        ("fleetssh list-units --output json", "for scripts"),
    ),
    "list-unit-files": (("fleetssh list-unit-files --fields unit,dstate,state", "wanted, and last seen"),),
    "events": (
        ("fleetssh events --unit 'web@*' --since 2h", "what happened to some units lately"),
        ("fleetssh events --kind move", "which units changed their machine, and why"),
    ),
    "status": (("fleetssh status hello", "systemctl status, from its machine"),),
    "journal": (
        ("fleetssh journal -f hello", "follow one unit"),
        ("fleetssh journal --since '10 min ago' 'web@*'", "several, merged by time"),
    ),
    "ssh": (
        ("fleetssh ssh m1", "a shell on the machine that the inventory calls m1"),
        ("fleetssh ssh hello.service", "a shell on the machine of that unit"),
        ("fleetssh ssh m1 -- df -h /run", "one command, with flags of its own"),
    ),
    "plan": (("fleetssh plan", "look before a deployment"),),
    "reconcile": (
        ("* * * * * ops fleetssh --inventory /etc/fleetssh/hosts.yml reconcile", "in /etc/crontab"),
    ),
    "run": (
        ("fleetssh run", "in the foreground, with a line for every change"),
        ("fleetssh run --interval 10", "a pass every ten seconds"),
    ),
    "why": (("fleetssh why hello", "where hello.service belongs, and why"),),
    "adopt": (
        ("fleetssh adopt", "every machine that obeys another controller, after a question"),
        ("fleetssh adopt m1 m2 --yes", "two machines, in a script"),
    ),
    "state rebuild": (
        ("fleetssh state rebuild --dry-run", "what a new state would hold"),
        ("fleetssh state rebuild", "make it, after a question"),
    ),
    "state check": (("fleetssh state check", "is the state sound?"),),
    "state backup": (
        ("fleetssh state backup before-upgrade.db", "before something that may go wrong"),
        ("0 3 * * * ops fleetssh state backup --force /mnt/backup/fleetssh.db", "in /etc/crontab"),
    ),
    "state restore": (("fleetssh state restore before-upgrade.db", "and back"),),
    "help": (("fleetssh help lab kill", "the help of a command of the lab"),),
}
"""By the name of the command."""
