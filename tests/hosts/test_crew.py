"""Many visits at once: bounded, answered as they come, by threads that stay."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass

import pytest

from fleetssh.core.sighting import Failure, Sighting, Unreached
from fleetssh.core.visit import Visit
from fleetssh.hosts import Target
from fleetssh.hosts.crew import Crew
from fleetssh.inventory import Host

SECONDS = 30.0


@dataclass(frozen=True)
class Errand:
    """Carries every visit by doing ``work`` with the name of its target."""

    work: Callable[[str], None]

    def visit(self, target: Target, visit: Visit, deadline_seconds: float) -> Sighting:
        self.work(target.name)
        return Unreached(target.name, Failure.REFUSED, "", sent=False)

    def fallen(self) -> frozenset[str]:
        return frozenset()

    def keep_only(self, names: Set[str]) -> None: ...

    def stream(self, *args: object, **more: object) -> int:
        raise NotImplementedError

    def close(self) -> None: ...


def to(names: Iterable[str]) -> list[tuple[Target, Visit]]:
    return [(Host(name, "127.0.0.1", 22, None, None, False, None, {}, (), ""), Visit()) for name in names]


def test_as_many_threads_as_forks_make_all_the_visits_there_ever_are() -> None:
    """All three wait for each other, so that each visit has a thread of its own."""
    crew, together, threads = Crew(3), threading.Barrier(3), set()

    def work(name: str) -> None:
        together.wait(SECONDS)
        threads.add(threading.get_ident())

    for _ in range(4):
        seen = crew.visit_all(Errand(work), to("abcdef"))
        assert sorted(sighting.host for sighting in seen) == list("abcdef")
    assert len(threads) == 3


def test_answers_come_as_they_are_given() -> None:
    first = threading.Event()

    def work(name: str) -> None:
        assert name == "b" or first.wait(SECONDS)

    hosts = []
    for sighting in Crew(2).visit_all(Errand(work), to("ab")):
        hosts.append(sighting.host)
        first.set()
    assert hosts == ["b", "a"]


def test_what_is_visited_meanwhile_waits_for_nobody() -> None:
    """A lease is renewed though all that may be in flight hangs."""
    crew, over, kept = Crew(2), threading.Event(), []

    def renew() -> None:
        kept.extend(sighting.host for sighting in crew.visit_all(Errand(lambda _: None), to("xyz")))
        over.set()

    def hang(_: str) -> None:
        assert over.wait(SECONDS)

    seen = crew.visit_all(Errand(hang), to("abcd"), meanwhile=renew, every_seconds=0.01)
    assert sorted(sighting.host for sighting in seen) == list("abcd")
    assert set(kept) == set("xyz")


def test_who_is_interrupted_begins_no_further_visit_and_can_go_on_later() -> None:
    crew, over, begun = Crew(2), threading.Event(), []

    def work(name: str) -> None:
        begun.append(name)
        assert name == "a" or over.wait(SECONDS)

    with pytest.raises(KeyboardInterrupt):
        for _ in crew.visit_all(Errand(work), to("abcdefgh")):
            raise KeyboardInterrupt
    # The two threads of before hang, at "b" and at what one of them had already taken; others make these.
    assert len(list(crew.visit_all(Errand(lambda _: None), to("xyz")))) == 3
    over.set()
    assert set(begun) <= set("abc")


def test_one_at_a_time_they_are_made_in_order_and_here() -> None:
    made = []
    errand = Errand(lambda name: made.append((name, threading.current_thread())))
    seen = Crew(1).visit_all(errand, to("cab"), meanwhile=lambda: pytest.fail("called"), every_seconds=0.0)
    assert [sighting.host for sighting in seen] == list("cab")
    assert made == [(name, threading.current_thread()) for name in "cab"]
