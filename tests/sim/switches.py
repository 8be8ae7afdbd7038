"""Switches: each turns one safeguard off, in the program or in the machines, to see that it is missed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from fleetssh.control import looking, reconcile, survey
from fleetssh.core import abilities, doubt, health, mending, planning
from fleetssh.core.model import Action, Step
from fleetssh.core.sighting import Opinion, Unreached
from tests.sim.rules import (
    CONFLICT,
    CONVERGED,
    DOUBT,
    FENCE,
    FOREIGN,
    HEALTHY,
    LEASED_TWICE,
    PERSIST,
    TOGETHER,
    TWICE,
)

Patch = tuple[object, str, Any]
"""An object, the name of something in it, and what stands there instead."""


@dataclass(frozen=True, slots=True)
class Switch:
    """What is ``off``, of which rule of the design, which rules of the ring it may break, and how it is
    turned off: by ``patches`` of the program, or by a lever of the world of that name. Seeds are tried from
    ``first`` on, where one was seen to break, in storms ``about`` what brings it out (empty: any)."""

    off: str
    rule: int
    breaks: tuple[str, ...]
    patches: tuple[Patch, ...] = ()
    about: str = ""
    first: int = 0


def _merged(*arguments: Any) -> Any:
    """A plan whose waves have become one."""
    plan = planning.make_plan(*arguments)
    together: dict[str, Any] = {}
    for wave in plan.waves:
        for visit in wave:
            before = together.get(visit.host)
            both = visit if before is None else _joined(before, visit)
            together[visit.host] = both
    waves = (tuple(together[host] for host in sorted(together)),) if together else ()
    return replace(plan, waves=waves)


def _joined(one: Any, other: Any) -> Any:
    steps = dict.fromkeys((*one.steps, *other.steps))
    ordered = tuple(sorted(steps, key=lambda step: (planning.ORDER[step.action], step.unit)))
    return replace(
        one, steps=ordered, units={**one.units, **other.units}, leases={**one.leases, **other.leases}
    )


def _restarting(*arguments: Any, real: Callable[..., list[Step]] = mending.mend) -> list[Step]:
    """Mends what is well, too: a unit that runs is restarted in every pass."""
    steps = real(*arguments)
    wanted, found = arguments[0], arguments[1]
    if not steps and found is not None and found.active == "active" and wanted.generation == 0:
        return [Step(Action.RESTART, wanted.unit.name, "to be sure")]
    return steps


def _everybody_agrees(sightings: Any) -> dict[str, dict[str, Opinion]]:
    """Opinions as if somebody had tried every silent machine, and met nothing."""
    return {host: {"nobody": Opinion.NOTHING} for host, s in sightings.items() if isinstance(s, Unreached)}


SWITCHES = (
    Switch("one missed look is enough", 1, (DOUBT,), ((health, "_is_over", lambda *_: True),)),
    Switch("no second opinion", 1, (DOUBT,), ((health, "_opinions", _everybody_agrees),)),
    Switch(
        "units of doubtful machines are started elsewhere",
        1,
        (TWICE, LEASED_TWICE),
        ((survey, "doubts", lambda *_: {}),),
    ),
    Switch("no alarm when many are silent", 2, (DOUBT,), ((health, "_alarm", lambda *_: ""),)),
    Switch("schedules are written after acting", 3, (PERSIST,)),
    Switch(
        "leases are not written down before visits set out",
        3,
        (LEASED_TWICE,),
        (
            (looking, "_arm", lambda *_: {}),
            (reconcile, "expecting", lambda record, *_: record),
        ),
        about="leases",
    ),
    Switch("machines ignore fences", 4, (FENCE,)),
    Switch(
        "machines do not compare manifests",
        4,
        (TWICE, LEASED_TWICE, HEALTHY, CONFLICT, CONVERGED, PERSIST),
        about="swaps",
        first=1090,
    ),
    Switch(
        "a refused controller acts where it is obeyed",
        4,
        (TWICE, LEASED_TWICE),
        ((reconcile, "at_rest", lambda plan: plan),),
        about="copies",
    ),
    Switch("a move is one wave", 5, (TWICE, LEASED_TWICE), ((reconcile, "make_plan", _merged),)),
    Switch(
        "units start though their old copy was not seen to stop",
        5,
        (TWICE, LEASED_TWICE, CONFLICT),
        ((reconcile._Work, "hold", lambda *_: None),),
        about="swaps",
    ),
    Switch(
        "nobody waits for leases",
        5,
        (LEASED_TWICE,),
        ((doubt, "runs_out", lambda record, lease: 0.0),),
        about="leases",
    ),
    Switch("machines ignore valid_until", 5, (TWICE, LEASED_TWICE), about="leases", first=40),
    Switch("leases never run out", 5, (LEASED_TWICE,), about="leases"),
    Switch("leases keep nothing from starting", 5, (LEASED_TWICE,), about="leases", first=50),
    Switch("machines renew leases for anybody", 4, (FENCE, LEASED_TWICE), about="copies"),
    Switch("machines do not guard their own", 6, (FOREIGN,)),
    Switch("what runs is restarted", 7, (HEALTHY,), ((planning, "mend", _restarting),)),
    Switch("what is down stays down", 8, (CONVERGED,), ((mending, "_launch", lambda *_: []),)),
    Switch(
        "conflicts are not looked at",
        5,
        (CONFLICT,),
        ((abilities.Board, "clashes", lambda *_: False), (reconcile, "check", lambda *_: ())),
    ),
    Switch(
        "nobody makes room before others arrive",
        5,
        (CONFLICT,),
        ((reconcile, "make_plan", _merged),),
        about="swaps",
        first=190,
    ),
    Switch(
        "MachineOf is not looked at",
        5,
        (TOGETHER,),
        (
            (abilities.Board, "_deserted", lambda *_: {}),
            (reconcile, "check", lambda *_: ()),
        ),
        first=700,
    ),
)
