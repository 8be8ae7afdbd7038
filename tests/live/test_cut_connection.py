"""A connection that breaks off between any two bytes: nothing half heard is believed, and the next pass
finishes the work."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.live.aftermath import Wish, unit_text
from tests.live.conftest import Fleet
from tests.live.cutting import FRAME, Cut
from tests.live.plays import (
    Play,
    Round,
    Scenario,
    beside,
    playing,
    replace_and_restart,
    side_by_side,
    start_and_destroy,
    stop_and_start,
)

EVERYWHERE = bool(os.environ.get("FLEETSSH_TEST_EVERYWHERE"))
"""Between any two bytes of a look, and of what is heard of an act while the machine is at work: hours
instead of a minute."""

LOOK_STRIDE = 1009
ACT_STRIDE = 211 if EVERYWHERE else 5003
SENT_STRIDE = 101 if EVERYWHERE else 7001
"""Bytes between two cuts elsewhere; primes, so that no pattern of the text is met."""

pytestmark = pytest.mark.timeout(8 * 3600 if EVERYWHERE else 300)

LOOK, ACT = 1, 2
"""What this run sends to the machine first and second."""

PACKET_BYTES = 32 * 1024 - 64
"""What paramiko puts into one message at most."""


def begins(heard: bytes) -> list[int]:
    """Where the frames of a reply begin."""
    return [at for at in range(len(heard)) if heard.startswith(FRAME, at)]


def edges(heard: bytes) -> set[int]:
    """The begin of each frame, and one byte before and after it."""
    return {begin + offset for begin in begins(heard) for offset in (-1, 0, 1)}


def cuts(visit: int, heard: bytes, *places: Iterable[int]) -> Iterator[Cut]:
    """Cuts of a reply like ``heard`` after so many bytes, and one of a reply that is lost whole. Nothing is
    missing any more when only its last byte is."""
    frames = begins(heard)
    for at in sorted(set().union(*places) & set(range(len(heard) - 1))):
        known = [begin for begin in frames if begin + len(FRAME) <= at]
        yield Cut(visit, frame=len(known), heard=at - known[-1] if known else at)
    yield Cut(visit, heard=0, late=True)


# ---------------------------------------------------------------- a look


def test_half_a_look_is_never_believed(fleet: Fleet, tmp_path: Path) -> None:
    def look(machine: str, user: str, *, everywhere: bool) -> None:
        with playing(fleet, tmp_path / machine, machine, user=user) as play:
            calm = beside(play)
            heard = play.run("reconcile", cut=Cut(LOOK)).heard
            stride = 1 if everywhere else LOOK_STRIDE
            for cut in cuts(LOOK, heard, edges(heard), range(0, len(heard), stride)):
                done = play.run("reconcile", cut=cut)
                assert (done.code, done.out) == (4, ""), f"{cut}: {done}"
                assert "answered half" in done.err, f"{cut}: {done.err}"
            assert play.lost({**calm, "job.service": Wish(1, calm=True)}) == []

    side_by_side(
        lambda: look("m1", "root", everywhere=EVERYWHERE), lambda: look("m2", "ops", everywhere=False)
    )


# ---------------------------------------------------------------- an act, while it is heard


def test_work_of_which_half_was_heard_is_finished_by_the_next_pass(fleet: Fleet, tmp_path: Path) -> None:
    def work(machine: str, scenario: Scenario) -> None:
        with playing(fleet, tmp_path / machine, machine) as play:
            cut_everywhere(play, scenario)

    side_by_side(
        lambda: work("m1", start_and_destroy),
        lambda: work("m2", replace_and_restart),
        lambda: work("m3", stop_and_start),
    )


def cut_everywhere(play: Play, scenario: Scenario) -> None:
    """Cuts the reply to each command's act at one place after the other."""
    left: dict[str, list[Cut]] = {}
    for turn in scenario(play):
        verb = turn.arguments[0]
        if verb not in left:  # heard to its end once, to know where to cut
            heard = play.run(*turn.arguments, cut=Cut(ACT)).heard
            at_work = heard.index(FRAME, heard.index(b" locked\n"))
            near = range(at_work) if EVERYWHERE else edges(heard[:at_work])
            left[verb] = list(cuts(ACT, heard, near, range(0, len(heard), ACT_STRIDE)))
        elif left[verb]:
            finish(play, turn, left[verb].pop())
            continue
        elif not any(left.values()):
            return
        else:
            play.succeed(*turn.arguments)
        play.look(turn.wishes)


def finish(play: Play, turn: Round, cut: Cut) -> None:
    """One command that is cut, one pass, and everything is as it must be."""
    where = f"{turn.arguments}: {cut}"
    done = play.run(*turn.arguments, cut=cut)
    assert done.code == 4, f"{where}: exit code {done.code}\n{done.out}{done.err}"
    assert "answered half" in done.err, f"{where}: {done.err}"
    play.wait()
    play.succeed("reconcile")
    assert play.lost(turn.wishes) == [], where


# ---------------------------------------------------------------- an act, while it is said


def test_a_program_that_did_not_arrive_whole_does_nothing(fleet: Fleet, tmp_path: Path) -> None:
    with playing(fleet, tmp_path / "m1", "m1") as play:
        play.fleet.unit("job.service", unit_text(1) + "# a long file\n" * 7000)
        size = 100_000
        edges = {edge + offset for edge in range(0, size, PACKET_BYTES) for offset in (-1, 0, 1)}
        for sent in sorted(edges - {-1} | set(range(0, size, SENT_STRIDE)) | {-1, -2, -3}):
            done = play.run("start", "job.service", cut=Cut(ACT, sent=sent))
            assert done.code == 4, f"{sent} bytes sent: {done}"
            play.wait()
            left = fleet.lab.run_inside(
                "m1", ["find", "/run/fleet/units", "/run/fleet/manifest", "/run/lives", "-type", "f"]
            )
            assert left.stdout == "", f"{sent} bytes sent: {left.stdout}"
        # The last of it was sent, and nobody waits for an answer: begun or not, one pass ends it.
        assert play.run("start", "job.service", cut=Cut(ACT, sent=sys.maxsize)).code == 4
        play.wait()
        play.succeed("reconcile")
        assert play.lost({"job.service": Wish(1)}) == []
