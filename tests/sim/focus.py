"""Focuses: some storms are of everything, others bring together what seldom meets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Focus:
    """What a storm is about: the units, the kinds of controllers and the number of machines to choose from
    (empty: any), how often which faults strike (those left out: as ever), and which share of stops takes
    longer than a visit waits, and the ``seconds`` that it lasts."""

    names: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    machines: tuple[int, int] = (2, 6)
    rates: tuple[float, ...] = (0.0, 0.002, 0.01, 0.03)
    weights: Mapping[str, int] = field(default_factory=dict)
    stubborn: float = 0.0
    seconds: tuple[float, float] = (60.0, 240.0)


FOCUSES: Mapping[str, Focus] = {
    "everything": Focus(),
    "leases": Focus(
        names=("k.service", "l.service", "n.service", "t@1.service", "a.service"),
        kinds=("loop", "two loops"),
        machines=(3, 5),
        seconds=(200.0, 450.0),
        rates=(0.004, 0.01),
        weights={"hold up": 20, "freeze": 20, "unplug": 20, "slow": 5, "cut all": 0, "access": 0},
    ),
    "swaps": Focus(
        names=("a.service", "b.service", "c.service", "d.service", "r.service", "t@1.service", "t@2.service"),
        machines=(2, 3),
        rates=(0.01, 0.03),
        weights={"swallow": 10, "leave": 20, "cut all": 0},
        stubborn=0.2,
    ),
    "copies": Focus(
        kinds=("fork",),
        machines=(3, 5),
        rates=(0.004, 0.01),
        weights={"reboot": 20, "crash": 10, "cut": 15},
    ),
}
