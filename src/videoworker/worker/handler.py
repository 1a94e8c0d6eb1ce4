"""The handler: from the platform's job to an answer or an error, on the one thread that owns the device.

Ownership: the event loop makes one `Watch` per job and sets its `cancel` event. The executor's only thread runs the
corridor and reads that event. A job's handler returns only when the thread has left the job. So the platform never
hands out the next job while the device is busy.
"""

import asyncio
import json
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any

import structlog
import torch

from videoworker import apis
from videoworker.apis.api import Api
from videoworker.errors import Code, JobError
from videoworker.request import Progress, Result, VideoRequest
from videoworker.settings import Settings
from videoworker.watch import Watch
from videoworker.worker.condition import Condition, cannot_compute, is_broken
from videoworker.worker.job_id import file_safe, own_id
from videoworker.worker.progress import reporter
from videoworker.worker.record import Record
from videoworker.worker.time_limit import time_limit

# The most that the platform accepts back for one job: its documented limit for synchronous runs.
MAX_ANSWER_BYTES = 20_000_000

Corridor = Callable[[Mapping[str, Any], VideoRequest, Watch], Result]

_log = structlog.get_logger()


class Handler:
    """Serves jobs one at a time.

    `last_result` is what the latest successful job made. `config` is what the SDK's `start` takes. Its `refresh_worker`
    becomes true with the job after which a fresh process should take over. The SDK then tells the platform so with that
    job's result, and ends this process.
    """

    def __init__(self, settings: Settings, corridor: Corridor) -> None:
        """`corridor` blocks and runs on this handler's own thread. It raises `JobError`."""
        self.last_result: Result | None = None
        self.config: dict[str, Any] = {"handler": self.handle, "refresh_worker": False}
        self._settings, self._corridor = settings, corridor
        self._condition = Condition(settings.refresh_worker_after_jobs)
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="device")

    async def handle(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """The answer in the form of the job's API, or `{"error": <JSON text>}`. Raises nothing but `CancelledError`."""
        job_id = file_safe(job.get("id"))
        raw: Any = job.get("input")
        record = Record(job, job_id)
        with structlog.contextvars.bound_contextvars(job_id=job_id):
            api = apis.select({}, self._settings.api)
            failure: JobError | None = None
            try:
                api = apis.select(raw, self._settings.api)
                named, job_input = own_id(raw)
                job_id = named or job_id
                request = api.parse(job_input)
                result = await self._run(job, job_id, api, request, record)
                answer = api.answer(result)
                _check(answer)
                record.completed(result)
            except asyncio.CancelledError:
                record.cancelled()
                raise
            except Exception as exception:
                failure = _as_job_error(exception)
                record.failed(failure)
                answer = {"error": json.dumps(api.error(failure, job_id), allow_nan=False)}
            self._condition.after(failure)
            if (why := self._condition.why_to_leave) is not None:
                _log.warning("asking for a fresh worker", why=why)
                self.config["refresh_worker"] = True
            return answer

    async def _run(
        self, job: Mapping[str, Any], job_id: str, api: Api[Any], request: VideoRequest, record: Record
    ) -> Result:
        async with reporter(job, api.progress, self._settings) as report:

            def heard(progress: Progress) -> None:
                record.heard(progress)
                report(progress)

            limit = time_limit(job, self._settings)
            watch = Watch(job_id, heard, limit, has_previews=self._settings.previews)
            record.started(api.name, request, limit)
            # in this task's context, so that the corridor's log lines have the job's id
            work = partial(copy_context().run, self._corridor, {**job, "id": job_id}, request, watch)
            result = await _until_idle(asyncio.get_running_loop().run_in_executor(self._executor, work), watch.cancel)
        self.last_result = result
        return result


async def _until_idle(thread: asyncio.Future[Result], cancel: threading.Event) -> Result:
    """Waits for the thread, even if the job is cancelled. So the job ends only when the device is free."""
    try:
        return await asyncio.shield(thread)
    except asyncio.CancelledError:
        cancel.set()
        while not thread.done():
            try:
                await asyncio.wait([thread])
            except asyncio.CancelledError:
                continue  # the platform repeats its stop signal, but the device is still busy
        failure = thread.exception()  # asyncio logs one that nobody has looked at
        if failure is not None and not isinstance(failure, JobError):
            _log.error("job raised after it was cancelled", exc_info=failure)
        raise


def _check(answer: dict[str, Any]) -> None:
    """Raises `JobError` if the answer is too large, and `ValueError` if JSON or UTF-8 cannot carry it: the SDK posts no
    such answer, and the platform would get none."""
    size = len(json.dumps(answer, allow_nan=False, ensure_ascii=False).encode())
    if size > MAX_ANSWER_BYTES:
        raise JobError(Code.OUTPUT_TOO_LARGE, f"The answer is {size} bytes; at most {MAX_ANSWER_BYTES} can be sent.")


def _as_job_error(exception: Exception) -> JobError:
    """What a caller may know of the exception. The log has the rest."""
    if isinstance(exception, JobError):
        return exception
    _log.error("job raised", exc_info=exception)
    if cannot_compute(exception):
        return JobError(Code.OUT_OF_MEMORY, "The video does not fit into memory.", refresh_worker=True)
    # torch's CPU allocator has no exception type of its own
    is_cpu_allocator = isinstance(exception, RuntimeError) and "can't allocate memory" in str(exception)
    if is_cpu_allocator or isinstance(exception, (torch.OutOfMemoryError, MemoryError)):
        return JobError(Code.OUT_OF_MEMORY, "The video does not fit into memory.")
    if is_broken(exception):
        return JobError(Code.GPU_UNAVAILABLE, "The GPU failed during this job.", refresh_worker=True)
    return JobError(Code.GENERATION_FAILED, "Video generation failed.")
