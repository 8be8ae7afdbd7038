"""Machines and networks that break: nothing is lost, nothing leased runs twice, nothing healthy is stopped."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import pytest

from tests.live.faults.lane import Lane
from tests.live.faults.rows import Row, Seen, faults, play
from tests.live.faults.table import ROWS

LANES = 4
"""Rows at once: they mostly wait."""


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory, sockets: Path, request: pytest.FixtureRequest) -> Iterator[Mapping[str, Future[Seen]]]:
    """Every row that was chosen, as it is being played."""
    folder = tmp_path_factory.mktemp("faults")
    name = os.environ.get("FLEETSSH_TEST_LAB", "live")
    chosen = {item.callspec.params["row"].name for item in request.session.items if getattr(item, "callspec", None) and "row" in item.callspec.params}
    free: SimpleQueue[Lane] = SimpleQueue()

    def run(row: Row) -> Seen:
        lane = free.get()
        try:
            return play(row, lane)
        finally:
            free.put(lane)

    lanes = [Lane(f"{name}-{number}", folder, sockets) for number in range(LANES)]
    try:
        for lane in lanes:
            lane.lab.up(3)
            free.put(lane)
        with ThreadPoolExecutor(LANES) as pool:
            yield {row.name: pool.submit(run, row) for row in ROWS if row.name in chosen}
    finally:
        for lane in lanes:
            lane.lab.down()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.slug)
def test_row(played: Mapping[str, Future[Seen]], row: Row) -> None:
    seen = played[row.name].result()
    print(seen)
    assert faults(row, seen) == []
