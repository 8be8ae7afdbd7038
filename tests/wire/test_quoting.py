from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetssh.wire.quoting import quote, words
from tests.wire.machine import SHELLS

ANYTHING = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
AWKWARD = st.text(st.sampled_from("'\"\\$`!#&;|<>(){}[]*?~%=-^ \t\n\r\x01\x7f\x80\x81\x88éß語😀aN0"))


def evaluate(shell: str, program: str) -> bytes:
    """Runs a program as a visit is run; without a PATH, so that text taken for a command finds none."""
    done = subprocess.run(
        ["sh", "-c", 'eval "$(/bin/cat)"'],
        executable=SHELLS[shell],
        input=program.encode(),
        env={"PATH": "/nonexistent"},
        cwd=Path(os.sep) / "proc" / "self",
        capture_output=True,
        timeout=30,
    )
    assert not done.stderr, done.stderr
    return done.stdout


@pytest.mark.parametrize("shell", sorted(SHELLS))
@settings(max_examples=60, deadline=None)
@given(texts=st.lists(ANYTHING | AWKWARD, min_size=1, max_size=30))
def test_every_text_comes_back_unchanged(shell: str, texts: list[str]) -> None:
    if not Path(SHELLS[shell]).exists():
        pytest.skip(f"{shell} is not installed")
    single = "; ".join(f"printf %s {quote(text)}; printf '\\0'" for text in texts)
    listed = f"set -- {words(texts)}; for text; do printf '%s\\0' \"$text\"; done"
    expected = b"".join(text.encode() + b"\0" for text in texts)
    assert evaluate(shell, f"{{ {single}; {listed}\n}}") == 2 * expected


def test_a_nul_cannot_be_said() -> None:
    with pytest.raises(ValueError, match="NUL"):
        quote("a\0b")


def test_the_empty_text_is_still_a_word() -> None:
    assert words(["", "a"]) == "'' 'a'"
