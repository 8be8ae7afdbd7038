"""What a death in the middle left on the machines, asked from outside, and what it must look like."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fleetssh.lab import Lab

SESSIONS = "ps -eo pid=,unit= | grep 'ssh[.]service' | sort"
"""What sshd and its children run, also when their other end has died."""

FRESH = f"mkdir -p /run/lives; rm -f /run/lives/*; {SESSIONS} >/run/others"
"""Units write down in /run/lives, each in its own file, when they start and stop. Who is logged in before a
test is not part of it."""

QUIET = f"""
n=0
while {SESSIONS} | comm -23 - /run/others | grep -q .; do
  n=$((n + 1)); [ $n -lt 1000 ] || exit 1; sleep 0.02
done
"""
"""Waits until no visit is at work: one whose other end has died may go on, or even be about to begin."""

LOOK = """
systemctl show -p Id -p ActiveState -p MainPID -p InvocationID -p NeedDaemonReload -- "$@"
echo "== files"; cd /run/fleet/units && sha1sum *
echo "== manifest"; cat /run/fleet/manifest
echo "== wanted"; ls /run/systemd/system/multi-user.target.wants
echo "== lives"; cd /run/lives && grep . /dev/null * && rm -f *
"""


@dataclass(frozen=True)
class Moment:
    """A unit started or stopped: ``at`` in nanoseconds of the clock that all lab machines share."""

    at: int
    unit: str
    what: str
    version: str


@dataclass(frozen=True)
class Aftermath:
    """One machine: what systemd says of the units by name, our files and their SHA-1, the manifest's lines,
    what is enabled, and what the units wrote down since the last look."""

    units: Mapping[str, Mapping[str, str]]
    files: Mapping[str, str]
    manifest: tuple[tuple[str, ...], ...]
    wanted: frozenset[str]
    lives: tuple[Moment, ...]

    def runs(self, unit: str) -> bool:
        """Whether systemd says that it is active."""
        return self.units[unit]["ActiveState"] == "active"

    def starts(self, unit: str) -> list[str]:
        """The versions of the unit that were started, in order."""
        return [moment.version for moment in self.lives if (moment.unit, moment.what) == (unit, "start")]

    def process(self, unit: str) -> tuple[str, str]:
        """Which run of the unit this is: another one has another process and another invocation."""
        return self.units[unit]["MainPID"], self.units[unit]["InvocationID"]


@dataclass(frozen=True)
class Wish:
    """What must be true of a unit in the end: it is on ``homes`` and nowhere else (without any: on exactly
    one machine), where it runs ``version`` and was started so many ``times``. One that is ``loaded`` is there
    and does not run; one that is ``gone`` is nowhere; one that is ``calm`` has never stopped."""

    version: int
    homes: tuple[str, ...] = ()
    times: frozenset[int] = frozenset({1})
    loaded: bool = False
    gone: bool = False
    calm: bool = False


def unit_text(version: int, *fleet: str) -> str:
    """A unit that writes down its life, and that systemd keeps in mind because it is enabled."""
    note = "/bin/sh -c 'echo %s $VERSION $(date +%%%%s%%%%N) >>/run/lives/%%n'"
    lines = [
        "[Service]",
        f"Environment=VERSION={version}",
        f"ExecStartPre={note % 'start'}",
        "ExecStart=/bin/sleep infinity",
        f"ExecStopPost={note % 'stop'}",
        "[Install]",
        "WantedBy=multi-user.target",
        "[X-Fleet]",
        *fleet,
    ]
    return "\n".join(lines) + "\n"


def forget_lives(lab: Lab, machine: str) -> None:
    """To be called before the first visit of a test."""
    assert lab.run_inside(machine, ["/bin/sh", "-c", FRESH]).returncode == 0


def wait_until_quiet(lab: Lab, machine: str) -> None:
    """Returns when no visit is at work on the machine."""
    done = lab.run_inside(machine, ["/bin/sh", "-c", QUIET])
    assert done.returncode == 0, f"{machine}: a visit does not end"


def look_at(lab: Lab, machine: str, units: list[str]) -> Aftermath:
    """What is on a machine. What the units wrote down is forgotten there."""
    said = lab.run_inside(machine, ["/bin/sh", "-c", LOOK, "look", *units]).stdout
    systemd, *rest = said.split("== ")
    parts = {words[0]: words[1:] for words in (part.splitlines() for part in rest)}
    blocks = [
        dict(line.split("=", 1) for line in block.splitlines()) for block in systemd.strip().split("\n\n")
    ]
    return Aftermath(
        units={block["Id"]: block for block in blocks},
        files={line.split()[1]: line.split()[0] for line in parts["files"]},
        manifest=tuple(tuple(line.split()) for line in parts["manifest"][1:]),
        wanted=frozenset(parts["wanted"]),
        lives=tuple(sorted(map(_moment, parts["lives"]), key=lambda moment: moment.at)),
    )


def _moment(line: str) -> Moment:
    unit, _, rest = line.partition(":")
    what, version, at = rest.split()
    return Moment(int(at), unit, what, version)


# ---------------------------------------------------------------- what must be true


def faults(seen: Mapping[str, Aftermath], wishes: Mapping[str, Wish]) -> list[str]:
    """Everything that is not as it must be, in words; empty when nothing was lost."""
    found = [f"{machine}: {fault}" for machine, after in seen.items() for fault in _untidy(after, wishes)]
    for unit, wish in wishes.items():
        found += [f"{unit}: {fault}" for fault in _unfulfilled(seen, unit, wish)]
    return found


def _untidy(after: Aftermath, wishes: Mapping[str, Wish]) -> Iterator[str]:
    """The files are those of the manifest and of wanted units."""
    if after.files != {name: digest for _, _, digest, name in after.manifest}:
        yield f"has the files {after.files}, its manifest says {after.manifest}"
    for target, _, _, name in after.manifest:
        if name not in wishes or target != ("loaded" if wishes[name].loaded else "launched"):
            yield f"its manifest says {target} {name}"


def _unfulfilled(seen: Mapping[str, Aftermath], unit: str, wish: Wish) -> Iterator[str]:
    running = {machine for machine, after in seen.items() if after.runs(unit)}
    holding = {machine for machine, after in seen.items() if unit in after.files}
    homes = set() if wish.gone else set(wish.homes or sorted(holding)[:1])
    if holding != homes or (not wish.gone and not homes):
        yield f"its file is on {sorted(holding)}"
    if running != (set() if wish.loaded else homes):
        yield f"runs on {sorted(running)}"
    for machine, after in seen.items():
        enabled = unit in after.wanted
        if enabled != (machine in homes):
            yield f"is {'' if enabled else 'not '}enabled on {machine}"
        starts = after.starts(unit)
        if len(starts) not in (wish.times if machine in homes and not wish.calm else {0}):
            yield f"was started {len(starts)} times on {machine}: {after.lives}"
        if wish.calm and any(moment.unit == unit for moment in after.lives):
            yield f"was touched on {machine}: {after.lives}"
        if starts and starts[-1] != str(wish.version):
            yield f"version {starts[-1]} was started last on {machine}"
        if after.units[unit]["NeedDaemonReload"] != "no":
            yield f"systemd on {machine} has not read its file"
    if len(wish.homes) < 2 and _twice_at_once(seen, unit):
        yield f"ran twice at once: {[after.lives for after in seen.values()]}"


def _twice_at_once(seen: Mapping[str, Aftermath], unit: str) -> bool:
    """Whether it was started on one machine while it ran on another."""
    lives = {name: [m for m in after.lives if m.unit == unit] for name, after in seen.items()}
    running = {
        name
        for name, moments in lives.items()
        if (moments[0].what == "stop" if moments else seen[name].runs(unit))
    }
    for at, machine in sorted((moment.at, name) for name, moments in lives.items() for moment in moments):
        if len(running) > 1:
            return True
        started = any(moment.at == at and moment.what == "start" for moment in lives[machine])
        running = running | {machine} if started else running - {machine}
    return len(running) > 1
