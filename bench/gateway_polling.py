"""How often a gateway with many open jobs asks its endpoint, and how late it knows results."""

import asyncio
import random
import socket
import sqlite3
import statistics
import time
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from bench.servers.gateway import GatewayProcess, gateway
from bench.servers.simulated_endpoint import SimulatedEndpoint

WINDOW_SECONDS = 10.0  # in which RunPod counts requests
SUBMITTERS = 8
WATCHED_EVERY = 10  # one job in so many has a caller that asks for its status
WATCHED_SECONDS = 5.0
LAST_SECONDS = 4.0  # after which a result that is not known counts as lost


@dataclass(frozen=True)
class Load:
    """`jobs` are always open, `workers` of them run, and take `seconds` each, from least to most."""

    jobs: int
    workers: int
    seconds: tuple[float, float]


@dataclass(frozen=True)
class Polling:
    """`rate`: status questions a second. `peak`: most of them in `WINDOW_SECONDS`. `late`: seconds from a job's end to
    its result's being known, a number for each job. `cpu`: the gateway's seconds of CPU, a second."""

    rate: float
    peak: int
    late: list[float]
    cpu: float


async def measure(folder: Path, load: Load, seconds: float, with_webhooks: bool) -> Polling:
    """Raises `RuntimeError` if a result is not known after `LAST_SECONDS`."""
    own = {"PORT": str(_free_port())}
    if with_webhooks:
        own["WEBHOOK_BASE_URL"] = f"http://127.0.0.1:{own['PORT']}"
    async with SimulatedEndpoint(load.workers, load.seconds, random.Random(1)) as endpoint:
        with ExitStack() as stack:
            running = await asyncio.to_thread(stack.enter_context, gateway(folder, endpoint.url, **own))
            return await _observed(endpoint, running, load, seconds)


async def _observed(endpoint: SimulatedEndpoint, running: GatewayProcess, load: Load, seconds: float) -> Polling:
    started, cpu = time.monotonic(), running.cpu_seconds
    async with aiohttp.ClientSession(running.url, raise_for_status=True) as session:
        for _ in range(load.jobs):
            endpoint.done.release()
        callers = [asyncio.create_task(_submit(session, endpoint.done)) for _ in range(SUBMITTERS)]
        callers.append(asyncio.create_task(_watch(session, load.jobs // WATCHED_EVERY)))
        done, _ = await asyncio.wait(callers, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for caller in done:
            caller.result()  # raises
        elapsed, cpu = time.monotonic() - started, running.cpu_seconds - cpu
        asked = list(endpoint.asked)
        await endpoint.stop_work()
        await asyncio.sleep(LAST_SECONDS)
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
    known = _known(running.folder / "gateway.db")
    if lost := endpoint.completed.keys() - known.keys():
        raise RuntimeError(f"{len(lost)} results are not known after {LAST_SECONDS} s")
    late = [known[key] - at for key, at in endpoint.completed.items()]
    return Polling(len(asked) / elapsed, _peak(asked), late, cpu / elapsed)


async def _submit(session: aiohttp.ClientSession, wanted: asyncio.Semaphore) -> None:
    """A job whenever one is wanted."""
    while True:
        await wanted.acquire()
        async with session.post("/api/generate", json={"prompt": "A red circle moves to the right"}):
            pass


async def _watch(session: aiohttp.ClientSession, callers: int) -> None:
    """Asks about so many of the jobs that run, as their callers do."""
    while True:
        async with session.get(f"/api/jobs?status=processing&limit={max(callers, 1)}") as answer:
            jobs = (await answer.json())["jobs"]
        for job in jobs:
            async with session.get(f"/api/status/{job['job_id']}"):
                pass
        await asyncio.sleep(WATCHED_SECONDS)


def _known(database: Path) -> dict[str, float]:
    """When the gateway knew results, in Unix seconds, by the job's id. Asked here, so that no job counts as watched."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return dict(connection.execute("SELECT id, finished_at FROM gateway_jobs WHERE state = 'completed'"))


def _peak(asked: Sequence[float]) -> int:
    most, window = 0, deque[float]()
    for at in asked:
        window.append(at)
        while window[0] < at - WINDOW_SECONDS:
            window.popleft()
        most = max(most, len(window))
    return most


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


def quantile(values: Sequence[float], percent: int) -> float:
    """Such as the median, with 50."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1] if len(values) > 1 else values[0]
