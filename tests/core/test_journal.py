"""Several machines' lines as one sequence."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fleetssh.core.journal import MAX_HELD, Entry, Line, Window, merge

Journals = list[list[Line]]


def line(host: str, at: int) -> Line:
    return Line(host, Entry(f"{host}-{at}", "boot", at, {}))


def journals_of(times: list[list[int]]) -> Journals:
    return [[line(f"m{number}", at) for at in each] for number, each in enumerate(times)]


any_journals = st.lists(st.lists(st.integers(0, 50), max_size=8), max_size=4).map(journals_of)
sane_journals = st.lists(st.lists(st.integers(0, 50), max_size=8).map(sorted), max_size=4).map(journals_of)


def own(lines: list[Line], host: str) -> list[Line]:
    return [line for line in lines if line.host == host]


@given(sane_journals)
def test_lines_are_merged_by_time(journals: Journals) -> None:
    merged = list(merge(journals))
    assert [each.entry.at for each in merged] == sorted(each.entry.at for j in journals for each in j)


@given(any_journals)
def test_a_machine_whose_clock_was_set_back_keeps_its_order_and_all_its_lines(journals: Journals) -> None:
    merged = list(merge(journals))
    assert len(merged) == sum(map(len, journals))
    for number, journal in enumerate(journals):
        assert own(merged, f"m{number}") == journal


def test_only_one_line_of_each_is_asked_for_ahead() -> None:
    asked = []

    def journal(host: str, step: int):
        for at in range(step, 1000, step):
            asked.append((host, at))
            yield line(host, at)

    merged = merge([journal("m1", 1), journal("m2", 10)])
    assert [next(merged).entry.at for _ in range(5)] == [1, 2, 3, 4, 5]
    assert asked.count(("m2", 10)) == 1
    assert len(asked) <= 7


# ---------------------------------------------------------------- followed


def test_lines_wait_for_older_ones_and_no_longer() -> None:
    window = Window()
    assert (window.due, window.release(0.0)) == (None, [])
    window.add(1, [line("m1", 20)], due=1.3)
    window.add(2, [line("m2", 10)], due=1.4)
    window.add(2, [line("m2", 30)], due=1.5)
    assert (window.due, window.release(1.2)) == (1.3, [])
    assert window.release(1.3) == [line("m2", 10), line("m1", 20)]
    assert window.release(2.0) == [line("m2", 30)]
    assert window.due is None


def test_a_line_that_comes_too_late_is_passed_on_all_the_same() -> None:
    window = Window()
    window.add(1, [line("m1", 20)], due=1.0)
    assert window.release(1.0) == [line("m1", 20)]
    window.add(2, [line("m2", 10)], due=1.5)
    assert window.release(1.5) == [line("m2", 10)]


def test_a_flood_is_passed_on_rather_than_kept() -> None:
    window = Window()
    window.add(1, [line("m1", at) for at in range(MAX_HELD + 5)], due=9.0)
    assert [each.entry.at for each in window.release(0.0)] == [0, 1, 2, 3, 4]
    assert len(window.release(9.0)) == MAX_HELD


@given(any_journals, st.data())
def test_whenever_lines_come_and_go_each_is_let_out_once_in_its_machines_order(
    journals: Journals, data: st.DataObject
) -> None:
    window = Window()
    rest = [list(journal) for journal in journals]
    out: list[Line] = []
    now = 0.0
    while any(rest):
        source = data.draw(st.sampled_from([n for n, journal in enumerate(rest) if journal]))
        count = data.draw(st.integers(1, 3))
        window.add(source, rest[source][:count], due=now + 0.3)
        del rest[source][:count]
        now += data.draw(st.sampled_from([0.0, 0.1, 1.0]))
        out += window.release(now)
    while (due := window.due) is not None:
        out += window.release(due)
    assert len(out) == sum(map(len, journals))
    for number, journal in enumerate(journals):
        assert own(out, f"m{number}") == journal
