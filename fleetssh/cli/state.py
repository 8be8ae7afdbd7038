"""Verbs about the state itself: check, backup, restore."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fleetssh import clock
from fleetssh.cli.exits import Exit
from fleetssh.cli.flags import Flag, Verb
from fleetssh.cli.output import note, say
from fleetssh.cli.rebuild import rebuild
from fleetssh.cli.render import plural
from fleetssh.cli.session import Session, expand_home
from fleetssh.core.errors import StoreError

if TYPE_CHECKING:
    from fleetssh.store.examination import Examination

FINDINGS_SHOWN = 20
"""A file of garbage has thousands, and the first few say as much."""


@click.group()
def state() -> None:
    """Look after the file in which the controller keeps what is wanted and where it was placed.

    Services go on without it. No machine is touched by any of these commands but 'rebuild', which looks.
    """


@state.command(cls=Verb)
@click.argument("path", required=False)
@click.pass_obj
def check(session: Session, path: str | None) -> Exit:
    """Read every detail of the state, or of the backup PATH, and tell what is wrong with it.

    Changes nothing, and may run while others are at work. Exits with 1 when anything is wrong.
    """
    from fleetssh.store.examination import examine

    found = examine(expand_home(path).absolute(), alone=True) if path else examine(_present(session))
    say(*_content(found))
    if not found.findings:
        say("sound: every page can be read, every document be understood, and every text fits its digest")
        return Exit.DONE
    shown, more = found.findings[:FINDINGS_SHOWN], found.findings[FINDINGS_SHOWN:]
    note(f"{found.path} is not sound:", *(f"  {finding}" for finding in shown))
    note(*([f"  and {len(more)} more"] if more else []))
    if path:
        note("take another backup, or make one of a sound state: 'fleetssh state backup PATH'")
    else:
        note(
            "'fleetssh state restore PATH' puts a backup back and keeps this file beside it; without one, "
            "move this file away, and 'fleetssh state rebuild' makes the state anew from the machines; "
            "services go on meanwhile"
        )
    return Exit.ERROR


@state.command(cls=Verb)
@click.option("--force", cls=Flag, default=False, help="Overwrite PATH.")
@click.argument("path")
@click.pass_obj
def backup(session: Session, path: str, force: bool) -> None:
    """Copy the state to the file PATH, as it is at one moment; others may be at work.

    PATH is complete and checked before it gets its name, and only you can read it: it holds the text of every
    unit. A state that is damaged is not copied.
    """
    from fleetssh.store.copies import back_up

    target = expand_home(path).absolute()
    found = back_up(_present(session), target, force=force)
    say(f"{target}: {_summary(found)}")


@state.command(cls=Verb)
@click.option("--force", cls=Flag, default=False, help="Also another cluster's, or beneath a running loop.")
@click.argument("path")
@click.pass_obj
def restore(session: Session, path: str, force: bool) -> None:
    """Make the backup PATH the state. What is there now is kept beside it under a dated name.

    No machine is touched: 'fleetssh plan' shows what the next pass would do. Stop 'fleetssh run' and cron
    first; nothing is restored while one of them is at work. What was wanted since the backup was made is
    wanted no more: the next pass takes units off their machines that the backup does not know.
    """
    from fleetssh.control.chronicle import COMMAND
    from fleetssh.store import Event
    from fleetssh.store.copies import restore as put_back

    session.verb = "state restore"
    source = expand_home(path).absolute()
    event = Event(clock.now(), session.who, COMMAND, "", f"state restore: from {source}")
    done = put_back(
        session.state_path(), source, f"{session.operator} ({session.doing})", [event], force=force
    )
    say(f"restored from {source}: {_summary(done.backup)}")
    if done.kept:
        say(f"what was there before is kept in {done.kept}")
    if done.knows_machines:
        note(
            "no machine was touched: 'fleetssh plan' shows what the next pass would do; where machines "
            "have seen a newer controller, 'fleetssh adopt' takes them over"
        )
    else:
        note(
            "no machine was touched, and none that holds units will be before 'fleetssh adopt' has shown "
            "what is there, because nobody knows what was done since the backup"
        )


state.add_command(rebuild)


def _present(session: Session) -> Path:
    path = session.state_path()
    if not path.exists():
        raise StoreError(
            f"there is no state yet: no file {path}",
            "name another one with --state or --cluster; 'fleetssh state restore PATH' puts a backup there, "
            "'fleetssh state rebuild' makes the state anew from what machines have",
        )
    return path


def _content(found: Examination) -> list[str]:
    head = f"{found.path}: schema {found.schema}"
    if found.cluster:
        head += f", cluster {found.cluster}, revision {found.revision}, fence {found.fence}"
    counts = ", ".join(f"{number} {what}" for what, number in found.counts.items())
    return [head, *([f"read: {counts}"] if counts else [])]


def _summary(found: Examination) -> str:
    units = plural(found.counts["units"], "unit")
    return f"revision {found.revision} of cluster {found.cluster}, {units}"
