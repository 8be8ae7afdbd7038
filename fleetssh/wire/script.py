"""A visit as a POSIX shell program: optional steps, then always a look."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby

from fleetssh.core.model import Action, Claim, MachinePlan, TargetState, Wanted
from fleetssh.core.sighting import Manifest, ManifestEntry
from fleetssh.core.visit import Order, Visit
from fleetssh.wire import actions, leases, paths, program
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

MAKES_ROOM = (Action.STOP, Action.REMOVE)

UNWRITTEN = "-"
"""Stands in a manifest for the digest of a file that a visit is about to write for the first time."""


def _bare(functions: str) -> str:
    """Without comments, which are for us: a quarter of what every machine would be sent at every look."""
    return "\n".join(line for line in functions.splitlines() if line and not line.lstrip().startswith("#"))


LOOKING = _bare(program.LOOKING + leases.RENEWING)
ACTING = _bare(actions.ACTING + leases.ACTING)


@dataclass(frozen=True, slots=True)
class Script:
    """What is sent to one machine: ``command`` for its shell, ``program`` on standard input.

    ``mark`` frames the reply; it must be random, so that nothing a machine prints can imitate a frame.
    """

    mark: str
    command: str
    program: bytes


def write_visit(mark: str, visit: Visit, *, become: bool) -> Script:
    """The program that carries out ``visit``, through ``sudo`` where it must become root.

    Order of the steps (fleet 5.2): stop, remove, write, one daemon-reload however many files, restart, start.
    New texts are staged before all that, so a full disk stops nothing. A unit that does not stop is left as
    it is, and so is what its file says it conflicts with. The manifest is written before the first file and
    again after the last start, so a visit cut off in the middle leaves a manifest that names every file of
    ours. Start jobs are waited for as the order says; a stop is always seen to its end or to the limit of one
    visit.

    Raises ValueError for an order without a claim: no machine would obey it.

    The whole program is one compound command: a shell runs none of it before it has read its last byte, so a
    program cut off anywhere (the connection broke while it was sent) is a syntax error.
    """
    claim, order = visit.claim, visit.order
    if order is not None and claim is None:
        raise ValueError("an order needs a claim")
    lines = [
        HEADER,
        "{",
        f"mark={quote(mark)}; known={quote(visit.known_boot)}",
        "started=; staged=; full=; shadowed=; stuck=; refused=",
        _claim(claim, visit.valid_until),
        f"probes={quote(' '.join(f'{probe.host} {probe.address} {probe.port}' for probe in visit.probes))}",
        LOOKING,
        "tell begin; flush",
        *(() if order is None or claim is None else _act(order, claim)),
        "look",
        "tell end; flush",
        "}",
    ]
    command = f"sudo -n -- {SHELL}" if become else SHELL
    return Script(mark, command, "\n".join(lines).encode())


def _claim(claim: Claim | None, valid_until: float) -> str:
    if claim is None:
        return "cluster="
    return (
        f"cluster={quote(claim.cluster)}; fence={claim.fence}; who={quote(claim.who)}; "
        f"over={quote(claim.over)}; valid={int(valid_until)}"
    )


def _act(order: Order, claim: Claim) -> Iterator[str]:
    """What only a visit with steps needs, and the steps."""
    plan, found = order.plan, order.found
    yield from (ACTING, "act() {")
    yield f"planned={quote(order.look)}; prepare {quote(format_manifest(found).rstrip())} || return"
    for chunk in _chunks(sorted({step.unit for step in plan.steps if step.unit})):
        yield f"guard shadowed {words(chunk)}"
    for step in plan.steps:
        if step.action is Action.WRITE:
            yield f"stage {quote(step.unit)} {quote(plan.units[step.unit].unit.text.decode())}"
    yield "all_staged || return"
    reloads = any(step.action is Action.RELOAD for step in plan.steps)
    yield from leases.write_leases(plan.leases, reloads=reloads)
    if (now := _leased(found, plan.leases)) != found:
        yield f"manifest={quote(format_manifest(now).rstrip())}"
    yield f"write_manifest {quote(format_manifest(_before(plan, found, claim)))} || return"
    arriving = arriving_units(plan)
    for action, steps in groupby(plan.steps, key=lambda step: step.action):
        names = [step.unit for step in steps]
        if action not in MAKES_ROOM:
            for chunk in _chunks(arriving):
                yield f"apart {words(chunk)}"
            arriving = []
        if action is Action.WRITE:
            yield from _install(names, plan.units)
        else:
            yield from _jobs(action, names, order.wait_seconds)
    if any(step.action in (Action.START, Action.RESTART) for step in plan.steps):
        yield f"sleep {SETTLE_SECONDS}"
    yield f"write_manifest {quote(format_manifest(_after(plan, found, claim)))}"
    yield f"rmdir {paths.FLEET}/stage"
    yield "}"
    yield "act"


def arriving_units(plan: MachinePlan) -> list[str]:
    """What starts anew in a visit that also stops others, and one of those may not stop."""
    gone = {step.unit for step in plan.steps if step.action in MAKES_ROOM}
    starting = {step.unit for step in plan.steps if step.action is Action.START}
    return sorted(starting - gone) if gone else []


def _install(names: list[str], units: Mapping[str, Wanted]) -> Iterator[str]:
    yield "install_staged || return"
    for chunk in _chunks([name for name in names if units[name].unit.installs]):
        yield f"mine {words(chunk)} && run write systemctl --runtime --no-reload -q enable -- $names"


def _jobs(action: Action, names: list[str], wait_seconds: int) -> Iterator[str]:
    if action is Action.RELOAD:
        yield "drop_leases"
        yield "run reload systemctl daemon-reload"
        yield "end_leases"
        return
    for chunk in _chunks(names):
        mine = f"mine {words(chunk)} &&"
        match action:
            case Action.STOP:
                yield f"{mine} halt {STOP_WAIT_SECONDS} $names"
            case Action.REMOVE:
                yield f"{mine} rest {STOP_WAIT_SECONDS} $names"
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
    """The manifest as it stands on a machine: a header line, then ``TARGET GENERATION[:LEASE] DIGEST NAME``;
    empty when it has no entries."""
    if not manifest.entries:
        return ""
    lines = [f"fleetssh {MANIFEST_VERSION} {manifest.cluster} {manifest.fence}"]
    lines += [f"{e.target} {_numbers(e)} {e.digest} {e.name}" for e in manifest.entries]
    return "\n".join(lines) + "\n"


def _numbers(entry: ManifestEntry) -> str:
    return f"{entry.generation}:{entry.lease}" if entry.lease else str(entry.generation)


def _leased(found: Manifest, leases: Mapping[str, int]) -> Manifest:
    """What stands on a machine for units that do not stop: as they were found, with the leases that they were
    told of by then."""
    entries = [replace(entry, lease=leases.get(entry.name, entry.lease)) for entry in found.entries]
    return replace(found, entries=tuple(entries))


def _before(plan: MachinePlan, found: Manifest, claim: Claim) -> Manifest:
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
            plan.leases.get(step.unit, 0),
        )
    return Manifest(claim.cluster, claim.fence, _sorted(entries.values()))


def _after(plan: MachinePlan, found: Manifest, claim: Claim) -> Manifest:
    """What the machine holds when every step has been carried out."""
    entries = {entry.name: entry for entry in found.entries}
    for step in plan.steps:
        if step.action is Action.REMOVE:
            entries.pop(step.unit, None)
    for step in plan.steps:
        if step.unit in plan.units and step.action is not Action.REMOVE:
            wanted = plan.units[step.unit]
            entries[step.unit] = ManifestEntry(
                step.unit,
                wanted.unit.digest,
                wanted.target,
                wanted.generation,
                plan.leases.get(step.unit, 0),
            )
    return Manifest(claim.cluster, claim.fence, _sorted(entries.values()))


def _sorted(entries: Iterable[ManifestEntry]) -> tuple[ManifestEntry, ...]:
    return tuple(sorted(entries, key=lambda entry: entry.name))
