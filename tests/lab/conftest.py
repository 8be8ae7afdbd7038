"""One lab of three machines for all tests that only put machines through faults and bring them back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fleetssh.lab import Lab


@pytest.fixture(scope="session")
def shared_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab.open("shared", tmp_path_factory.mktemp("shared") / "lab")
    try:
        lab.up(3)
        yield lab
    finally:
        lab.down()


@pytest.fixture
def lab(shared_lab: Lab) -> Iterator[Lab]:
    """Three machines that run, whatever the test before did to them."""
    yield shared_lab
    for machine in shared_lab.machines():
        shared_lab.heal(machine.name)
        if machine.pid is None:
            shared_lab.boot(machine.name)
        shared_lab.thaw(machine.name)


@pytest.fixture
def new_lab(tmp_path: Path) -> Iterator[Callable[[str], Lab]]:
    """Opens labs of the test's own; they are taken down when it ends."""
    opened: list[Lab] = []

    def open_lab(name: str) -> Lab:
        opened.append(Lab.open(name, tmp_path / name))
        return opened[-1]

    yield open_lab
    for lab in opened:
        lab.down()
