"""What somebody else wrote, as a message shows it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fleetssh.core.excerpts import MAX_SHOWN, excerpt, shorten


@given(st.text(max_size=MAX_SHOWN))
def test_what_is_short_and_printable_is_shown_as_it_is(text: str) -> None:
    assert shorten(text) == text
    assert excerpt(text) == text or not text.isprintable()


@given(st.text() | st.text("\n\x00\x1b[31m", min_size=MAX_SHOWN))
def test_an_excerpt_is_one_short_printable_line(text: str) -> None:
    assert excerpt(text).isprintable()
    assert len(excerpt(text)) <= 10 * (MAX_SHOWN + 3)


def test_a_cut_is_seen() -> None:
    assert excerpt("x" * 1000) == "x" * MAX_SHOWN + "..."
    assert excerpt("a\nb\x1b") == r"a\nb\x1b"
