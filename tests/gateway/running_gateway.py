"""A gateway in this process over an endpoint in this process, and what a test does to both."""

import asyncio
import base64
import hashlib
import json
import threading
from collections.abc import Sequence
from typing import Any, Self

import requests
from fastapi import FastAPI
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from bench.servers.endpoint import PATIENCE, eventually
from tests.endpoint.running_endpoint import EndpointHere, Worker
from videoworker.apis import APIS
from videoworker.errors import JobError
from videoworker.gateway.apis import FORMS
from videoworker.gateway.app import make_app
from videoworker.gateway.server import opened, serve
from videoworker.gateway.settings import GatewaySettings
from videoworker.http.listening import listening
from videoworker.request import Container, Progress, Result, Video
from videoworker.settings import Settings

VIDEO = b"the bytes of a video, which nobody here looks at" * 100


class Faults:
    """ASGI middleware before the endpoint: what callers get instead of its answers. `calls` are the requests that came,
    such as `POST run`."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.lost = 0  # how many of the next answers to /run are lost
        self.status: int | None = None  # what everything is answered with, if anything

    def count(self, call: str) -> int:
        return self.calls.count(call)

    def wrap(self, app: ASGIApp) -> ASGIApp:
        async def faulty(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or "/job-" in scope["path"]:
                await app(scope, receive, send)
                return
            call = f"{scope['method']} {scope['path'].split('/')[3]}"
            self.calls.append(call)
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


class GatewayHere:
    """A gateway in this process, on a thread of its own; a context manager. The endpoint's webhooks reach it.

    `worker`: the settings that have its bucket.
    """

    def __init__(self, settings: GatewaySettings, names: Sequence[str], worker: Settings | None = None) -> None:
        self._settings, self._forms = settings, [FORMS[name] for name in names]
        self._worker = worker or Settings()
        self._ready, self._loop = threading.Event(), asyncio.new_event_loop()
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

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._ending = asyncio.Event()
        async with opened(self._settings, self._worker) as core:
            app = make_app(core, self._forms)
            self._ready.set()
            await serve(self._sockets, app, core, self._ending)

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


class FakeWorker(Worker):
    """Answers as a worker does, in the form of a job's own API, without making a video."""

    def tell(self, job: dict[str, Any], fraction: float, preview: str | None = None) -> None:
        """Reports how far the job is."""
        progress = Progress(job["id"], "denoise", 5, 10, fraction, 4.0, 6.0, preview)
        self.progress(job["id"], APIS[job["input"]["api"]].progress(progress))

    content = VIDEO
    container: Container = "mp4"

    def finish(self, job: dict[str, Any], url: str | None = None) -> None:
        """The video is done. `url` None: it comes within the answer."""
        api = APIS[job["input"]["api"]]
        inline = f"data:video/{self.container};base64,{base64.b64encode(self.content).decode()}"
        made = Video(
            url=url or inline,
            container=self.container,
            codec="h264",
            width=64,
            height=64,
            num_frames=8,
            fps=8,
            duration=1.0,
            file_size=len(self.content),
            sha256=hashlib.sha256(self.content).hexdigest(),
            seed=7,
            model="sketch",
            model_revision="0",
            steps=10,
            guidance_scale=1.0,
            has_audio=False,
        )
        result = Result(job["id"], api.parse(job["input"]), made, {"total": 12.0}, 1.0, 13.0)
        self.done(job["id"], {"output": api.answer(result)})

    def fail(self, job: dict[str, Any], error: JobError) -> None:
        self.done(job["id"], {"error": json.dumps(APIS[job["input"]["api"]].error(error, job["id"]))})
