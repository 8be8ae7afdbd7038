"""What is said of a lock that somebody holds."""

from __future__ import annotations

import fcntl

import pytest

from fleetssh.core.errors import StoreHeld
from fleetssh.store.lock import Holder, held, hold_file
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


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b'{"text": "run by ann", "pid": 42, "since": 1.0}', "cluster: run by ann (process 42), for "),
        (b"", "cluster"),
        (b"ann", "cluster"),
        (b'{"text": "run by ann"}', "cluster"),
        (b"\xff", "cluster"),
    ],
    ids=["whole", "empty", "no-json", "half", "no-text"],
)
def test_a_lock_is_held_whatever_its_file_says(tmp_path, content, told):
    """F-218, F-219: who holds it is JSON; what is none names nobody, and frees nothing."""
    path = tmp_path / "lock"
    path.write_bytes(content)
    with path.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(StoreHeld) as caught, hold_file(path, "run by bob", 0, lambda: NOW):
            pass
    assert caught.value.message.startswith(f"another controller is at work on this {told}")
    with hold_file(path, "run by bob", 0, lambda: NOW):
        assert b'"text": "run by bob"' in path.read_bytes()
