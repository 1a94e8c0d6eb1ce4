"""A way to a server that fails on purpose, over TLS if a test wants it, and counts what was sent through it."""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

PATIENCE = 60.0  # seconds


@dataclass(frozen=True)
class Fault:
    """What happens to one connection: it is answered with `status` and closed; or never answered; or cut after so many
    bytes from the client."""

    status: int | None = None
    is_silent: bool = False
    cut_after: int | None = None


class FaultProxy:
    """A context manager: serves on a free port of this machine, on a thread of its own. Methods are for the test.

    Each connection passes at most `bytes_per_second` on to the server; None: as many as come.
    """

    def __init__(
        self, server_port: int, tls: ssl.SSLContext | None = None, bytes_per_second: float | None = None
    ) -> None:
        self.sent_bytes = self.connections = 0
        self._bytes_per_second = bytes_per_second
        self._server_port, self._tls = server_port, tls
        self._faults: deque[Fault] = deque()
        self._always: Fault | None = None
        self._hook: tuple[int, Callable[[], None]] | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def fail_once(self, *faults: Fault) -> None:
        """The next connections meet these, in turn."""
        self._faults.extend(faults)

    def fail_always(self, fault: Fault | None) -> None:
        """From now on every connection meets this one; None: no more."""
        self._always = fault

    def after(self, sent_bytes: int, hook: Callable[[], None]) -> None:
        """Calls `hook` once so many bytes have come from clients."""
        self._hook = sent_bytes, hook

    async def _start(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)  # so that little is sent before it is counted
        listener.bind(("127.0.0.1", 0))
        self._server = await asyncio.start_server(self._serve, sock=listener, ssl=self._tls)
        self.port: int = listener.getsockname()[1]

    async def _end(self) -> None:
        self._server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        fault = self._faults.popleft() if self._faults else self._always or Fault()
        gone = (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError, asyncio.CancelledError)
        with contextlib.suppress(*gone):
            if fault.is_silent:
                await reader.read(-1)
            elif fault.status is not None:
                self._count(len(await reader.readuntil(b"\r\n\r\n")))
                writer.write(f"HTTP/1.1 {fault.status} -\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
                await writer.drain()
            else:
                await self._forward(reader, writer, fault.cut_after)
        writer.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, cut_after: int | None) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._server_port)

        async def up() -> None:
            passed = 0
            while chunk := await reader.read(65536):
                passed += len(chunk)
                self._count(len(chunk))
                if cut_after is not None and passed > cut_after:
                    writer.transport.abort()
                    break
                to_server.write(chunk)
                await to_server.drain()
                if self._bytes_per_second is not None:
                    await asyncio.sleep(len(chunk) / self._bytes_per_second)
            to_server.transport.abort()

        async def down() -> None:
            while chunk := await from_server.read(65536):
                writer.write(chunk)
                await writer.drain()
            writer.close()

        await asyncio.gather(up(), down())

    def _count(self, sent_bytes: int) -> None:
        self.sent_bytes += sent_bytes
        if self._hook is not None and self.sent_bytes >= self._hook[0]:
            hook, self._hook = self._hook[1], None
            hook()
