"""Progress of a running job: posted to the platform in order, or drawn as a bar on the terminal.

The SDK's own `progress_update` starts a thread per call. Updates then overtake each other. If one arrives after the
result, the job looks unfinished for ever. Here one task per job posts through the same channel: the newest state only,
one post at a time. It ends before the handler returns, so nothing can follow the result.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import structlog
from runpod.http_client import AsyncClientSession
from runpod.serverless.modules import rp_progress
from tqdm import tqdm

from videoworker.request import Progress
from videoworker.settings import Settings

Report = Callable[[Progress], None]
Form = Callable[[Progress], dict[str, Any]]

INTERVAL_SECONDS = 1.0  # between two posts; clients poll about as often
POST_SECONDS = 5.0  # of one post with its retries: a result is held back so long at most

_log = structlog.get_logger()


def reporter(job: Mapping[str, Any], form: Form, settings: Settings) -> AbstractAsyncContextManager[Report]:
    """What reports this job's progress. Its `Report` may be called on any thread and returns at once."""
    return to_platform(job, form) if settings.runpod_webhook_post_output else to_terminal()


@asynccontextmanager
async def to_platform(job: Mapping[str, Any], form: Form) -> AsyncIterator[Report]:
    """Posts `form(progress)` of the newest progress as this job's state, at most every `INTERVAL_SECONDS`."""
    loop = asyncio.get_running_loop()
    newest: asyncio.Queue[Progress] = asyncio.Queue(maxsize=1)
    posting = asyncio.Lock()

    def offer(progress: Progress) -> None:
        if newest.full():
            newest.get_nowait()
        newest.put_nowait(progress)

    async def post_all() -> None:
        async with AsyncClientSession() as session:
            while True:
                progress = await newest.get()
                async with posting:
                    try:
                        async with asyncio.timeout(POST_SECONDS):
                            await rp_progress._async_progress_update(session, job, form(progress))
                    except TimeoutError:
                        _log.warning("progress not accepted in time")
                await asyncio.sleep(INTERVAL_SECONDS)

    def report(progress: Progress) -> None:
        loop.call_soon_threadsafe(offer, progress)

    task = asyncio.create_task(post_all())
    try:
        yield report
    finally:
        try:
            async with posting:  # a post that is on its way arrives before the result does
                pass
        finally:
            task.cancel()
            await asyncio.wait([task])
        if not task.cancelled() and (failure := task.exception()):
            _log.error("progress reports ended early", exc_info=failure)


@asynccontextmanager
async def to_terminal() -> AsyncIterator[Report]:
    """Draws a bar on standard error if that is a terminal."""
    with tqdm(total=100, bar_format="{desc:<24}{percentage:3.0f}%|{bar:40}| {elapsed}", disable=None) as bar:

        def draw(progress: Progress) -> None:
            bar.set_description_str(f"{progress.stage} {progress.step}/{progress.steps}", refresh=False)
            bar.update(100 * progress.fraction - bar.n)

        yield draw
