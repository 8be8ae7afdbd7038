"""The growing number by which machines tell an older controller from a newer one."""

from __future__ import annotations

from dataclasses import dataclass

from fleetssh.store import REIGN


@dataclass(frozen=True, slots=True)
class Fence:
    """The fence of the last hold: its ``number``, ``who`` (``user@host``) held, and the ``token`` of the
    opened store that did, made anew with each."""

    number: int = 0
    who: str = ""
    token: str = ""

    def taken(self, who: str, token: str) -> Fence:
        """The fence under which ``who`` holds next; the same one when nobody held in between."""
        if self == (again := Fence(self.number, who, token)):
            return again
        grown = 1 if self.number == 0 or self.who == who else REIGN
        return Fence(self.number + grown, who, token)
