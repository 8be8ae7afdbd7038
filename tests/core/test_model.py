"""What the values of the model say of themselves. Numbers like F-047 name fleet's own tests."""

from __future__ import annotations

import pytest

from fleetssh.core.model import Machine, TargetState
from fleetssh.core.sighting import Found, ManifestEntry

ID = "595989bb-cbb7-49ce-8726-722d6e157b4e"


@pytest.mark.parametrize(("machine_id", "short"), [(ID, "595989bb"), ("595989bb", "595989bb"), ("59", "59")])
def test_a_short_id_is_the_first_eight_characters(machine_id: str, short: str) -> None:
    """F-202"""
    assert Machine(machine_id, "h1").short_id == short


@pytest.mark.parametrize(
    ("address", "legend"),
    [("1.2.3.4", "595989bb.../1.2.3.4"), ("", "595989bb..."), ("::1", "595989bb.../::1")],
)
def test_a_machine_is_called_by_its_short_id_and_its_address(address: str, legend: str) -> None:
    """F-047, F-048 and F-049, the short form; the long one is the command line's."""
    assert Machine(ID, "h1", address).legend == legend


@pytest.mark.parametrize("word", ["inactive", "loaded", "launched"])
def test_three_words_are_target_states(word: str) -> None:
    """F-110"""
    assert str(TargetState(word)) == word


@pytest.mark.parametrize("word", ["active", "", "Loaded", "launched "])
def test_no_other_word_is_a_target_state(word: str) -> None:
    """F-110: an error, and no state at all (fleet gave ``inactive`` besides)."""
    with pytest.raises(ValueError, match="is not a valid TargetState"):
        TargetState(word)


def test_a_unit_that_was_found_keeps_systemds_words() -> None:
    """F-127; the machine is that of the sighting."""
    entry = ManifestEntry("a.service", "0" * 40, TargetState.LAUNCHED, 0)
    found = Found(entry, "0" * 40, load="loaded", active="activating", sub="start-pre")
    assert (found.load, found.active, found.sub) == ("loaded", "activating", "start-pre")
