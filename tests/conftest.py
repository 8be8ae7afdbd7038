"""What `make test` runs side by side: the live tests, which mostly wait for their machines, and the rest."""

from __future__ import annotations

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

LIVE = "tests/live/test_"


class Halves(LoadScopeScheduling):
    """Work for two: the live tests that share their machines come one after another."""

    def _split_scope(self, nodeid: str) -> str:
        return "live" if nodeid.startswith(LIVE) else "rest"


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Halves:
    """Asked when there are several workers."""
    return Halves(config, log)
