"""An endpoint in this process, whose clock a test moves."""

import asyncio
import socket
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Self, TypeVar

from fastapi import FastAPI

from bench.servers.endpoint import PATIENCE, TOKEN, Endpoint
from videoworker.database.database import Database
from videoworker.endpoint.app import make_app
from videoworker.endpoint.queue import Queue
from videoworker.endpoint.settings import EndpointSettings
from videoworker.endpoint.worker_access import WorkerAccess
from videoworker.http.limits import Limits
from videoworker.http.server import Server

Answer = TypeVar("Answer")


class EndpointHere(Endpoint):
    """An endpoint in this process, on a thread of its own; a context manager. `advance` lets time pass at once."""

    def __init__(self, settings: EndpointSettings, files: Path, limits: Limits | None = None) -> None:
        self._settings, self.files, self._limits, self._ahead = settings, files, limits or Limits(), 0.0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        sock = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{sock.getsockname()[1]}/v2/{self._settings.endpoint_id}"
        self._here(self._start(sock))
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():
            self.stop()

    def stop(self) -> None:
        self._here(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._database.close()

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._server.server_state.connections)

    def advance(self, seconds: float) -> None:
        """Lets time pass. The endpoint has done what is due when this returns."""
        self._ahead += seconds
        self._here(self.queue.sweep())

    def end_worker(self, worker_id: str) -> None:
        """As its supervisor tells it."""
        self._here(self.queue.worker_ended(worker_id))

    def _here(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    def _app(self) -> FastAPI:
        return make_app(self.queue, self._settings, WorkerAccess(TOKEN), self.files)

    async def _start(self, sock: socket.socket) -> None:
        self._database = Database(self._settings.database_url.get_secret_value(), "endpoint")
        self.queue = Queue(self._database, self._settings, lambda: time.monotonic() + self._ahead)
        app = self._app()
        await self.queue.open()
        self._server = Server(app, self._limits)
        self._serving = asyncio.create_task(self._server.serve([sock]))

    async def _stop(self) -> None:
        self.queue.close()
        self._server.should_exit = True
        await self._serving
