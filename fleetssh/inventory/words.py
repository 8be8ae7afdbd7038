"""Which texts an inventory may hold: printable, no templates, nothing that ssh could take for an option."""

from __future__ import annotations

from fleetssh.core.errors import InventoryError

_TEMPLATE_MARKS = ("{{", "{%")


def check_plain(text: str, title: str, where: str) -> None:
    """Raise ``InventoryError`` for a Jinja template and for control characters."""
    if any(mark in text for mark in _TEMPLATE_MARKS):
        message = f"{title} is the template {text!r}; expected the value itself"
        raise InventoryError(message, where, "templates are not evaluated here: write the value out")
    if not text.isprintable():
        message = f"{title} is {text!r}; expected no line breaks and no control characters"
        raise InventoryError(message, where, "delete the character that is shown with a backslash")


def check_word(text: str, title: str, where: str) -> None:
    """Raise ``InventoryError`` for what ``check_plain`` refuses, blanks, an empty text, a ``-`` in front.

    A name that begins with ``-`` would be read as an option by OpenSSH's client.
    """
    check_plain(text, title, where)
    if not text or any(character.isspace() for character in text):
        raise InventoryError(f"{title} is {text!r}; expected one word without blanks", where)
    if text.startswith("-"):
        hint = "a name that begins with `-` could be taken for an option of ssh"
        raise InventoryError(
            f"{title} is {text!r}; expected a word that does not begin with `-`", where, hint
        )
