"""Work that is not over in time is ended, each piece at its own time, by one thread that ends as well."""

from __future__ import annotations

import threading

import pytest

from fleetssh.hosts.deadlines import Deadlines, Late
from tests.hosts.server import wait_for

HOUR = 3600.0


def test_work_in_time_is_left_alone() -> None:
    deadlines, ended = Deadlines(), threading.Event()
    with deadlines.within(HOUR, ended.set):
        pass
    with pytest.raises(KeyError), deadlines.within(HOUR, ended.set):
        raise KeyError
    assert not ended.is_set()


def test_work_that_is_late_is_ended_and_told_so_however_it_ends() -> None:
    deadlines = Deadlines()
    ended = threading.Event()
    with pytest.raises(Late, match=r"no complete answer within 0\.05 s"), deadlines.within(0.05, ended.set):
        assert ended.wait(30)
    ended = threading.Event()
    with pytest.raises(Late) as told, deadlines.within(0.05, ended.set):
        assert ended.wait(30)
        raise KeyError
    assert isinstance(told.value.__cause__, KeyError)


def test_a_person_who_interrupts_late_work_is_obeyed() -> None:
    ended = threading.Event()
    with pytest.raises(KeyboardInterrupt), Deadlines().within(0.05, ended.set):
        assert ended.wait(30)
        raise KeyboardInterrupt


def test_each_piece_of_work_has_its_own_time_and_no_end_holds_up_another() -> None:
    deadlines, hold = Deadlines(), threading.Event()
    hangs, ends, never = threading.Event(), threading.Event(), threading.Event()

    def hang() -> None:
        hangs.set()
        hold.wait()

    with deadlines.within(HOUR, never.set):  # the thread sleeps for an hour now
        with pytest.raises(Late), deadlines.within(0.05, hang):
            assert hangs.wait(30)
            with pytest.raises(Late), deadlines.within(0.05, ends.set):
                assert ends.wait(30)
        assert not never.is_set()
    hold.set()


def test_one_thread_watches_and_ends_when_there_is_nothing_to_watch() -> None:
    before, deadlines = set(threading.enumerate()), Deadlines()

    def new() -> int:
        return len(set(threading.enumerate()) - before)

    for _ in range(10):
        with deadlines.within(2.0, lambda: None):
            assert new() <= 1
    wait_for(lambda: new() == 0)
    with deadlines.within(HOUR, lambda: None):
        assert new() == 1
