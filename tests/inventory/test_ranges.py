import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetssh.core.errors import InventoryError
from fleetssh.inventory.ranges import MAX_NAMES, expand, split_port

WORDS = st.text("abcxyz-.", max_size=4)
STEPS = st.integers(1, 5)


@given(WORDS, WORDS, st.integers(0, 300), st.integers(0, 60), STEPS, st.booleans())
def test_numbers_are_counted_up_in_the_width_of_the_first(
    head: str, tail: str, begin: int, count: int, step: int, padded: bool
) -> None:
    width = 5 if padded else 0
    end = begin + count
    names = expand(f"{head}[{begin:0{width}}:{end:0{width}}:{step}]{tail}", "f:1")
    assert names == tuple(
        f"{head}{n:0{width}}{tail}" for n in range(begin, end + 1) if (n - begin) % step == 0
    )


@given(st.sampled_from("abcdefghij"), st.sampled_from("abcdefghij"))
def test_letters_run_in_alphabetical_order_both_ends_included(one: str, other: str) -> None:
    begin, end = sorted((one, other))
    names = expand(f"n[{begin}:{end}]", "f:1")
    assert names == tuple(f"n{letter}" for letter in "abcdefghij" if begin <= letter <= end)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_several_ranges_give_every_combination_the_leftmost_slowest(ends: list[int]) -> None:
    pattern = "-".join(f"[1:{end}]" for end in ends)
    names = expand(pattern, "f:1")
    numbers = [tuple(map(int, name.split("-"))) for name in names]
    expected = 1
    for end in ends:
        expected *= end
    assert len(set(names)) == expected
    assert numbers == sorted(numbers)


@given(st.text("ab019:[]-", max_size=12))
def test_any_pattern_expands_or_is_refused_with_its_place(pattern: str) -> None:
    try:
        names = expand(pattern, "f:7")
    except InventoryError as error:
        assert error.where == "f:7"
        assert error.hint
    else:
        assert 0 < len(names) <= MAX_NAMES
        assert not any(bracket in name for name in names for bracket in "[]")


def test_a_name_without_a_range_is_itself() -> None:
    assert expand("web.example.com", "f:1") == ("web.example.com",)


def test_a_missing_begin_is_zero_and_capital_letters_count_too() -> None:
    assert expand("n[:2]", "f:1") == ("n0", "n1", "n2")
    assert expand("n[A:C]", "f:1") == ("nA", "nB", "nC")


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("n[1]", "`[1]` is not begin:end"),
        ("n[1:2:3:4]", "is not begin:end"),
        ("n[1:]", "neither two numbers nor two letters"),
        ("n[a:3]", "neither two numbers nor two letters"),
        ("n[aa:cc]", "neither two numbers nor two letters"),
        ("n[1.5:2]", "neither two numbers nor two letters"),
        ("n[5:3]", "`5` comes after `3`"),
        ("n[c:a]", "`c` comes after `a`"),
        ("n[08:100]", "differ in length"),
        ("n[1:9:0]", "the step `0`"),
        ("n[1:9:-1]", "the step `-1`"),
        ("n[1:9:x]", "the step `x`"),
        ("n[1:3", "a bracket has no partner"),
        ("n1:3]", "a bracket has no partner"),
        ("n[[1:3]]", "a bracket has no partner"),
        (f"n[1:{MAX_NAMES + 1}]", f"it means {MAX_NAMES + 1} hosts"),
        ("n[0:999999999999]", "it means 1000000000000 hosts"),
        (f"n[0:{'9' * 5000}]", "neither two numbers nor two letters"),
        ("n[0:999][0:999]", "it means 1000000 hosts"),
    ],
)
def test_a_bad_range_says_what_is_wrong(pattern: str, why: str) -> None:
    with pytest.raises(InventoryError) as caught:
        expand(pattern, "hosts.yml:3")
    assert why in caught.value.message
    assert caught.value.where == "hosts.yml:3"
    assert "web[01:12]" in caught.value.hint


@pytest.mark.parametrize(
    ("pattern", "name", "port"),
    [
        ("m1", "m1", None),
        ("m1:2222", "m1", "2222"),
        ("m[1:3]", "m[1:3]", None),
        ("m[1:3]:2222", "m[1:3]", "2222"),
        ("[1:3]:22", "[1:3]", "22"),
        ("[0:10:2]:22", "[0:10:2]", "22"),
        ("[fe80::1]:22", "fe80::1", "22"),
        ("fe80::1", "fe80::1", None),
        ("2001:db8::1:2", "2001:db8::1:2", None),
    ],
)
def test_a_port_is_cut_off_but_not_from_an_ipv6_address(pattern: str, name: str, port: str | None) -> None:
    assert split_port(pattern) == (name, port)
