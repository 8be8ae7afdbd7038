"""Remarks: what was found on machines that needs no step and has to be said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fleetssh.core.model import Health, Machine, TargetState, Wanted
from fleetssh.core.refusals import LEFT
from fleetssh.core.sighting import Ending, Found, Sighting, Unreached


def remark(
    machines: Sequence[Machine],
    sightings: Mapping[str, Sighting],
    belongs: Mapping[str, Mapping[str, Wanted]],
) -> list[str]:
    """What is not as it should be on the machines, by host: names that are taken, strangers, units that are
    not well; then machines that left and do not answer. ``belongs`` maps machine id -> its wanted units."""
    remarks = []
    by_host = {machine.host: machine for machine in machines}
    for host, sighting in sorted(sightings.items()):
        if isinstance(sighting, Unreached):
            continue
        here = belongs.get(by_host[host].id, {}) if host in by_host else {}
        remarks += [
            f"{host}: {name} cannot go there, the machine has a unit of its own: {place}"
            for name, place in sorted(sighting.occupied.items())
            if name in here
        ]
        remarks += [_about_stranger(host, name, here) for name in sighting.strangers]
        remarks += [
            text
            for item in sighting.found
            if item.entry.name in here and (text := _about_unit(host, item, here[item.entry.name]))
        ]
    return remarks + [
        f"{machine.host} is {LEFT} and does not answer: its units stay until it does, or is lost; "
        "'fleetssh reconcile --believe-silence' gives it up"
        for machine in sorted(machines, key=lambda machine: machine.host)
        if machine.is_leaving and machine.health is Health.DOUBTFUL and belongs[machine.id]
    ]


def _about_stranger(host: str, name: str, here: Mapping[str, Wanted]) -> str:
    blocked = "; it is in the way of the unit of that name" if name in here else ""
    return f"{host}: the file {name} in the units folder is not ours and stays as it is{blocked}"


def _about_unit(host: str, found: Found, wanted: Wanted) -> str:
    name = found.entry.name
    if wanted.target is not TargetState.LAUNCHED:
        return ""
    if found.active == "failed":
        return f"{host}: {name} has failed{describe_failure(found)}"
    if found.ending in (Ending.NEVER_STARTED, Ending.START_FAILED):
        return f"{host}: {name} {found.ending}; 'fleetssh start {name}' tries again"
    # One restart is what systemd is for; the pass happened to look in the middle of it.
    if found.sub.startswith("auto-restart") and not (found.detail and found.detail.restarts == 0):
        return f"{host}: {name} keeps failing and systemd restarts it{describe_failure(found)}"
    return ""


def describe_failure(found: Found) -> str:
    """`` (exit-code, status 203)`` or an empty text: systemd's own words for why a unit is not well."""
    detail = found.detail
    if detail is None:
        return ""
    if detail.load_error:
        return f" ({detail.load_error})"
    words = [detail.result] if detail.result and detail.result != "success" else []
    if detail.exit_status:
        words.append(f"status {detail.exit_status}")
    return f" ({', '.join(words)})" if words else ""
