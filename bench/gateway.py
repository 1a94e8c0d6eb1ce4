"""What the gateway costs: `python -m bench.gateway`, as a page of Markdown, in less than three minutes.

What it adds to a request over the endpoint on one machine; how long its page takes to appear; how often it asks an
endpoint about many open jobs, and how late it knows results. Everything shares the machine: gateway, endpoint, callers,
simulated workers and browser.
"""

import asyncio
import os
import platform
import re
import tempfile
import textwrap
import time
from collections.abc import Awaitable, Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import aiohttp
import typer

from bench import gateway_page, gateway_polling
from bench.gateway_polling import Load, Polling, quantile
from bench.servers.endpoint import EndpointProcess
from bench.servers.gateway import API, GatewayProcess, gateway

PROMPT = "A red circle moves to the right over a blue background"
WORKERS = 50
JOB_SECONDS = (5.0, 30.0)
_PACKAGES = ("fastapi", "starlette", "uvicorn", "aiohttp", "sqlalchemy")


def main(
    requests: Annotated[int, typer.Option(min=1, help="how many of each kind are timed")] = 300,
    loads: Annotated[int, typer.Option(min=0, help="how often the page is loaded, of each kind; 0: leave it out")] = 5,
    jobs: Annotated[
        int, typer.Option(min=0, help="how many are open while the endpoint is asked about them; 0: leave it out")
    ] = 200,
    seconds: Annotated[float, typer.Option(min=1, help="for how long, with webhooks and without at once")] = 60,
) -> None:
    """Prints tables."""
    print("# What the gateway costs\n")
    print(textwrap.fill(_machine(), 120), "\n\n`python -m bench.gateway`", sep="")
    with tempfile.TemporaryDirectory(dir=".") as folder:
        for part in ("endpoint", "over", "with", "without"):
            (Path(folder) / part).mkdir()
        with (
            EndpointProcess(Path(folder) / "endpoint") as endpoint,
            gateway(Path(folder) / "over", endpoint.url) as running,
        ):
            asyncio.run(_latencies(endpoint.url, running, requests))
            if loads:
                _page(f"{running.url}/ui/", loads)
        if jobs:
            asyncio.run(_polling(Path(folder), Load(jobs, min(WORKERS, jobs), JOB_SECONDS), seconds))


async def _latencies(endpoint_url: str, running: GatewayProcess, requests: int) -> None:
    """One caller, one request after the other, by turns to the endpoint and to the gateway."""
    print("\n## What it adds to a request\n")
    print(f"{requests} of each, one after the other, by turns. Added is the difference within a turn. In ms.\n")
    _head("request", "endpoint, p50", "p99", "gateway, p50", "p99", "added, p50", "p99", "CPU of the gateway")
    job = {"input": {"api": API, "prompt": PROMPT}}
    async with (
        aiohttp.ClientSession(f"{endpoint_url}/", raise_for_status=True) as direct,
        aiohttp.ClientSession(f"{running.url}/", raise_for_status=True) as through,
    ):

        async def run() -> str:
            async with direct.post("run", json=job) as answer:
                return str((await answer.json())["id"])

        async def submit() -> str:
            async with through.post("api/generate", json={"prompt": PROMPT}) as answer:
                return str((await answer.json())["job_id"])

        run_id, submitted_id = await run(), await submit()

        async def status() -> str:
            async with direct.get(f"status/{run_id}") as answer:
                return await answer.text()

        async def asked() -> str:
            async with through.get(f"api/status/{submitted_id}") as answer:
                return await answer.text()

        for name, there, here in (("submit", run, submit), ("status", status, asked)):
            await there(), await here()
            cpu = running.cpu_seconds
            took = [(await _timed(there), await _timed(here)) for _ in range(requests)]
            cpu = 1000 * (running.cpu_seconds - cpu) / requests
            columns = [[one[0] for one in took], [one[1] for one in took], [one[1] - one[0] for one in took]]
            _row(name, *(f"{quantile(column, q):.1f}" for column in columns for q in (50, 99)), f"{cpu:.1f}")


async def _timed(call: Callable[[], Awaitable[str]]) -> float:
    """Milliseconds."""
    started = time.perf_counter()
    await call()
    return 1000 * (time.perf_counter() - started)


def _page(url: str, loads: int) -> None:
    found = gateway_page.measure(url, loads)
    print("\n## Its page\n")
    print(f"Until its form can be used, the median of {loads} loads, in Chromium {found.chromium}.")
    print("Slow 4G is 150 ms and 1.6 Mbit/s, with a CPU a quarter as fast.")
    print(f"The page's own files have {gateway_page.own_bytes()} bytes.\n")
    _head("", "cold, s", "warm, s", "requests", "bytes with headers")
    for name, one in (("here", found.here), ("slow 4G", found.slow)):
        _row(name, f"{one.cold / 1000:.2f}", f"{one.warm / 1000:.2f}", f"{one.requests}", f"{one.bytes}")


async def _polling(folder: Path, load: Load, seconds: float) -> None:
    without, with_webhooks = await asyncio.gather(
        gateway_polling.measure(folder / "without", load, seconds, with_webhooks=False),
        gateway_polling.measure(folder / "with", load, seconds, with_webhooks=True),
    )
    print("\n## Many open jobs\n")
    print(
        f"{load.jobs} jobs are open, {load.workers} of them run, for {load.seconds[0]:g} to {load.seconds[1]:g} s each;"
    )
    print(f"one in {gateway_polling.WATCHED_EVERY} has a caller who asks for it. RunPod allows 2000 questions in 10 s.")
    print("Late is the time from a job's end to its result's being known.\n")
    _head("", "questions a second", "most in 10 s", "results", "late, p50, s", "p99, s", "CPU of the gateway")
    for name, one in (("without webhooks", without), ("with webhooks", with_webhooks)):
        _row(name, *_cells(one))


def _cells(found: Polling) -> Sequence[str]:
    late = [f"{quantile(found.late, q):.2f}" for q in (50, 99)] if found.late else ["-", "-"]
    return f"{found.rate:.1f}", f"{found.peak}", f"{len(found.late)}", *late, f"{found.cpu:.0%}"


def _machine() -> str:
    models = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return (
        f"{os.cpu_count()} CPUs ({models[0] if models else platform.machine()}), load average {os.getloadavg()[0]:.1f} "
        f"at the start. Python {platform.python_version()}, {packages}, SQLite on this disk."
    )


def _head(*cells: str) -> None:
    _row(*cells)
    print(f"|{'---|' * len(cells)}")


def _row(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    typer.run(main)
