"""A visit as a POSIX shell program: optional steps, then always a look."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby

from fleetssh.core.model import Action, MachinePlan, TargetState, Wanted
from fleetssh.core.sighting import Manifest, ManifestEntry
from fleetssh.wire import paths
from fleetssh.wire.program import FUNCTIONS
from fleetssh.wire.quoting import quote, words

HEADER = "# a visit of fleetssh"
"""First line of every program. Where it is missing, something that the login shell runs (a ``.bashrc`` with
``read`` or ``ssh`` in it) has taken the beginning from standard input, and the rest must not be run."""

SHELL = (
    f'/bin/sh -c \'program=$(cat); case $program in "{HEADER}"*) eval "$program" ;; '
    '*) echo "the login shell took the beginning of the program from standard input" >&2; exit 90 ;; esac\''
)
"""Reads the whole program before the first line runs, whichever shell ``/bin/sh`` is: some shells read a
script from a pipe one byte at a time, and none should run half of one."""

START_WAIT_SECONDS = 5
"""How long one visit waits for systemd's start jobs; a slower unit is watched by later looks. Shorter than
``LOCK_WAIT_SECONDS``: whoever comes after a controller that died meanwhile gets the machine in time."""

QUEUED_PER_SECOND = 20
"""Units that systemctl queues in a second on a busy machine: that many names make a visit wait a second
longer, because those that it has not come to when it is ended would never be started."""

STOP_WAIT_SECONDS = 30
"""How long one visit waits for stop jobs, of which nothing may be assumed (rule 5)."""

SETTLE_SECONDS = 0.25
"""A service that dies at once has died by then: ``launched`` is only said of what outlived it (rule 8)."""

NAMES_PER_COMMAND = 500
"""Unit names in one command line: 500 names of 256 bytes stay under the kernel's 128 KiB an argument list
may safely take everywhere."""

MANIFEST_VERSION = 1

UNWRITTEN = "-"
"""Stands in a manifest for the digest of a file that a visit is about to write for the first time."""


@dataclass(frozen=True, slots=True)
class Visit:
    """What to send to one machine: ``command`` for its shell, ``program`` on standard input.

    ``mark`` frames the reply; it must be random, so that nothing a machine prints can imitate a frame.
    """

    mark: str
    command: str
    program: bytes


def write_look(mark: str, *, become: bool, known_boot: str = "") -> Visit:
    """A visit that changes nothing. In the boot ``known_boot`` the machine does not say again what stays
    true until it boots anew."""
    return _visit(mark, become, known_boot, ["look"])


def write_act(
    mark: str,
    plan: MachinePlan,
    found: Manifest,
    cluster: str,
    *,
    become: bool,
    wait_seconds: int,
    known_boot: str = "",
) -> Visit:
    """A visit that carries out ``plan`` on a machine whose manifest is ``found``, then looks.

    Order (fleet 5.2): stop, remove, write, one daemon-reload however many files, restart, start. New texts
    are staged before all that, so a full disk stops nothing. A unit that does not stop is left as it is. The
    manifest is written before the first file and again after the last start, so a visit cut off in the middle
    leaves a manifest that names every file of ours. Start jobs are waited for up to ``wait_seconds``, not at
    all with 0; a stop is always seen to its end or to the limit of one visit.
    """
    return _visit(mark, become, known_boot, [*_act(plan, found, cluster, wait_seconds), "act", "look"])


def _visit(mark: str, become: bool, known_boot: str, body: list[str]) -> Visit:
    """The whole program is one compound command: a shell runs none of it before it has read its last byte,
    so a program cut off anywhere (the connection broke while it was sent) is a syntax error."""
    command = f"sudo -n -- {SHELL}" if become else SHELL
    lines = [
        HEADER,
        "{",
        f"mark={quote(mark)}; known={quote(known_boot)}; started=; staged=; full=; shadowed=; stuck=",
        FUNCTIONS,
        "tell begin; flush",
        *body,
        "tell end; flush",
        "}",
    ]
    return Visit(mark, command, "\n".join(lines).encode())


def _act(plan: MachinePlan, found: Manifest, cluster: str, wait_seconds: int) -> Iterator[str]:
    before = format_manifest(_before(plan, found, cluster))
    after = format_manifest(_after(plan, found, cluster))
    yield "act() {"
    yield f"prepare {quote(cluster)} {quote(format_manifest(found).rstrip())} || return"
    for chunk in _chunks(sorted({step.unit for step in plan.steps if step.unit})):
        yield f"guard shadowed {words(chunk)}"
    for step in plan.steps:
        if step.action is Action.WRITE:
            yield f"stage {quote(step.unit)} {quote(plan.units[step.unit].unit.text.decode())}"
    yield "all_staged || return"
    yield f"write_manifest {quote(before)} || return"
    for action, steps in groupby(plan.steps, key=lambda step: step.action):
        names = [step.unit for step in steps]
        yield from (
            _install(names, plan.units) if action is Action.WRITE else _jobs(action, names, wait_seconds)
        )
    if any(step.action in (Action.START, Action.RESTART) for step in plan.steps):
        yield f"sleep {SETTLE_SECONDS}"
    yield f"write_manifest {quote(after)}"
    yield f"rmdir {paths.FLEET}/stage"
    yield "}"


def _install(names: list[str], units: Mapping[str, Wanted]) -> Iterator[str]:
    yield "install_staged || return"
    for chunk in _chunks([name for name in names if units[name].unit.installs]):
        yield f"mine {words(chunk)} && run write systemctl --runtime --no-reload -q enable -- $names"


def _jobs(action: Action, names: list[str], wait_seconds: int) -> Iterator[str]:
    if action is Action.RELOAD:
        yield "run reload systemctl daemon-reload"
        return
    for chunk in _chunks(names):
        mine = f"mine {words(chunk)} &&"
        match action:
            case Action.STOP:
                yield f"{mine} halt {STOP_WAIT_SECONDS} $names"
            case Action.REMOVE:
                yield f"{mine} run remove remove $names"
            case Action.LINK:
                yield f"{mine} link $names"
            case Action.RESTART | Action.START:
                # Failures of yesterday must not count against systemd's limit of starts (StartLimitBurst=).
                forgiving = "systemctl -q reset-failed -- $names"
                starts = f"run {action} {_starting(len(chunk), wait_seconds)} {action} -- $names"
                yield f'{mine} {{ started="$started $names"; {forgiving}; {starts}; }}'
            case _:
                pass


def _starting(count: int, wait_seconds: int) -> str:
    """systemctl as it starts ``count`` units: bounded in time, or not waiting at all."""
    limit = wait_seconds + count // QUEUED_PER_SECOND
    systemctl = f"timeout {limit} systemctl" if wait_seconds else "systemctl --no-block"
    return f"{systemctl} --no-ask-password"


def _chunks(names: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(names), NAMES_PER_COMMAND):
        yield names[start : start + NAMES_PER_COMMAND]


# ---------------------------------------------------------------- the manifest


def format_manifest(manifest: Manifest) -> str:
    """The manifest as it stands on a machine: a header line, then ``TARGET GENERATION DIGEST NAME``; empty
    when it has no entries."""
    if not manifest.entries:
        return ""
    lines = [f"fleetssh {MANIFEST_VERSION} {manifest.cluster} {manifest.fence}"]
    lines += [f"{e.target} {e.generation} {e.digest} {e.name}" for e in manifest.entries]
    return "\n".join(lines) + "\n"


def _before(plan: MachinePlan, found: Manifest, cluster: str) -> Manifest:
    """Names every file that is or will be ours. What is about to start is only ``loaded`` until it was;
    what is about to stop stays ``launched``, or a visit cut off before that would leave it running. A file
    counts as written only when systemd has read it: until then its old digest stands."""
    entries = {entry.name: entry for entry in found.entries}
    starting = {step.unit for step in plan.steps if step.action is Action.START}
    for step in plan.steps:
        if step.action not in (Action.WRITE, Action.START):
            continue
        old = entries.get(step.unit)
        launched = old and old.target is TargetState.LAUNCHED and step.unit not in starting
        entries[step.unit] = ManifestEntry(
            step.unit,
            old.digest if old else UNWRITTEN,
            TargetState.LAUNCHED if launched else TargetState.LOADED,
            old.generation if old else 0,
        )
    return Manifest(cluster, found.fence, _sorted(entries.values()))


def _after(plan: MachinePlan, found: Manifest, cluster: str) -> Manifest:
    """What the machine holds when every step has been carried out."""
    entries = {entry.name: entry for entry in found.entries}
    for step in plan.steps:
        if step.action is Action.REMOVE:
            entries.pop(step.unit, None)
    for step in plan.steps:
        if step.unit in plan.units and step.action is not Action.REMOVE:
            wanted = plan.units[step.unit]
            entries[step.unit] = ManifestEntry(
                step.unit, wanted.unit.digest, wanted.target, wanted.generation
            )
    return Manifest(cluster, found.fence, _sorted(entries.values()))


def _sorted(entries: Iterable[ManifestEntry]) -> tuple[ManifestEntry, ...]:
    return tuple(sorted(entries, key=lambda entry: entry.name))
