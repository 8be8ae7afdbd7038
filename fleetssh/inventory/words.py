"""Which texts an inventory may hold: printable, no templates, nothing that ssh could take for an option."""

from __future__ import annotations

from fleetssh.core.errors import InventoryError
from fleetssh.core.excerpts import shorten

MAX_WORD = 255
"""Characters in a name, an address or a login: DNS and Linux allow no more."""

MAX_LABEL = 63
"""Bytes between two dots of a name (RFC 1035)."""

_TEMPLATE_MARKS = ("{{", "{%")

_IN_ADDRESSES = "._-:%"
"""Beside letters and digits; ``%`` comes before the interface of a link-local IPv6 address."""

_NOT_IN_USERS = "'`\";&<>|(){}"
"""What OpenSSH 9.6 and newer refuse (``valid_ruser`` in ssh.c)."""


def check_plain(text: str, title: str, where: str) -> None:
    """Raise ``InventoryError`` for a Jinja template and for control characters."""
    if any(mark in text for mark in _TEMPLATE_MARKS):
        message = f"{title} is the template {shorten(text)!r}; expected the value itself"
        raise InventoryError(message, where, "templates are not evaluated here: write the value out")
    if not text.isprintable():
        message = f"{title} is {shorten(text)!r}; expected no line breaks and no control characters"
        raise InventoryError(message, where, "delete the character that is shown with a backslash")


def check_word(text: str, title: str, where: str) -> None:
    """Raise ``InventoryError`` for what ``check_plain`` refuses, blanks, an empty text, one longer than
    ``MAX_WORD``, and a ``-`` in front.

    A name that begins with ``-`` would be read as an option by OpenSSH's client.
    """
    check_plain(text, title, where)
    if not text or any(character.isspace() for character in text):
        raise InventoryError(f"{title} is {shorten(text)!r}; expected one word without blanks", where)
    if len(text) > MAX_WORD:
        raise InventoryError(f"{title} is longer than {MAX_WORD} characters: {shorten(text)!r}", where)
    if text.startswith("-"):
        hint = "a name that begins with `-` could be taken for an option of ssh"
        raise InventoryError(
            f"{title} is {shorten(text)!r}; expected a word that does not begin with `-`", where, hint
        )


def check_address(text: str, title: str, where: str) -> None:
    """Raise ``InventoryError`` for a word that is no host name and no IP address.

    What a shell would take for more than a word never gets further: OpenSSH hands addresses to the
    ``ProxyCommand`` and ``Match exec`` of a user's own ``ssh_config``, which a shell reads.
    """
    hint = ""
    if "@" in text:
        hint = "the user goes into `ansible_user`"
    elif text.startswith("["):
        hint = "an IPv6 address is written without brackets"
    elif not all(character.isalnum() or character in _IN_ADDRESSES for character in text):
        hint = "letters, digits and . - _ : are allowed"
    elif text.count(":") == 1:
        name, _, port = text.partition(":")
        hint = f"write `ansible_host: {name}` and `ansible_port: {port}`"
    elif ":" not in text and not _can_be_looked_up(text):
        hint = "there are 1 to 63 characters between two dots"
    if hint:
        raise InventoryError(
            f"{title} is {shorten(text)!r}; expected a host name or an IP address", where, hint
        )


def _can_be_looked_up(name: str) -> bool:
    if name.isascii():
        return all(1 <= len(label) <= MAX_LABEL for label in name.removesuffix(".").split("."))
    try:
        name.encode("idna")
    except UnicodeError:
        return False
    return True


def check_user(text: str, title: str, where: str) -> None:
    """Raise ``InventoryError`` for a login name that OpenSSH refuses too, because a shell might read it."""
    if any(character in _NOT_IN_USERS for character in text) or text.endswith("\\"):
        message = f"{title} is {shorten(text)!r}; expected a login name"
        raise InventoryError(message, where, "it has a character that means something to a shell")
