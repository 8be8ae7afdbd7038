"""How a value becomes a shell word: the only quoting in the project."""

from __future__ import annotations

from collections.abc import Iterable


def quote(value: str) -> str:
    """``value`` as one POSIX shell word, whatever it contains.

    Single quotes protect everything but the single quote itself. NUL cannot be said in a shell word.
    Raises ValueError for it.
    """
    if "\0" in value:
        raise ValueError("a shell word cannot contain NUL")
    return "'" + value.replace("'", "'\\''") + "'"


def words(values: Iterable[str]) -> str:
    """Several values as shell words, separated by blanks."""
    return " ".join(quote(value) for value in values)
