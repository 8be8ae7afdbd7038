"""Several scenes side by side, each on machines of its own: they mostly wait."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import SimpleQueue

from tests.live.faults.lane import Lane
from tests.live.faults.rows import Seen
from tests.live.faults.table import Scene

LANES = 4


@contextmanager
def playing(
    scenes: Iterable[Scene], name: str, folder: Path, sockets: Path, *, whole: bool = False
) -> Iterator[Mapping[str, Future[Seen]]]:
    """All scenes by name, as they are being played. ``name`` is the beginning of the labs' names."""
    free: SimpleQueue[Lane] = SimpleQueue()

    def play(scene: Scene) -> Seen:
        lane = free.get()
        try:
            return scene.play(lane, whole=whole)
        finally:
            free.put(lane)

    with ExitStack() as stack:
        for number in range(LANES):
            free.put(stack.enter_context(Lane(f"{name}-{number}", folder, sockets).up()))
        pool = stack.enter_context(ThreadPoolExecutor(LANES))
        futures = {scene.name: pool.submit(play, scene) for scene in scenes}
        stack.callback(pool.shutdown, wait=True, cancel_futures=True)
        yield futures
