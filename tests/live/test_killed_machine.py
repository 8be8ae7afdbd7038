"""``kill -9`` of a visit on the machine, before each command that it runs there: the next pass finishes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.live.conftest import Fleet
from tests.live.plays import (
    Play,
    Scenario,
    playing,
    replace_and_restart,
    side_by_side,
    start_and_destroy,
    stop_and_start,
)

COMMANDS = "mkdir mv ln rm rmdir systemctl timeout sleep flock"
"""What a visit changes the machine with, what it waits with, and what begins and ends its work."""

MORTAL = r"""#!/bin/sh
PATH=/usr/bin:/bin; name=${0##*/}; cd=/run/mortal
[ "$name" = flock ] && echo 0 >$cd/count
if [ -e $cd/count ]; then
  count=$(($(cat $cd/count) + 1)); echo $count >$cd/count
  [ $count -eq "$(cat $cd/at)" ] && { echo "$name $*" >$cd/killed; pkill -9 -s 0; }
  [ "$name" = rmdir ] && rm $cd/count
fi
exec "$name" "$@"
"""
"""Stands before a command of the machine: counts those of a visit from its lock on, and kills all of the
visit's session before the chosen one."""

INSTALL = f"""
mkdir -p /run/mortal; cat >/run/mortal/command <<'EOF'
{MORTAL}EOF
chmod +x /run/mortal/command
for name in {COMMANDS}; do ln -s /run/mortal/command /usr/local/sbin/$name; done
"""

REMOVE = f"""
for name in {COMMANDS}; do /usr/bin/rm -f /usr/local/sbin/$name; done
/usr/bin/rm -rf /run/mortal
"""


AT_LEAST_ONCE = frozenset({1, 2})
"""A restart that was carried out and not written down is repeated."""


@contextmanager
def mortal(play: Play) -> Iterator[None]:
    """The machine's commands can be the last of a visit."""
    inside(play, INSTALL)
    try:
        yield
    finally:
        inside(play, REMOVE)


def inside(play: Play, script: str) -> str:
    (machine,) = play.machines
    return play.fleet.lab.run_inside(machine, ["/usr/bin/sh", "-c", script]).stdout


def kill_everywhere(play: Play, scenario: Scenario) -> None:
    """Kills every command's visit before the first thing that it does there, the second, and so on."""
    deaths = Counter[str]()
    unharmed: set[str] = set()
    for turn in scenario(play):
        verb = turn.arguments[0]
        if unharmed and len(unharmed) == len(deaths):
            break
        deaths[verb] += verb not in unharmed
        inside(play, f"/usr/bin/rm -f /run/mortal/killed; echo {deaths[verb]} >/run/mortal/at")
        done = play.run(*turn.arguments)
        killed = inside(
            play, "cat /run/mortal/killed; echo 0 >/run/mortal/at; /usr/bin/rm -f /run/mortal/count"
        )
        where = f"{turn.arguments}: killed before {killed}{done.out}{done.err}"
        assert done.code == (4 if killed else 0), where
        if not killed:
            unharmed.add(verb)
        play.succeed("reconcile")
        assert play.lost(turn.wishes) == [], where
    assert all(count > 3 for count in deaths.values()), deaths


def test_a_visit_is_killed_before_each_of_its_commands(fleet: Fleet, tmp_path: Path) -> None:
    def visit(machine: str, scenario: Scenario) -> None:
        with playing(fleet, tmp_path / machine, machine) as play, mortal(play):
            kill_everywhere(play, scenario)

    side_by_side(
        lambda: visit("m1", start_and_destroy),
        lambda: visit("m2", lambda play: replace_and_restart(play, AT_LEAST_ONCE)),
        lambda: visit("m3", stop_and_start),
    )
