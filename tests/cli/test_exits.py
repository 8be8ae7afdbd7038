import pytest

from fleetssh.cli.exits import Exit, code_of, combine
from fleetssh.core import errors


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UsageError("x"), 2),
        (errors.MachineError("x"), 4),
        (errors.StoreHeld("x"), 6),
        (errors.StoreConflict("x"), 1),
        (errors.StoreError("x"), 1),
        (errors.CommandError("x"), 1),
        (errors.UnitError("x", "f:1"), 1),
        (errors.InventoryError("x"), 1),
        (errors.LabError("x"), 1),
        (errors.FleetError("x"), 1),
    ],
)
def test_every_error_has_its_exit_code(error, code):
    assert code_of(error) == code


def test_a_units_own_trouble_is_told_before_a_silent_machine():
    assert combine([Exit.MACHINE, Exit.DONE, Exit.UNIT]) is Exit.UNIT
    assert combine([Exit.DONE, Exit.MACHINE]) is Exit.MACHINE
    assert combine([]) is Exit.DONE
