"""A slow line in front of a machine's sshd: what goes in comes out a while later, in order, both ways."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from types import TracebackType

CHUNK = 65536


class Relay:
    """Listens on ``host`` and passes everything on to ``target``, ``delay`` seconds late each way, which may
    be changed at any time. Runs in a thread of its own while it is entered."""

    def __init__(self, host: str, target: str, port: int = 22) -> None:
        self.delay = 0.0
        self.port = 0
        self._host, self._target, self._target_port = host, target, port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay", daemon=True)

    def __enter__(self) -> Relay:
        self._thread.start()
        server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, self._host, 0), self._loop
        ).result(10)
        self.port = server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(_end_others(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(self._target, self._target_port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        due = 0.0
        data = b"-"
        while data:
            data = b""
            with contextlib.suppress(OSError):
                data = await reader.read(CHUNK)
            due = max(due, self._loop.time() + self.delay)
            self._loop.call_at(due, _pass_on, writer, data)


def _pass_on(writer: asyncio.StreamWriter, data: bytes) -> None:
    if data:
        writer.write(data)
    else:
        writer.close()


async def _end_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
