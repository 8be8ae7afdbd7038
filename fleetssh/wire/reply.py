"""What a machine answered, from bytes to values."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fleetssh.core.errors import WireError
from fleetssh.core.excerpts import excerpt, shorten
from fleetssh.core.model import Action, Claim, TargetState
from fleetssh.core.sighting import (
    Detail,
    Ending,
    Facts,
    Failure,
    Found,
    Manifest,
    ManifestEntry,
    Opinion,
    Outcome,
    Reached,
    Sighting,
    Unreached,
)
from fleetssh.wire.leases import read_leases
from fleetssh.wire.script import MANIFEST_VERSION

MAX_REPLY_BYTES = 8 * 1024 * 1024
"""A machine with 10,000 units answers about 3 MB; whatever says more is not answering us."""

MAX_DIGITS = 18
"""Digits in a number that a machine may say: what fits in 64 bits."""

NOT_ROOT = "set `ansible_become: true` in the inventory, or log in as root"

_NAME = re.compile(r"[0-9A-Za-z:_.\\@-]+")
"""What we write has names of units only: nothing that leads out of our folder."""

NO_MACHINE_ID = frozenset({"", "uninitialized"})
"""What /etc/machine-id holds before systemd has chosen one: an image's first boot (machine-id(5))."""

TROUBLES: Mapping[str, Failure] = {
    "read-only": Failure.READ_ONLY,
    "disk-full": Failure.DISK_FULL,
    "busy": Failure.BUSY,
    "foreign": Failure.FOREIGN,
    "fenced": Failure.FENCED,
}

OPINIONS: Mapping[str, Opinion] = {
    "asked": Opinion.NOTHING,
    "connected": Opinion.CONNECTED,
    "hello": Opinion.HELLO,
}


@dataclass(frozen=True, slots=True)
class Section:
    """One framed part of a reply: its words and the lines below it."""

    words: tuple[str, ...]
    lines: tuple[str, ...]

    @property
    def name(self) -> str:
        """First word of the frame."""
        return self.words[0]

    def arguments(self, count: int) -> tuple[str, ...]:
        """The other words. Raises WireError when they are not ``count``."""
        if len(self.words) != count + 1:
            raise WireError(f"the reply has the frame {shorten(' '.join(self.words))!r}")
        return self.words[1:]


def read_reply(host: str, address: str, mark: str, output: bytes, seen_at: float) -> Sighting:
    """The sighting that ``output`` describes.

    Whatever stands before the first frame (a banner, a shell that talks) is ignored. A reply without its
    last frame, or in which systemd did not say what runs, gives ``Unreached`` with ``HALF``; one from a
    machine without systemd ``NO_SYSTEMD``. Raises WireError for a complete reply that makes no sense: that
    is a defect, not a state of a machine.
    """
    # What a machine says before the program runs may be long, and is not worth splitting.
    begun = output.find(f"FLEETSSH {mark} begin".encode())
    sections = list(split_sections(mark, output[begun:])) if begun >= 0 else []
    if not sections or sections[0].name != "begin" or sections[-1].name != "end":
        size = len(output)
        return Unreached(host, Failure.HALF, f"the reply broke off after {size} bytes", seen_at)
    named = {section.name: section.lines for section in sections}
    facts = _facts(named)
    if "systemd=yes" not in named.get("facts", ()):
        return Unreached(host, Failure.NO_SYSTEMD, "it does not run systemd", seen_at)
    if "root=yes" not in named["facts"]:
        # Without root's rights it would see half of the journal and could write nothing.
        return Unreached(host, Failure.NOT_ROOT, NOT_ROOT, seen_at)
    if facts.machine_id in NO_MACHINE_ID:
        return Unreached(host, Failure.NO_SYSTEMD, "its /etc/machine-id is empty", seen_at)
    if "units" not in named:
        return Unreached(host, Failure.HALF, "systemd there does not say which units run", seen_at)
    manifest = parse_manifest(named.get("manifest", ()))
    digests = dict(_digests(named.get("files", ())))
    ours = {entry.name for entry in manifest.entries}
    return Reached(
        host,
        address,
        facts,
        manifest,
        found=_found(manifest, digests, sections, named),
        strangers=tuple(sorted(set(digests) - ours)),
        occupied=dict(_occupied(sections)),
        outcomes=tuple(_outcomes(sections)),
        holder=_holder(named.get("holder", ())),
        opinions=_opinions(named.get("opinions", ())),
        leases=read_leases(named["units"]),
        is_late="late" in named,
        mark=mark,
        seen_at=seen_at,
    )


def split_sections(mark: str, output: bytes) -> Iterator[Section]:
    """The framed parts of a reply, in order."""
    frame = f"FLEETSSH {mark} "
    words: tuple[str, ...] | None = None
    lines: list[str] = []
    for line in output.decode("utf-8", "replace").split("\n"):
        if line.startswith(frame):
            if words is not None:
                yield Section(words, tuple(lines))
            words, lines = tuple(line[len(frame) :].split(" ")), []
        elif words is not None:
            lines.append(line)
    if words is not None:
        yield Section(words, tuple(lines))


# ---------------------------------------------------------------- facts


def _facts(named: Mapping[str, tuple[str, ...]]) -> Facts:
    plain = dict(_pairs(named.get("facts", ())))
    system = dict(_pairs(named.get("system", ())))
    memory = next((line for line in named.get("system", ()) if line.startswith("MemTotal:")), "")
    return Facts(
        machine_id=plain.get("machine_id", ""),
        boot_id=plain.get("boot_id", ""),
        metadata=parse_metadata(named.get("conf", ())),
        uptime=_seconds(plain.get("uptime", "")),
        is_brief="system" not in named,
        architecture=system.get("Architecture", ""),
        os=system.get("ID", "").strip("\"'"),
        os_version=system.get("VERSION_ID", "").strip("\"'"),
        systemd_version=_systemd_version(system.get("Version", "")),
        cpus=count_cpus(system.get("cpus", "")),
        memory_total=_kibibytes(memory.partition(":")[2]),
    )


def parse_metadata(conf: tuple[str, ...]) -> dict[str, str]:
    """The ``metadata`` option of a fleet.conf: ``k=v,k=v``; blanks are stripped, a pair without ``=`` is
    dropped, the last of two equal keys wins (fleet 6.7)."""
    metadata: dict[str, str] = {}
    for line in conf:
        option, equals, value = line.strip().partition("=")
        if not equals or option.strip() != "metadata":
            continue
        value = value.strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        pairs = (pair.partition("=") for pair in value.split(","))
        metadata = {key.strip(): word.strip() for key, equals, word in pairs if equals and key.strip()}
    return metadata


def count_cpus(online: str) -> int:
    """How many CPUs the kernel's list ``0-3,8`` names; 0 when it cannot be read."""
    count = 0
    for part in online.split(","):
        low, _, high = part.partition("-")
        first, last = _whole(low), _whole(high or low)
        if first is not None and last is not None:
            count += max(0, last - first + 1)
    return count


def _pairs(lines: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for line in lines:
        key, equals, value = line.partition("=")
        if equals:
            yield key, value


def _systemd_version(version: str) -> str:
    """``252`` from ``252.39-1~deb12u1`` or ``252``: what a person compares."""
    digits = ""
    for character in version:
        if not character.isdigit():
            break
        digits += character
    return digits


def _kibibytes(value: str) -> int:
    return (_whole(value.partition("kB")[0].strip()) or 0) * 1024


def _whole(value: str) -> int | None:
    """A number in ASCII digits, else ``None``: int() takes other digits too, and refuses very long ones."""
    return int(value) if value.isascii() and value.isdigit() and len(value) <= MAX_DIGITS else None


def _seconds(value: str) -> float:
    """The first number of ``/proc/uptime``; 0 when it cannot be read."""
    try:
        seconds = float(value.partition(" ")[0])
    except ValueError:
        return 0.0
    return seconds if math.isfinite(seconds) and seconds > 0 else 0.0


# ---------------------------------------------------------------- whose machine it is, and what it saw


def _holder(lines: tuple[str, ...]) -> Claim | None:
    cluster, _, rest = (lines[0] if lines else "").partition(" ")
    number, _, who = rest.partition(" ")
    fence = _whole(number)
    return None if fence is None else Claim(cluster, fence, who)


def _opinions(lines: tuple[str, ...]) -> dict[str, Opinion]:
    """What was met at each port, the best of it last. Without bash there is nothing to try them with."""
    pairs = [line.rpartition(" ") for line in lines if line]
    blind = any(word == "none" for _, _, word in pairs)
    met = {host: OPINIONS[word] for host, _, word in pairs if word in OPINIONS}
    return dict.fromkeys(met, Opinion.UNKNOWN) if blind else met


# ---------------------------------------------------------------- our units


def parse_manifest(lines: tuple[str, ...]) -> Manifest:
    """The manifest as a value; empty for no lines. Raises WireError for one we did not write."""
    content = [line for line in lines if line]
    if not content:
        return Manifest()
    head = content[0].split(" ")
    fence = _whole(head[-1])
    if len(head) != 4 or head[0] != "fleetssh" or fence is None:
        raise WireError(f"the manifest begins with {shorten(content[0])!r}")
    if head[1] != str(MANIFEST_VERSION):
        version = excerpt(head[1])
        raise WireError(f"the manifest has version {version}, this program knows {MANIFEST_VERSION}")
    entries = []
    for line in content[1:]:
        fields = line.split(" ")
        number, _, seconds = (fields[1] if len(fields) == 4 else "").partition(":")
        generation, lease = _whole(number), _whole(seconds or "0")
        if (
            generation is None
            or lease is None
            or fields[0] not in set(TargetState)
            or not _NAME.fullmatch(fields[3])
        ):
            raise WireError(f"the manifest has the line {shorten(line)!r}")
        entries.append(ManifestEntry(fields[3], fields[2], TargetState(fields[0]), generation, lease))
    return Manifest(head[2], fence, tuple(entries))


def _digests(lines: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Name and SHA-1 from sha1sum's lines; a name with a backslash is escaped and the line marked by one."""
    for line in lines:
        escaped = line.startswith("\\")
        digest, gap, name = line.removeprefix("\\").partition("  ")
        if gap:
            yield (name.replace("\\\\", "\\") if escaped else name), digest


def _found(
    manifest: Manifest,
    digests: Mapping[str, str],
    sections: list[Section],
    named: Mapping[str, tuple[str, ...]],
) -> tuple[Found, ...]:
    states = dict(_states(named.get("units", ())))
    unlinked = set(named.get("unlinked", ()))
    details = _details(sections, named)
    endings = _endings(named)
    found = []
    for entry in manifest.entries:
        if entry.target is TargetState.INACTIVE:
            continue  # Never written: the machine has a unit of its own by that name.
        digest = digests.get(entry.name)
        absent = ("loaded" if digest else "not-found", "inactive", "dead")
        load, active, sub = states.get(entry.name, absent)
        found.append(
            Found(
                entry=entry,
                digest=digest,
                linked=digest is not None and entry.name not in unlinked,
                load=load,
                active=active,
                sub=sub,
                ending=endings.get(entry.name) if active == "inactive" else None,
                detail=details.get(entry.name),
            )
        )
    return tuple(found)


def _states(lines: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, str, str]]]:
    for line in lines:
        fields = line.lstrip("●○×*↻ ").split(None, 4)
        if len(fields) >= 4:
            yield fields[0], (fields[1], fields[2], fields[3])


def _endings(named: Mapping[str, tuple[str, ...]]) -> dict[str, Ending]:
    """How each idle unit came to rest: the last job that systemd ran for it in this boot tells."""
    endings = {name: Ending.NEVER_STARTED for name in named.get("idle", ()) if name}
    for line in named.get("jobs", ()):
        if not line.startswith("{"):
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise WireError(f"the reply has the job record {shorten(line)!r}") from error
        name = record.get("UNIT")
        if isinstance(name, str) and name in endings:
            endings[name] = _ending(record.get("JOB_TYPE"), record.get("JOB_RESULT"))
    return endings


def _ending(job: object, result: object) -> Ending:
    if job == "stop":
        return Ending.BY_REQUEST
    return Ending.BY_ITSELF if result == "done" else Ending.START_FAILED


def _occupied(sections: list[Section]) -> Iterator[tuple[str, str]]:
    """Names that the machine has units of its own by, and where those are."""
    for section in sections:
        if section.name == "occupied":
            name, place = section.arguments(2)
            yield name, place


def _details(sections: list[Section], named: Mapping[str, tuple[str, ...]]) -> dict[str, Detail]:
    logs = {s.arguments(1)[0]: tuple(filter(None, s.lines)) for s in sections if s.name == "log"}
    details: dict[str, Detail] = {}
    for block in "\n".join(named.get("details", ())).split("\n\n"):
        values = dict(_pairs(tuple(block.split("\n"))))
        name = values.get("Id", "")
        if not name:
            continue
        details[name] = Detail(
            result=values.get("Result", ""),
            exit_code=values.get("ExecMainCode", ""),
            exit_status=_whole(values.get("ExecMainStatus", "")),
            load_error=values.get("LoadError", "").partition('"')[2].strip(' "'),
            restarts=_whole(values.get("NRestarts", "")),
            log=logs.get(name, ()),
        )
    return details


# ---------------------------------------------------------------- what the steps gave


def _outcomes(sections: list[Section]) -> Iterator[Outcome]:
    for section in sections:
        text = "\n".join(line for line in section.lines if line)
        match section.name:
            case "outcome" if len(section.words) == 3 and section.words[1] in set(Action):
                yield Outcome(Action(section.words[1]), "", section.words[2] == "0", text)
            case "shadowed":
                name, place = section.arguments(2)
                yield Outcome(Action.WRITE, name, False, f"the machine has a unit of its own there: {place}")
            case "stuck":
                yield Outcome(Action.STOP, section.arguments(1)[0], False, text)
            case "apart":
                yield Outcome(Action.START, section.arguments(1)[0], False, text)
            case "trouble":
                (kind,) = section.arguments(1)
                said = f"{TROUBLES[kind]}: {text}" if kind in TROUBLES else text
                yield Outcome(Action.NOTE, "", False, said)
            case _:
                pass
