"""What the endpoint on one machine can carry: `python -m bench.endpoint`.

Jobs per second from `/run` to COMPLETED, with workers that make nothing and speak the wire's calls, and with the SDK's
own worker loop, which sleeps between jobs; then the time of `/run` and `/status` with few and with many jobs waiting,
and of `/status` for the largest job. The endpoint is a process of its own, callers and workers are this one: all share
the machine.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import aiohttp
import typer

from bench.servers.endpoint import AS_WORKER, EndpointProcess
from bench.servers.postgresql import postgresql
from videoworker.endpoint.submission import MAX_RUN_BYTES

CALLERS, WORKERS = 16, 8
INPUT = {"input": {"prompt": "A red circle moves to the right over a blue background", "seed": 1}}


def main(
    jobs: Annotated[int, typer.Option(help="how many go through")] = 2000,
    sdk_jobs: Annotated[int, typer.Option(help="how many go through the SDK's own loop; 0: leave it out")] = 20,
    waiting: Annotated[int, typer.Option(help="how many wait in the long queue")] = 10_000,
    requests: Annotated[int, typer.Option(help="how many of /run and of /status are timed")] = 500,
    database: Annotated[str, typer.Option(help="sqlite, postgresql, or both")] = "both",
) -> None:
    """Prints one line per measurement."""
    for name in ("sqlite", "postgresql") if database == "both" else (database,):
        with fresh(name) as endpoint:
            asyncio.run(measure(name, endpoint.url, jobs, waiting, requests))
        if sdk_jobs:
            with fresh(name) as endpoint, endpoint.worker("sdk"):
                asyncio.run(measure_sdk(name, endpoint.url, sdk_jobs))


@contextmanager
def fresh(name: str) -> Iterator[EndpointProcess]:
    """An endpoint in front of an empty database, which flushes to the disk."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=".")))
        url = stack.enter_context(postgresql()) if name == "postgresql" else f"sqlite:///{folder.resolve()}/jobs.db"
        yield stack.enter_context(EndpointProcess(folder, DATABASE_URL=url))


async def measure(name: str, url: str, jobs: int, waiting: int, requests: int) -> None:
    async with aiohttp.ClientSession() as session:
        async with asyncio.TaskGroup() as group:  # a worker that fails ends the measurement
            workers = [group.create_task(work(session, url, f"w{number}")) for number in range(WORKERS)]
            seconds = await through(session, url, jobs)
            print(f"{name}: {jobs / seconds:.0f} jobs/s, {WORKERS} wire workers, {CALLERS} callers", flush=True)
            for worker in workers:
                worker.cancel()
        for queued in (10, waiting):
            await fill(session, url, queued)
            await latencies(session, url, name, queued, requests)
        await large(session, url, name, requests)


async def measure_sdk(name: str, url: str, jobs: int) -> None:
    async with aiohttp.ClientSession() as session:
        await through(session, url, 1)  # the worker is up
        seconds = await through(session, url, jobs)
        print(f"{name}: {jobs / seconds:.1f} jobs/s, one worker with the SDK's own loop", flush=True)


async def through(session: aiohttp.ClientSession, url: str, jobs: int) -> float:
    """Seconds until so many jobs, submitted by `CALLERS` at once, are COMPLETED."""
    started = time.perf_counter()
    await share(jobs, lambda: run(session, url))
    while await health(session, url, "inQueue") + await health(session, url, "inProgress"):
        await asyncio.sleep(0.01)
    return time.perf_counter() - started


async def work(session: aiohttp.ClientSession, url: str, worker: str) -> None:
    """A worker that makes nothing."""
    while True:
        async with session.get(f"{url}/job-take/{worker}?job_in_progress=0", headers=AS_WORKER) as answer:
            answer.raise_for_status()
            if answer.status == 204:
                continue
            job_id = (await answer.json())["id"]
        done = f"{url}/job-done/{worker}/{job_id}?isStream=false"
        async with session.post(done, json={"output": {}}, headers=AS_WORKER) as answer:
            answer.raise_for_status()


async def fill(session: aiohttp.ClientSession, url: str, queued: int) -> None:
    missing = queued - await health(session, url, "inQueue")
    await share(missing, lambda: run(session, url))


async def latencies(session: aiohttp.ClientSession, url: str, name: str, queued: int, requests: int) -> None:
    """One caller, one request after the other. What is submitted is cancelled, so that the queue keeps its length."""
    took: dict[str, list[float]] = {"/run": [], "/status": []}
    for _ in range(requests):
        started = time.perf_counter()
        job_id = await run(session, url)
        took["/run"].append(time.perf_counter() - started)
        started = time.perf_counter()
        async with session.get(f"{url}/status/{job_id}") as answer:
            await answer.read()
        took["/status"].append(time.perf_counter() - started)
        async with session.post(f"{url}/cancel/{job_id}") as answer:
            answer.raise_for_status()
    for path, seconds in took.items():
        cuts = [1000 * cut for cut in statistics.quantiles(seconds, n=100)]
        print(f"{name}: {path} p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms, {queued} waiting", flush=True)


async def large(session: aiohttp.ClientSession, url: str, name: str, requests: int) -> None:
    """/status of a job whose body is as large as it may be."""
    job_id = await run(session, url, {"input": "x" * (MAX_RUN_BYTES - 100)})
    took = []
    for _ in range(requests):
        started = time.perf_counter()
        async with session.get(f"{url}/status/{job_id}") as answer:
            await answer.read()
        took.append(time.perf_counter() - started)
    print(f"{name}: /status p50 {1000 * statistics.median(took):.1f} ms, a job of 10 MB", flush=True)


async def run(session: aiohttp.ClientSession, url: str, body: object = INPUT) -> str:
    async with session.post(f"{url}/run", json=body) as answer:
        answer.raise_for_status()
        job_id: str = (await answer.json())["id"]
        return job_id


async def health(session: aiohttp.ClientSession, url: str, state: str) -> int:
    async with session.get(f"{url}/health") as answer:
        count: int = (await answer.json())["jobs"][state]
        return count


async def share(times: int, call: Callable[[], Awaitable[object]]) -> None:
    """Calls so often, `CALLERS` at once."""
    left = iter(range(times))

    async def caller() -> None:
        for _ in left:
            await call()

    await asyncio.gather(*(caller() for _ in range(CALLERS)))


if __name__ == "__main__":
    typer.run(main)
