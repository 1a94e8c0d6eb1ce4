"""A gateway in this process over an endpoint in this process, and what a test does to both."""

import asyncio
import threading
from collections.abc import Sequence
from typing import Any, Self

import requests
from fastapi import FastAPI
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from bench.servers.endpoint import PATIENCE, eventually
from bench.servers.store import Store
from bench.servers.worker import VIDEO, delivered_as
from tests.endpoint.running_endpoint import EndpointHere
from videoworker.gateway import jobs
from videoworker.gateway.apis import FORMS
from videoworker.gateway.app import make_app
from videoworker.gateway.jobs import Query
from videoworker.gateway.server import opened, serve
from videoworker.gateway.service import Service
from videoworker.gateway.settings import GatewaySettings
from videoworker.http.listening import listening
from videoworker.settings import Settings


class Faults:
    """ASGI middleware before the endpoint: what callers get instead of its answers. `calls` are the requests that came,
    such as `POST run`."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.held: set[str] = set()  # calls that are not answered for as long as they are here
        self.lost = 0  # how many of the next answers to /run are lost
        self.status: int | None = None  # what everything is answered with, if anything

    def clear(self) -> None:
        self.calls.clear()
        self.held.clear()
        self.lost, self.status = 0, None

    def count(self, call: str) -> int:
        return self.calls.count(call)

    def wrap(self, app: ASGIApp) -> ASGIApp:
        async def faulty(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or "/job-" in scope["path"]:
                await app(scope, receive, send)
                return
            call = f"{scope['method']} {scope['path'].split('/')[3]}"
            self.calls.append(call)
            while call in self.held:
                await asyncio.sleep(0.01)
            if self.status is not None:
                await Response(status_code=self.status)(scope, receive, send)
            elif call == "POST run" and self.lost:
                self.lost -= 1

                async def nobody(message: Any) -> None:
                    pass

                await app(scope, receive, nobody)
                await Response(status_code=502)(scope, receive, send)
            else:
                await app(scope, receive, send)

        return faulty


class FaultyEndpoint(EndpointHere):
    """An endpoint with `faults` before it."""

    faults: Faults

    def _app(self) -> FastAPI:
        self.faults = Faults()
        app = super()._app()
        app.add_middleware(lambda app: self.faults.wrap(app))
        return app

    def clear(self) -> None:
        """No job waits any more, and nothing fails."""
        self.faults.clear()
        self._here(self.queue.purge())


class GatewayHere:
    """A gateway in this process, on a thread of its own; a context manager. The endpoint's webhooks reach it.

    `worker`: the settings that have its bucket.
    """

    def __init__(self, settings: GatewaySettings, names: Sequence[str], worker: Settings | None = None) -> None:
        self._settings, self._forms = settings, [FORMS[name] for name in names]
        self._worker = worker or Settings()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._sockets = listening("localhost", 0)
        self.url = f"http://127.0.0.1:{self._sockets[0].getsockname()[1]}"
        if self._settings.webhooks_at is None:
            self._settings = self._settings.model_copy(update={"webhook_base_url": self.url})
        self._thread.start()
        assert self._ready.wait(PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():
            self.stop()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join(PATIENCE)

    def clear(self) -> None:
        """Deletes every job. None is left when this returns, also not on the endpoint."""
        asyncio.run_coroutine_threadsafe(self._clear(), self._loop).result(PATIENCE)

    def _run(self) -> None:
        with asyncio.Runner() as runner:  # it ends the tasks that are left, as for the command
            self._loop = runner.get_loop()
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._ending = asyncio.Event()
        async with opened(self._settings, self._worker) as self._core:
            app = make_app(self._core, self._forms)
            self._ready.set()
            await serve(self._sockets, app, self._core, self._ending)

    async def _clear(self) -> None:
        for service in (Service(self._core, form.api) for form in self._forms):
            while jobs_left := (await service.page(Query(limit=100))).jobs:
                for job in jobs_left:
                    await service.delete(job.id)
        while await self._core.database.read(jobs.unsettled):
            await asyncio.sleep(0.01)

    def get(self, path: str, **options: Any) -> requests.Response:
        return requests.get(f"{self.url}{path}", timeout=PATIENCE, **options)

    def head(self, path: str) -> requests.Response:
        return requests.head(f"{self.url}{path}", timeout=PATIENCE)

    def post(self, path: str, json: Any = None, **options: Any) -> requests.Response:
        return requests.post(f"{self.url}{path}", json=json, timeout=PATIENCE, **options)

    def delete(self, path: str) -> requests.Response:
        return requests.delete(f"{self.url}{path}", timeout=PATIENCE)

    def until(self, path: str, **wanted: Any) -> dict[str, Any]:
        """What the path answers once it has these values."""

        def check() -> dict[str, Any]:
            answer = self.get(path)
            told: dict[str, Any] = answer.json()
            assert {name: told.get(name) for name in wanted} == wanted
            return told

        return eventually(check)


def delivered(endpoint: FaultyEndpoint, job: dict[str, Any], content: bytes = VIDEO) -> str:
    """The URL of a video that a worker has put where the endpoint serves it."""
    folder = endpoint.files / delivered_as(job)
    folder.mkdir(parents=True)
    (folder / "video.mp4").write_bytes(content)
    return f"{endpoint.url.partition('/v2/')[0]}/files/{folder.name}/video.mp4"


def put(store: Store, job: dict[str, Any]) -> None:
    """What a worker leaves in its bucket."""
    for file in ("video.mp4", "video.jpg", "video.json"):
        store.client.put_object(Bucket=store.name, Key=f"made/here/{delivered_as(job)}/{file}", Body=VIDEO)
