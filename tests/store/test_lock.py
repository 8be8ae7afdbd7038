"""What the error about a held lock says."""

from __future__ import annotations

import pytest

from fleetssh.store.lock import Holder, held
from tests.store.samples import NOW


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (-5, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (303, "5 min 3 s"),
        (3600, "1 h 0 min"),
        (86399, "23 h 59 min"),
        (2 * 86400 + 3 * 3600, "2 d 3 h"),
    ],
)
def test_error_says_who_holds_it_and_for_how_long(seconds, told):
    error = held(Holder("fleetssh run by ann", 42, NOW), NOW + seconds)
    assert error.message == (
        f"another controller is at work on this cluster: fleetssh run by ann (process 42), for {told}"
    )
    assert error.hint == "wait for it to finish, or end process 42 if it hangs"
