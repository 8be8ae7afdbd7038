"""When a lease has surely run out, and which lengths make sense."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetssh.core.leases import (
    CLOCK_RATE,
    LEASE_STOP_SECONDS,
    MAX_SECONDS,
    MIN_SECONDS,
    VALID_SECONDS,
    read_lease,
    runs_out,
    warn_of_short,
)
from fleetssh.core.model import MachineRecord

LENGTHS = st.integers(MIN_SECONDS, MAX_SECONDS)
TIMES = st.floats(0, 1e9)


def armed(at: float | None) -> MachineRecord:
    return MachineRecord("m1", "id", armed_at=at)


@given(LENGTHS, TIMES, st.floats(0, VALID_SECONDS), st.floats(1 - CLOCK_RATE, 1 + CLOCK_RATE))
def test_the_machine_has_stopped_a_unit_before_the_controller_believes_it(
    lease: int, sent: float, way: float, rate: float
) -> None:
    """A visit set out at ``sent`` and lay on its way as long as it may; the machine counts whole seconds of a
    clock that runs ``rate`` times as fast as ours, notices the end a second late, and kills."""
    on_machine = way + lease + 1 + 1 + LEASE_STOP_SECONDS
    assert sent + on_machine / rate <= runs_out(armed(sent), lease)


def test_a_machine_that_forgot_its_leases_runs_none() -> None:
    assert runs_out(armed(None), 30) == 0.0


@given(LENGTHS)
def test_every_length_within_the_bounds_is_read_back(lease: int) -> None:
    assert read_lease(str(lease)) == read_lease(f"{lease}s") == lease


@given(st.integers(1, 10**12).filter(lambda lease: not MIN_SECONDS <= lease <= MAX_SECONDS))
def test_no_length_beyond_the_bounds_is_read(lease: int) -> None:
    with pytest.raises(ValueError, match="expected"):
        read_lease(str(lease))


@given(st.text())
def test_any_text_is_a_length_or_a_mistake_on_one_short_line(text: str) -> None:
    try:
        assert read_lease(text) >= 0
    except ValueError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 300


def test_a_lease_too_short_for_the_passes_is_told_with_the_units_that_have_it() -> None:
    leases = {"a.service": 5, "b.service": 10, "c.service": 0, "d.service": 60}
    assert warn_of_short(leases, 2.0) == ""
    assert warn_of_short(leases, 4.0) == (
        "a lease of 5 s may run out between passes every 4 s (a.service): "
        "make it 9 s or longer, or the passes more frequent"
    )
    many = {f"u{number}.service": 20 for number in range(5)}
    assert "(u0.service, u1.service, u2.service and 2 more)" in warn_of_short(many, 60)
