"""RunPod's job API before workers that take their time and make nothing.

Ownership: one event loop, which is also that of whoever measures. It notes when it is asked, and when jobs end.
"""

import asyncio
import random
import time
import uuid
from dataclasses import dataclass
from typing import Any, Self

import aiohttp
from aiohttp import web

from bench.servers.worker import inline, video
from videoworker.apis import APIS
from videoworker.request import Progress, Result

_CONTENT = b"the bytes of a video"


@dataclass(eq=False)
class _Job:
    """`key` is the caller's own id of it."""

    id: str
    key: str
    input: dict[str, Any]
    webhook: str | None
    status: str = "IN_QUEUE"
    started: float = 0.0
    seconds: float = 0.0

    @property
    def output(self) -> dict[str, Any] | None:
        """As a worker tells it."""
        api = APIS[self.input["api"]]
        if self.status == "IN_QUEUE":
            return None
        if self.status == "IN_PROGRESS":
            elapsed = time.monotonic() - self.started
            fraction = min(elapsed / self.seconds, 1.0)
            step = round(20 * fraction)
            return api.progress(Progress(self.id, "denoise", step, 20, fraction, elapsed, self.seconds - elapsed))
        made = video(_CONTENT, inline(_CONTENT))
        return api.answer(Result(self.id, api.parse(self.input), made, {"total": self.seconds}, 1.0, 2.0))

    def told(self) -> dict[str, Any]:
        return {"id": self.id, "status": self.status, "output": self.output}


class SimulatedEndpoint:
    """An async context manager. `workers`: how many jobs run at once. `seconds`: the least and the most that one takes.

    `asked`: when `/status` was asked, by the monotonic clock. `completed`: when jobs were done, in Unix seconds, by
    their key.
    """

    def __init__(self, workers: int, seconds: tuple[float, float], rng: random.Random) -> None:
        self.asked: list[float] = []
        self.completed: dict[str, float] = {}
        self.done = asyncio.Semaphore(0)  # released for each job that is done
        self._workers, self._seconds, self._rng = workers, seconds, rng
        self._jobs: dict[str, _Job] = {}
        self._waiting: asyncio.Queue[_Job] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/run", self._run)
        app.router.add_get("/status/{id}", self._status)
        app.router.add_get("/health", self._health)
        self._client = aiohttp.ClientSession()
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self._working = [asyncio.create_task(self._work()) for _ in range(self._workers)]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop_work()
        await self._client.close()
        await self._runner.cleanup()

    async def stop_work(self) -> None:
        """No further job ends. Jobs may still be asked about."""
        for worker in self._working:
            worker.cancel()
        await asyncio.gather(*self._working, return_exceptions=True)

    async def _run(self, request: web.Request) -> web.Response:
        body = await request.json()
        job = _Job(uuid.uuid4().hex, request.headers["Idempotency-Key"], body["input"], body.get("webhook"))
        self._jobs[job.id] = job
        self._waiting.put_nowait(job)
        return web.json_response({"id": job.id, "status": job.status})

    async def _status(self, request: web.Request) -> web.Response:
        self.asked.append(time.monotonic())
        return web.json_response(self._jobs[request.match_info["id"]].told())

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response({"workers": {"running": self._workers}})

    async def _work(self) -> None:
        while True:
            job = await self._waiting.get()
            job.seconds, job.started = self._rng.uniform(*self._seconds), time.monotonic()
            job.status = "IN_PROGRESS"
            await asyncio.sleep(job.seconds)
            job.status = "COMPLETED"
            self.completed[job.key] = time.time()
            self.done.release()
            if job.webhook is not None:
                async with self._client.post(job.webhook, json=job.told()) as answer:
                    answer.raise_for_status()
