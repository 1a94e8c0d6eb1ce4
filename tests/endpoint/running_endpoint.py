"""Endpoints for tests: one in this process whose clock a test moves, and a worker that speaks the wire's calls."""

import asyncio
import socket
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Self, TypeVar

import requests
from fastapi import FastAPI

from bench.servers.endpoint import AS_WORKER, PATIENCE, TOKEN, Endpoint
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


class Worker:
    """A worker whose requests a test makes one by one."""

    def __init__(self, endpoint: Endpoint, worker_id: str) -> None:
        self._endpoint, self.id = endpoint, worker_id

    def take(self, runs_nothing: bool = True) -> dict[str, Any]:
        answer = self.poll(runs_nothing)
        assert answer.status_code == 200
        job: dict[str, Any] = answer.json()
        return job

    def poll(self, runs_nothing: bool = True) -> requests.Response:
        return self._get("job-take", {"job_in_progress": "0" if runs_nothing else "1"})

    def take_batch(self, size: int) -> list[dict[str, Any]]:
        jobs: list[dict[str, Any]] = self._get("job-take-batch", {"batch_size": str(size)}).json()
        return jobs

    def done(self, job_id: str, body: Any, text: str | None = None) -> int:
        """The status of the endpoint's answer."""
        return self._post("job-done", job_id, body, text)

    def progress(self, job_id: str, output: Any) -> int:
        return self.done(job_id, {"status": "IN_PROGRESS", "output": output})

    def chunk(self, job_id: str, output: Any) -> int:
        return self._post("job-stream", job_id, {"output": output})

    def ping(self, *job_ids: str) -> None:
        assert self._get("ping", {"job_id": ",".join(job_ids), "runpod_version": "1.12.0"}).status_code == 200

    def stops(self) -> list[str]:
        answer = self._get("job-stop", {})
        assert answer.status_code == 200
        stops: list[str] = answer.json()["jobsToStop"]
        return stops

    def _get(self, call: str, query: dict[str, str]) -> requests.Response:
        return self._endpoint.get(f"{call}/{self.id}", params=query, headers=AS_WORKER)

    def _post(self, call: str, job_id: str, body: Any, text: str | None = None) -> int:
        """As the SDK posts: JSON with the content type of a form."""
        kind = AS_WORKER | {"Content-Type": "application/x-www-form-urlencoded"}
        query = {"isStream": "false"}
        path = f"{call}/{self.id}/{job_id}"
        if text is not None:
            return self._endpoint.post(path, data=text.encode(), params=query, headers=kind).status_code
        return self._endpoint.post(path, body, params=query, headers=kind).status_code
