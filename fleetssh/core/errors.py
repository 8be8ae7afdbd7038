"""Everything that can go wrong on purpose: one tree of errors, each with a message and a hint.

FleetError
├── UsageError            the words typed cannot be meant (exit 2)
├── UnitError             a unit file or a unit name is wrong
├── InventoryError        an inventory is wrong
├── CommandError          a verb cannot do what it was asked to
├── StoreError            the state cannot be read or written
│   ├── StoreConflict     somebody committed first; load again and decide again
│   └── StoreHeld         another controller is at work; says who
├── MachineError          a machine could not be reached (exit 4)
├── WireError             a machine's answer cannot be understood
└── LabError              the lab cannot do what it was asked to
"""

from __future__ import annotations


class FleetError(Exception):
    """A mistake or a refusal that a person can act on: what happened, where, and what to type next."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(FleetError):
    """The words typed cannot be meant."""


class UnitError(FleetError):
    """A unit file or a unit name is wrong; ``where`` is ``file:line`` when it is known."""

    def __init__(self, message: str, where: str = "", hint: str = "") -> None:
        super().__init__(f"{where}: {message}" if where else message, hint)
        self.where = where
        self.reason = message


class InventoryError(FleetError):
    """An inventory is wrong; ``where`` is ``file:line``."""

    def __init__(self, message: str, where: str = "", hint: str = "") -> None:
        super().__init__(f"{where}: {message}" if where else message, hint)
        self.where = where
        self.reason = message


class CommandError(FleetError):
    """A verb cannot do what it was asked to."""


class StoreError(FleetError):
    """The state cannot be read or written."""


class StoreConflict(StoreError):
    """Somebody committed first: load again and decide again."""


class StoreHeld(StoreError):
    """Another controller is at work on this cluster; the message says who and since when."""


class MachineError(FleetError):
    """A machine could not be reached."""


class WireError(FleetError):
    """A machine's answer cannot be understood."""


class LabError(FleetError):
    """The lab cannot do what it was asked to."""
