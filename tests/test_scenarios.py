"""Every test of fleet's own suite is a test here, or docs/fleet-differences.md says why it is not.

F-numbers count fleet's tests in their order. A number counts where it stands beside a test (in a comment or
in the docstring of a test), or in the table of the differences.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIFFERENCES = ROOT / "docs" / "fleet-differences.md"
CHANGED = "### Applies, with a difference"
NONE = "### Does not apply"
ALL = range(1, 235)

NUMBER = re.compile(r"F-(\d{3})(?:\s*(?:–|-|to)\s*F-(\d{3}))?(?!\d)")


def numbers_in(text: str) -> set[int]:
    """The numbers that a text names; ``F-116 to F-118`` are three, also with a dash for ``to``."""
    return {
        number for first, last in NUMBER.findall(text) for number in range(int(first), int(last or first) + 1)
    }


def texts_beside_tests(path: Path) -> Iterator[str]:
    """The comments of a file, and the docstrings of its tests."""
    source = path.read_text(encoding="utf-8")
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.string
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield ast.get_docstring(node) or ""


def proved() -> set[int]:
    """The numbers of fleet's tests that are tests here."""
    files = (path for path in sorted((ROOT / "tests").rglob("test_*.py")) if path != Path(__file__))
    return {number for path in files for text in texts_beside_tests(path) for number in numbers_in(text)}


def told(heading: str) -> set[int]:
    """The numbers in the first column of the table below ``heading`` in the document of differences."""
    _, found, rest = DIFFERENCES.read_text(encoding="utf-8").partition(f"\n{heading}\n")
    assert found, f"{DIFFERENCES} has no heading {heading!r}"
    table = rest.partition("\n#")[0]
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| F-")]
    assert all(len(row) == 5 and all(cell.strip() for cell in row[1:-1]) for row in rows), "a cell is empty"
    return {number for row in rows for number in numbers_in(row[1])}


def named(numbers: set[int]) -> list[str]:
    """The numbers as they are written."""
    return [f"F-{number:03}" for number in sorted(numbers)]


def test_every_test_of_fleet_is_a_test_or_does_not_apply() -> None:
    assert named(set(ALL) - proved() - told(NONE)) == []


def test_what_applies_with_a_difference_is_a_test_too() -> None:
    assert named(told(CHANGED) - proved()) == []


def test_nothing_both_applies_and_does_not() -> None:
    assert named(told(CHANGED) & told(NONE)) == []


def test_there_is_no_number_that_fleet_has_not() -> None:
    assert named((proved() | told(CHANGED) | told(NONE)) - set(ALL)) == []


def test_numbers_are_read_as_people_write_them() -> None:
    text = "F-001, F-003 and F-116 – F-118; F-120 to F-121, F-1234"
    assert numbers_in(text) == {1, 3, 116, 117, 118, 120, 121}
