"""docs/cli.md says what the program says."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from fleetssh.cli.exits import Exit
from fleetssh.cli.main import ENTRIES

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def reference() -> str:
    return runpy.run_path(str(ROOT / "scripts" / "cli_reference.py"))["render"]()


def test_the_page_in_docs_is_that_of_the_program(reference):
    written = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert written == reference, "docs/cli.md differs from the program: run 'make docs'"


def test_it_has_every_command_and_every_exit_code(reference):
    lines = reference.splitlines()
    assert {f"### fleetssh {name}" for name in ENTRIES} <= set(lines)
    assert all(any(line.startswith(f"| {code.value} |") for line in lines) for code in Exit)


@pytest.mark.parametrize("page", ["README.md", "docs/operations.md"])
def test_it_is_found(page):
    assert "cli.md" in (ROOT / page).read_text(encoding="utf-8")
