"""Machines for the wire's tests, one for each shell that is /bin/sh somewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.wire.machine import SHELLS, Machine, can_enter


@pytest.fixture(scope="session")
def namespaces() -> None:
    """Skips what needs a private mount namespace where none can be made."""
    if not can_enter():
        pytest.skip("needs root or user namespaces")


@pytest.fixture(params=sorted(SHELLS))
def shell(request: pytest.FixtureRequest, namespaces: None) -> str:
    """The name of each shell in turn."""
    if not Path(SHELLS[request.param]).exists():
        pytest.skip(f"{request.param} is not installed")
    return str(request.param)


@pytest.fixture
def new_machine(tmp_path: Path, namespaces: None) -> Callable[..., Machine]:
    """Makes machines below the test's folder."""

    def make(name: str = "machine", **options: str) -> Machine:
        return Machine(tmp_path / name, **options)

    return make


@pytest.fixture
def machine(new_machine: Callable[..., Machine], shell: str) -> Machine:
    """One machine, once for each shell."""
    return new_machine(shell=shell)
