"""RunPod's side of the wire, as the SDK's worker sees it: hands jobs out, takes progress and results, sends stops.

It speaks the five HTTP calls of the SDK's worker loop, and one of its own, `note`, by which a test's corridor says
where it is. Everything that reaches it is one ordered list of events. An answer to any event can be held back, so that
a test decides what happens before what, without sleeping.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any, Self

from aiohttp import web
from aiohttp.typedefs import Handler

PATIENCE = 300.0  # seconds after which something that should happen is said not to have happened


@dataclass(frozen=True)
class Event:
    """`kind` is take-poll, hang-up (of such a poll), take, stop-poll, progress, answered (the progress before it),
    result, unhealthy, or what a corridor noted."""

    kind: str
    job_id: str
    body: Any = None


class FakePlatform:
    """A context manager: serves on a free port of this machine, on a thread of its own. Methods are for the test."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.keys = set[tuple[str, str]]()  # an operation of the worker, and the key that it sent with it
        self._changed = threading.Condition()
        self._jobs: deque[dict[str, Any]] = deque()
        self._stops: deque[list[str]] = deque()
        self._held: set[tuple[str, str]] = set()
        self._closing = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result(PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def environment(self) -> dict[str, str]:
        """What the platform sets for a worker; the SDK replaces `$ID`."""
        base = f"{self.url}/v2/endpoint"
        return {
            "RUNPOD_WEBHOOK_GET_JOB": f"{base}/job-take/$ID?gpu=x",
            "RUNPOD_WEBHOOK_POST_OUTPUT": f"{base}/job-done/$RUNPOD_POD_ID/$ID?gpu=x",
            "RUNPOD_WEBHOOK_POST_STREAM": f"{base}/job-stream/$RUNPOD_POD_ID/$ID?gpu=x",
            "RUNPOD_WEBHOOK_PING": f"{base}/ping/$RUNPOD_POD_ID?gpu=x",
            "RUNPOD_AI_API_KEY": "key",
            "RUNPOD_POD_ID": "worker",
            "RUNPOD_ENDPOINT_ID": "endpoint",
            "RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": "true",
            "RUNPOD_SKIP_GPU_CHECK": "true",
        }

    @contextlib.contextmanager
    def worker(
        self,
        *command: str,
        environment: Mapping[str, str],
        stdout: IO[bytes] | None = None,
        stderr: IO[bytes] | None = None,
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Runs a worker; its whole process group ends with the block, the SDK's heartbeat process included."""
        process = subprocess.Popen(
            command,
            env={**os.environ, **self.environment, **environment},
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
        )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def submit(self, job_id: str, job_input: Any, **more: Any) -> None:
        """`more`: what else the platform hands to the worker, such as `policy`."""
        with self._changed:
            self._jobs.append({"id": job_id, "input": job_input} | more)
            self._changed.notify_all()

    def stop(self, *job_ids: str) -> None:
        """Tells the worker, at its next or present poll, to stop these jobs. The SDK waits for a second after an answer
        that names none, before it polls again."""
        with self._changed:
            self._stops.append(list(job_ids))
            self._changed.notify_all()

    def hold(self, kind: str, job_id: str) -> None:
        """From now on the answer to this event waits for `release`."""
        with self._changed:
            self._held.add((kind, job_id))

    def release(self, kind: str, job_id: str) -> None:
        with self._changed:
            self._held.discard((kind, job_id))
            self._changed.notify_all()

    def close(self) -> None:
        """Ends every open poll, so that a worker that was told to end can."""
        with self._changed:
            self._closing = True
            self._held.clear()
            self._changed.notify_all()

    def wait(self, kind: str, job_id: str = "", count: int = 1) -> Event:
        """The `count`th event of this kind, once it is there."""

        def found() -> list[Event]:
            return [event for event in self.events if (event.kind, event.job_id) == (kind, job_id)]

        with self._changed:
            assert self._changed.wait_for(lambda: len(found()) >= count, PATIENCE), f"{kind} {job_id} never came"
            return found()[count - 1]

    def result(self, job_id: str) -> dict[str, Any]:
        """What the worker posted as the job's result: `output` or `error`."""
        body: dict[str, Any] = self.wait("result", job_id).body
        return body

    def kinds(self, *, without: tuple[str, ...] = ("take-poll", "stop-poll")) -> list[tuple[str, str]]:
        """(kind, job) of all events so far, in their order."""
        with self._changed:
            return [(event.kind, event.job_id) for event in self.events if event.kind not in without]

    async def _serve(self) -> None:
        @web.middleware
        async def note_key(request: web.Request, handler: Handler) -> web.StreamResponse:
            self.keys.add((request.path.split("/")[3], request.headers.get("Authorization", "")))
            return await handler(request)

        app = web.Application(client_max_size=2**28, middlewares=[note_key])
        app.router.add_get("/v2/endpoint/job-take/{worker}", self._take)
        app.router.add_get("/v2/endpoint/job-stop/{worker}", self._stop)
        app.router.add_post("/v2/endpoint/job-done/{worker}/{job}", self._done)
        app.router.add_get("/v2/endpoint/ping/{worker}", self._ping)
        app.router.add_post("/note/{kind}/{job}", self._note)
        # a worker that hangs up while it polls is given nothing
        self._runner = web.AppRunner(app, shutdown_timeout=1, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def _take(self, request: web.Request) -> web.Response:
        self._happened("take-poll", "")
        try:
            if not await self._until(lambda: bool(self._jobs)):
                return web.Response(status=204)
        except asyncio.CancelledError:
            self._happened("hang-up", "")
            raise
        job = self._jobs.popleft()
        self._happened("take", job["id"])
        return web.json_response(job)

    async def _stop(self, request: web.Request) -> web.Response:
        self._happened("stop-poll", "")
        if not await self._until(lambda: bool(self._stops)):
            return web.Response(status=204)
        return web.json_response({"jobsToStop": self._stops.popleft()})

    async def _done(self, request: web.Request) -> web.Response:
        job_id, body = request.match_info["job"], json.loads(await request.text(), parse_constant=_refuse)
        is_progress = isinstance(body, dict) and body.get("status") == "IN_PROGRESS"
        self._happened("progress" if is_progress else "result", job_id, body.get("output") if is_progress else body)
        if is_progress:
            await self._until(lambda: ("progress", job_id) not in self._held)
            self._happened("answered", job_id)
        return web.Response()

    async def _ping(self, request: web.Request) -> web.Response:
        if request.query.get("status") == "unhealthy":
            self._happened("unhealthy", "", dict(request.query))
        return web.Response()

    async def _note(self, request: web.Request) -> web.Response:
        """Answers with how often each kind of event of this job has happened."""
        kind, job_id = request.match_info["kind"], request.match_info["job"]
        self._happened(kind, job_id)
        await self._until(lambda: (kind, job_id) not in self._held)
        return web.json_response(Counter(event.kind for event in self.events if event.job_id == job_id))

    def _happened(self, kind: str, job_id: str, body: Any = None) -> None:
        with self._changed:
            self.events.append(Event(kind, job_id, body))
            self._changed.notify_all()

    async def _until(self, condition: Callable[[], bool]) -> bool:
        """Whether `condition` holds, once it does or the platform closes."""

        def wait() -> bool:
            with self._changed:
                self._changed.wait_for(lambda: condition() or self._closing, PATIENCE)
                return condition()

        return await asyncio.to_thread(wait)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
