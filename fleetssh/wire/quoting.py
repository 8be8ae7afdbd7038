"""How a value becomes a shell word: the only quoting in the project."""

from __future__ import annotations

import string
from collections.abc import Iterable

_UNEQUAL = frozenset("!\\\n")
_PLAIN = frozenset(string.ascii_letters + string.digits + " -_./:=,@%+")


def quote(value: str) -> str:
    """``value`` as one POSIX shell word, whatever it contains.

    Single quotes protect everything but the single quote itself. NUL cannot be said in a shell word.
    Raises ValueError for it.
    """
    if "\0" in value:
        raise ValueError("a shell word cannot contain NUL")
    return "'" + value.replace("'", "'\\''") + "'"


def shell_command(command: str) -> str:
    """A command line that has ``/bin/sh`` run ``command``, whatever the login shell is that reads it.

    Every shell takes a plain single-quoted word alike. But to csh ``!`` and the end of a line mean something
    even in quotes, and to fish a backslash does: a command with any of these is spelled in octal numbers.
    Undecodable bytes of the command line (PEP 383) come through as they were. Raises ValueError for NUL.
    """
    quoted = quote(command)
    if command.isascii() and not _UNEQUAL.intersection(command):
        return f"/bin/sh -c {quoted}"
    spelled = "".join(c if c in _PLAIN else _octal(c) for c in command)
    return f'/bin/sh -c \'eval "$(printf %b "{spelled}")"\''


def _octal(character: str) -> str:
    return "".join(f"\\0{byte:03o}" for byte in character.encode("utf-8", "surrogateescape"))


def words(values: Iterable[str]) -> str:
    """Several values as shell words, separated by blanks."""
    return " ".join(quote(value) for value in values)
