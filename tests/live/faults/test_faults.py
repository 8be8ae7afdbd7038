"""Whatever breaks: nothing is lost, nothing leased runs twice, nothing healthy stops, and all converges."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import cast

import pytest

from tests.live.faults.playing import playing
from tests.live.faults.rows import Seen, faults
from tests.live.faults.table import SCENES, Scene


@pytest.fixture(scope="module")
def played(
    tmp_path_factory: pytest.TempPathFactory, sockets: Path, request: pytest.FixtureRequest
) -> Iterator[Mapping[str, Future[Seen]]]:
    """Every scene that was chosen, as it is being played."""
    chosen = [
        cast(Scene, item.callspec.params["scene"])
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.path == Path(__file__)
    ]
    name = os.environ.get("FLEETSSH_TEST_LAB", "live")
    with playing(chosen, name, tmp_path_factory.mktemp("faults"), sockets) as futures:
        yield futures


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.slug)
def test_a_fault(played: Mapping[str, Future[Seen]], scene: Scene) -> None:
    seen = played[scene.name].result()
    sys.stderr.write(f"{seen}\n")
    assert faults(seen) == []
