"""The verb ``adopt``: takes machines over from another controller, after it has shown what that means."""

from __future__ import annotations

from collections.abc import Iterator

import click

from fleetssh.cli.consent import consents, yes_option
from fleetssh.cli.exits import Exit, combine
from fleetssh.cli.finding import find_machines
from fleetssh.cli.flags import Verb
from fleetssh.cli.output import note, say
from fleetssh.cli.progress import progress
from fleetssh.cli.render import plural
from fleetssh.cli.session import Session
from fleetssh.control.adopting import Adoption, Takeover, survey_adoption
from fleetssh.control.adopting import adopt as carry_out
from fleetssh.core.takeover import Item

NEXT = "'fleetssh plan' shows what the next pass does"


@click.command(cls=Verb)
@click.argument("machines", nargs=-1, metavar="[MACHINE...]")
@yes_option
@click.pass_obj
def adopt(session: Session, machines: tuple[str, ...], yes: bool) -> Exit:
    """Take machines over that obey another controller, or hold another cluster's units; all without MACHINE.

    Shows first, machine by machine, whom it obeys and what becomes of its units, then asks. Units that are
    not known here are taken in as they are. No unit is stopped or started: that is for the next pass. From
    then on the machines refuse their old controller. Exits with 5 when nothing was done because nobody said
    yes, with 4 when a machine was not taken over.
    """
    hosts = frozenset(host.name for host in find_machines(session, machines))
    with progress(session.cluster) as cluster:
        found = survey_adoption(cluster, hosts)
    say(*_lines(found))
    note(*(f"{host}: {why}; it is not taken over" for host, why in found.unreached.items()))
    unreached = [Exit.MACHINE for _ in found.unreached]
    if not found.takeovers:
        note(*(f"{host} obeys this controller already" for host in found.ours))
        return combine(unreached)
    if not consents(f"Take over {plural(len(found.takeovers), 'machine')}?", yes=yes):
        return Exit.PENDING
    with progress(session.cluster) as cluster, session.hold() as fence:
        results = carry_out(cluster, fence, found, hosts)
    say(*(f"{host}: taken over" for host, why in results.items() if not why))
    failed = {host: why for host, why in results.items() if why}
    note(*(f"{host}: not taken over: {why}; run this again" for host, why in failed.items()), NEXT)
    return combine([*unreached, *(Exit.MACHINE for _ in failed)])


def _lines(found: Adoption) -> Iterator[str]:
    for takeover in found.takeovers:
        yield f"{takeover.host} ({takeover.machine[:8]}...): {_whose(found, takeover)}"
        for item in takeover.items:
            yield f"  {item.unit} ({item.target}): {_fate(item)}"
        if not takeover.items:
            yield "  no units"


def _whose(found: Adoption, takeover: Takeover) -> str:
    holder = takeover.holder
    held = f"{holder.who} holds it (fence {holder.fence})" if holder else "nobody holds it"
    if holder and holder.cluster == found.cluster and holder.fence > found.known:
        return held
    if takeover.owner in ("", found.cluster):
        return f"{held}, and it was not read yet"
    return f"it has units of another cluster, {takeover.owner[:8]}..., and {held}"


def _fate(item: Item) -> str:
    return f"{item.bond}; {item.then}" if item.then else f"{item.bond}; stays as it is"
