"""The reporter: in order, newest only, nothing after the end."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from runpod.http_client import AsyncClientSession
from runpod.serverless.modules import rp_progress

from videoworker.request import Progress
from videoworker.settings import Settings
from videoworker.worker import progress as reporting

JOB = {"id": "a"}
PATIENCE = 60.0  # seconds after which something that should happen is said not to have happened


def at(step: int) -> Progress:
    return Progress("a", "denoise", step, 10, step / 10, 1.0, None)


def step_only(progress: Progress) -> dict[str, Any]:
    return {"step": progress.step}


class Channel:
    """Stands for the SDK's transport: keeps what is posted; a post ends when the test lets it."""

    def __init__(self) -> None:
        self.posted: list[dict[str, Any]] = []
        self.begun, self.may_end = asyncio.Semaphore(0), asyncio.Event()
        self.may_end.set()

    async def post(self, session: object, job: Mapping[str, Any], update: dict[str, Any]) -> None:
        self.posted.append(update)
        self.begun.release()
        await self.may_end.wait()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Channel]:
    """Runs `test(channel)` with the SDK's transport replaced and no pause between posts."""

    def runner(test: Any) -> Channel:
        async def main() -> Channel:
            channel = Channel()
            monkeypatch.setattr(rp_progress, "_async_progress_update", channel.post)
            async with asyncio.timeout(PATIENCE):
                await test(channel)
            return channel

        return asyncio.run(main())

    monkeypatch.setattr(reporting, "INTERVAL_SECONDS", 0)
    return runner


def test_what_is_reported_while_a_post_is_under_way_is_replaced_by_the_newest(run: Any) -> None:
    async def test(channel: Channel) -> None:
        channel.may_end.clear()
        async with reporting.to_platform(JOB, step_only) as report:
            report(at(1))
            await channel.begun.acquire()
            for step in range(2, 8):
                await asyncio.to_thread(report, at(step))
            channel.may_end.set()
            await channel.begun.acquire()

    assert run(test).posted == [{"step": 1}, {"step": 7}]


def test_nothing_is_posted_after_the_end_and_a_pending_report_is_dropped(run: Any) -> None:
    async def test(channel: Channel) -> None:
        async with reporting.to_platform(JOB, step_only) as report:
            report(at(1))
            await channel.begun.acquire()
            await asyncio.sleep(0)
            report(at(2))
        report(at(3))
        for _ in range(100):
            await asyncio.sleep(0)

    assert run(test).posted == [{"step": 1}]


def test_the_end_waits_for_the_post_that_is_under_way(run: Any) -> None:
    async def test(channel: Channel) -> None:
        channel.may_end.clear()

        async def job() -> None:
            async with reporting.to_platform(JOB, step_only) as report:
                report(at(1))
                await channel.begun.acquire()

        task = asyncio.create_task(job())
        for _ in range(100):
            await asyncio.sleep(0)
        assert channel.posted and not task.done()
        channel.may_end.set()
        await task

    run(test)


def test_a_platform_that_does_not_answer_holds_the_end_back_for_a_bounded_time(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "POST_SECONDS", 0.01)

    async def test(channel: Channel) -> None:
        channel.may_end.clear()
        async with reporting.to_platform(JOB, step_only) as report:
            report(at(1))
            await channel.begun.acquire()

    assert run(test).posted == [{"step": 1}]


def test_a_report_that_cannot_be_made_does_not_fail_the_job(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(progress: Progress) -> dict[str, Any]:
        raise ZeroDivisionError

    async def test(channel: Channel) -> None:
        async with reporting.to_platform(JOB, broken) as report:
            report(at(1))
            for _ in range(100):
                await asyncio.sleep(0)

    assert run(test).posted == []
    assert "ZeroDivisionError" in capsys.readouterr().out


def test_outside_the_platform_nothing_is_posted(run: Any, settings: Settings) -> None:
    async def test(channel: Channel) -> None:
        async with reporting.reporter(JOB, step_only, settings) as report:
            report(at(1))

    assert run(test).posted == []


def test_the_sdks_session_opens_and_closes() -> None:
    async def session_opens() -> None:
        async with AsyncClientSession() as session:
            assert not session.closed

    asyncio.run(session_opens())
