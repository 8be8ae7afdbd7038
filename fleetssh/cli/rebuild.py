"""The verb ``state rebuild``: a lost state is made anew from what the machines hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from fleetssh.cli.consent import consents, yes_option
from fleetssh.cli.exits import Exit
from fleetssh.cli.flags import Flag, Verb
from fleetssh.cli.output import note, say
from fleetssh.cli.progress import progress
from fleetssh.cli.render import plural, table
from fleetssh.cli.session import Session
from fleetssh.core.errors import MachineError

if TYPE_CHECKING:
    from fleetssh.control.rebuilding import Rebuild

HEADERS = ("UNIT", "DSTATE", "MACHINE")


@click.command(cls=Verb)
@click.option("--dry-run", cls=Flag, default=False, help="Only show what was found.")
@yes_option
@click.option("--partial", cls=Flag, default=False, help="Go on without machines that do not answer.")
@click.option(
    "--cluster-id",
    default="",
    metavar="CLUSTER",
    help="Which cluster's units, where machines hold several's.",
)
@click.pass_obj
def rebuild(session: Session, dry_run: bool, yes: bool, partial: bool, cluster_id: str) -> Exit:
    """Make a lost state anew from what the machines hold: units, target states and places.

    Shows first what was found and what does not go together, then asks. No machine is touched. What was on
    no machine cannot be found: units that were only submitted, and templates.
    """
    # Imported here: the state's other verbs reach no machine.
    from fleetssh.control.rebuilding import rebuild as carry_out
    from fleetssh.control.rebuilding import survey_rebuild

    session.verb = "state rebuild"
    with progress(session.cluster) as cluster:
        found = survey_rebuild(cluster, cluster_id)
    say(*_lines(found))
    note(*_odd_lines(found))
    if dry_run:
        return Exit.MACHINE if found.unreached else Exit.DONE
    if found.unreached and not partial:
        raise MachineError(
            f"{plural(len(found.unreached), 'machine')} cannot be read, and their units would be missing; "
            "nothing was changed",
            hint="run this again when they answer, or take what is gone for ever out of the inventory\n"
            "--partial goes on without them; no pass touches their units, and this takes them in later",
        )
    if not consents("Make the state from this?", yes=yes):
        return Exit.PENDING
    with progress(session.cluster) as cluster, session.hold():
        state = carry_out(cluster, found)
    say(f"the state has {plural(len(state.wanted), 'unit')} of cluster {state.cluster}")
    note("'fleetssh plan' shows what the next pass does")
    return Exit.DONE


def _lines(found: Rebuild) -> Iterator[str]:
    names = {machine: host for host, machine in found.machines.items()}
    new = sorted(found.after.wanted.keys() - found.before.wanted.keys())
    yield f"cluster {found.after.cluster}: {plural(len(new), 'unit')} on {', '.join(found.machines)}"
    rows = []
    for name in new:
        wanted = found.after.wanted[name]
        placement = found.after.placements.get(name)
        place = names.get(placement.machine, placement.machine) if placement else "(global)"
        rows.append((name, str(wanted.target), place))
    if rows:
        yield from table([HEADERS, *rows])


def _odd_lines(found: Rebuild) -> Iterator[str]:
    for finding in found.findings:
        yield f"{finding.host}: {finding.unit}: {finding.what}; {finding.then}"
    for host, cluster in found.others.items():
        yield (
            f"{host}: it has units of cluster {cluster}, and is left alone; "
            f"'fleetssh adopt {host}' takes it over"
        )
    for host, why in found.unreached.items():
        yield f"{host}: {why}; what it holds is not known"
