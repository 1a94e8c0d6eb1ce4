"""How a worker ends: at once where it is idle, after its job where it is not, and never with a job that it took."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.fake_platform import PATIENCE, FakePlatform
from tests.handler_process import environment
from videoworker.worker.scaler import Scaler

WORKER = str(Path(__file__).with_name("fake_worker.py"))


@pytest.fixture
def platform() -> Iterator[FakePlatform]:
    """A platform whose polls stay open as long as a test does, as the real one's do for longer than a worker should."""
    with FakePlatform() as platform:
        yield platform


def worker(platform: FakePlatform, **more: str) -> AbstractContextManager[subprocess.Popen[bytes]]:
    return platform.worker(sys.executable, WORKER, environment=environment(NOTE_URL=platform.url, **more))


def test_an_idle_worker_ends_at_once_and_a_job_that_comes_then_is_the_next_workers(platform: FakePlatform) -> None:
    with worker(platform) as process:
        platform.wait("take-poll")
        process.send_signal(signal.SIGTERM)
        platform.wait("hang-up")
        platform.submit("a", {"prompt": "one step"})
        assert process.wait(PATIENCE) == 0
        assert ("take", "a") not in platform.kinds()
    with worker(platform):
        assert "output" in platform.result("a")


def test_a_busy_worker_ends_its_job_and_posts_the_result_and_takes_no_other(platform: FakePlatform) -> None:
    platform.hold("step", "a")
    platform.submit("a", {"prompt": "one step"})
    platform.submit("b", {"prompt": "one step"})
    with worker(platform) as process:
        platform.wait("step", "a")
        process.send_signal(signal.SIGTERM)
        platform.release("step", "a")
        assert process.wait(PATIENCE) == 0
    assert "output" in platform.result("a")
    assert ("take", "b") not in platform.kinds()


def test_a_job_that_is_cancelled_while_the_worker_ends_stops(platform: FakePlatform) -> None:
    platform.hold("step", "a")
    platform.submit("a", {"prompt": "for ever"})
    with worker(platform) as process:
        platform.wait("step", "a")
        process.send_signal(signal.SIGTERM)
        polls = sum(event.kind == "stop-poll" for event in platform.events)
        platform.stop()  # the poll that was open at the signal is answered: there must be a next one
        platform.stop("a")
        platform.wait("stop-poll", count=polls + 1)
        platform.release("step", "a")
        assert process.wait(PATIENCE) == 0
    assert ("left", "a") in platform.kinds() and ("result", "a") not in platform.kinds()


def test_a_worker_with_a_broken_device_answers_asks_for_a_fresh_one_and_ends(platform: FakePlatform) -> None:
    platform.submit("a", {"prompt": "broken device"})
    platform.submit("b", {"prompt": "one step"})
    with worker(platform) as process:
        answer = platform.result("a")
        assert process.wait(PATIENCE) == 0
    assert answer["stopPod"] is True and json.loads(answer["error"])["code"] == "GPU_UNAVAILABLE"
    assert ("take", "b") not in platform.kinds()


@pytest.mark.parametrize("turns", (0, 1))
def test_a_job_that_arrives_together_with_the_signal_is_run(turns: int) -> None:
    handled = []

    async def main() -> None:
        scaler = Scaler({})

        async def fetch(session: object, count: int) -> list[dict[str, Any]]:
            scaler.kill_worker()
            for _ in range(turns):
                await asyncio.sleep(0)
            return [{"id": "a", "input": {}}]

        async def handle(session: object, config: object, job: dict[str, Any]) -> None:
            handled.append(job["id"])

        async def no_stops(session: object) -> list[str]:
            await asyncio.Event().wait()
            return []

        scaler.jobs_fetcher, scaler.jobs_handler, scaler.stop_signals_fetcher = fetch, handle, no_stops
        await asyncio.wait_for(scaler.run(), PATIENCE)

    asyncio.run(main())
    assert handled == ["a"]
