"""What `make test` runs side by side: the live tests, which mostly wait for their machines, and the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

LIVE = Path(__file__).parent / "live"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One group for each of two workers: live tests share their machines, and come one after another."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group("live" if LIVE in item.path.parents else "rest"))
