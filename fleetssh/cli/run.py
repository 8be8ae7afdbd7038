"""The verb that stays: ``run``, the loop with its signals."""

from __future__ import annotations

import signal
from dataclasses import replace
from types import FrameType

import click

from fleetssh.cli.exits import Exit
from fleetssh.cli.flags import Verb
from fleetssh.cli.notify import Notifier
from fleetssh.cli.passes import believe_option
from fleetssh.cli.session import Session
from fleetssh.cli.watch import Watch
from fleetssh.control.loop import (
    ACT_SECONDS,
    CONNECT_SECONDS,
    INTERVAL_SECONDS,
    LOOK_SECONDS,
    SILENCE_SECONDS,
    Loop,
    Orders,
    Source,
)
from fleetssh.core.health import LOOP_PATIENCE
from fleetssh.inventory.fingerprint import fingerprint

SHORTEST_SECONDS = 0.1
"""More passes than that a machine could not tell from one long pass."""

ENDING = (signal.SIGTERM, signal.SIGINT)


@click.command(cls=Verb)
@click.option("--interval", type=click.FloatRange(SHORTEST_SECONDS), default=INTERVAL_SECONDS, metavar="S",
              help="Seconds from the beginning of one pass to that of the next (2).")  # fmt: skip
@believe_option
@click.pass_obj
def run(session: Session, interval: float, believe_silence: bool) -> Exit:
    """Watch the machines: a pass every 2 seconds over connections that stay open, until it is told to end.

    Prints what 'fleetssh reconcile' prints, and each trouble once. Commands work beside it. SIGTERM and
    Ctrl-C end it after the pass under way, a second one at once; no unit is touched by that. SIGHUP has it
    read the inventory again, which it also does by itself when a file of the inventory changes. A machine is
    lost after 2 looks without an answer and 2 seconds, and has 1.5 seconds to connect, unless the global
    options say otherwise.
    """
    session.set("lost_after_looks", LOOP_PATIENCE.looks, override=False)
    session.set("lost_after_seconds", LOOP_PATIENCE.seconds, override=False)
    session.set("connect_timeout", CONNECT_SECONDS, override=False)
    session.set("silence_timeout", SILENCE_SECONDS, override=False)
    orders = Orders()
    cluster = replace(
        session.cluster,
        believe_silence=believe_silence,
        look_seconds=LOOK_SECONDS,
        act_seconds=ACT_SECONDS,
    )
    watch = Watch(Notifier(session.environ), session.environ, debug=session.settings.debug)
    path = session.inventory_path()
    source = Source(session.read_inventory, lambda: fingerprint(path))
    loop = Loop(cluster, source, orders, watch, session.doing, interval, session.reopen_store)
    _listen(orders)
    watch.started(cluster.inventory, session.settings.state or str(session.state_path()), interval)
    loop.run()
    watch.ended()
    return Exit.DONE


def _listen(orders: Orders) -> None:
    """Has signals write ``orders``. Who asks for the end a second time gets what the system does then: an end
    at whatever moment loses nothing."""

    def end(_number: int, _frame: FrameType | None) -> None:
        orders.end = True
        for number in ENDING:
            signal.signal(number, signal.SIG_DFL)

    def reread(_number: int, _frame: FrameType | None) -> None:
        orders.reread = True

    for number in ENDING:
        signal.signal(number, end)
    signal.signal(signal.SIGHUP, reread)
