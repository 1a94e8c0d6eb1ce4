"""The queue: what callers and workers ask of it, what time does to it, and who waits for what.

It runs on one event loop. Jobs are in the database, and whatever is answered here has been committed. In memory are
only the workers and the requests that wait.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import structlog

from videoworker.database.database import Database
from videoworker.database.faults import DATABASE_ERRORS, FaultLog
from videoworker.endpoint import jobs
from videoworker.endpoint.jobs import AssignedJob, Job, JobCounts, JobResult, JobState, JobStream, Submission
from videoworker.endpoint.queue_room import QueueRoom
from videoworker.endpoint.settings import EndpointSettings
from videoworker.endpoint.wait_queue import WaitQueue
from videoworker.endpoint.worker_registry import WorkerRegistry

_SWEEP_SECONDS = 0.5  # how late an expiry, a timeout or a missed heartbeat may be noticed

_log = structlog.get_logger()


class QueueFullError(Exception):
    """The jobs that wait hold as much as the settings allow."""


class Queue:
    """Whoever sends webhooks or runs workers sets the callbacks.

    `on_final(job_id)`: the job may have a webhook to send.
    `on_replacement_request(worker_id)`: the worker asks for a fresh one in its place. None: nobody can do that.
    `on_failure(worker_id, reason)`: the worker is silent or hangs. Returns whether it will be ended.

    Whoever awaits the queue's answers tells `faults` of the database's faults.
    """

    def __init__(
        self,
        database: Database,
        settings: EndpointSettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock`: seconds that the machine was awake. Jobs are kept with times since 1970, but the time of day is read
        only here. If it is set anew later, no job expires or times out by that."""
        self.workers = WorkerRegistry(settings, clock)
        self.on_final: Callable[[str], None] = lambda job_id: None
        self.on_replacement_request: Callable[[str], None] | None = None
        self.on_failure: Callable[[str, str], bool] = lambda worker_id, reason: False
        self.faults = FaultLog()
        self._database, self._settings = database, settings
        since_1970 = time.time() - clock()
        self._clock: Callable[[], float] = lambda: since_1970 + clock()
        self._room = QueueRoom()
        self._job_polls = WaitQueue()  # workers that wait for a job
        self._result_waits: dict[str, WaitQueue] = {}  # callers that wait for a job's end or chunks, by job
        self._is_closing = False

    async def open(self) -> None:
        """Makes the tables if there are none, and takes over the jobs that an earlier endpoint left."""
        await self._database.write(jobs.make_tables)
        for job in await self._database.read(jobs.in_progress):
            self.workers.assigned(job.worker, [job.id])
        for job_id in await self._database.read(jobs.webhooks_pending):
            self.on_final(job_id)

    def close(self) -> None:
        """Answers every request that waits: workers get no job, callers get their jobs as they are."""
        self._is_closing = True
        for waits in (self._job_polls, *self._result_waits.values()):
            waits.notify_all()
        self.workers.end_polls()

    # What callers ask for

    async def submit(self, submission: Submission) -> None:
        """Raises `QueueFullError`."""
        now, most = self._clock(), self._settings.max_queued_bytes
        if self._room.reserve(len(submission.body)):
            await self._database.write(partial(jobs.add, submission=submission, now=now))
        else:
            adding = self._database.write(partial(jobs.add_if_room, submission=submission, max_bytes=most, now=now))
            if await self._room.recount(adding) is None:
                raise QueueFullError
        self._job_polls.notify()

    async def find(self, job_id: str) -> Job | None:
        return await self._database.read(partial(jobs.find, job_id=job_id))

    async def body(self, job_id: str) -> str | None:
        """What the job's worker gets: a JSON object that has an `input`. None if there is no such job."""
        return await self._database.read(partial(jobs.find_body, job_id=job_id))

    async def wait(self, job_id: str, seconds: float) -> Job | None:
        """The job once it is final, or as it is after `seconds`. None if there is no such job."""
        until = asyncio.get_running_loop().time() + seconds
        with self._waiting_for(job_id) as waits:
            while True:
                with waits.waiter() as waiter:
                    job = await self.find(job_id)
                    if job is None or job.status.is_final or self._is_closing:
                        return job
                    if not await waiter.wait(until):
                        return await self.find(job_id)  # it may have been begun meanwhile

    @contextmanager
    def _waiting_for(self, job_id: str) -> Iterator[WaitQueue]:
        """The queue of those who wait for the job's end or its chunks, kept for as long as somebody uses it."""
        waits = self._result_waits.setdefault(job_id, WaitQueue())
        try:
            yield waits
        finally:
            if waits.is_empty:
                self._result_waits.pop(job_id, None)

    async def cancel(self, job_id: str) -> Job | None:
        """Cancels the job unless it is final. Returns it; None if there is no such job."""
        before = await self._database.write(partial(jobs.cancel, job_id=job_id, now=self._clock()))
        if before is None:
            return None
        if before.running_on is not None:
            self.workers.stop(before.running_on, job_id)
        if not before.status.is_final:
            self._attempt_over(job_id)
        return await self.find(job_id)

    async def retry(self, job_id: str) -> JobState | None:
        """Queues the job again if it is FAILED or TIMED_OUT. Returns how it was before; None if there is no such
        job."""
        before = await self._database.write(partial(jobs.retry, job_id=job_id, now=self._clock()))
        self._job_polls.notify()
        return before

    async def purge(self) -> int:
        """Removes the jobs that wait. Returns how many."""
        removed = await self._database.write(jobs.purge)
        for job_id in removed:
            self._attempt_over(job_id)
        return len(removed)

    async def wait_for_chunks(self, job_id: str, seconds: float) -> JobStream | None:
        """The chunks that nobody has taken yet. If there is none and the job is not final, waits up to `seconds`. None
        if there is no such job."""
        until = asyncio.get_running_loop().time() + seconds
        with self._waiting_for(job_id) as waits:
            while True:
                with waits.waiter() as waiter:
                    taken = await self._database.write(partial(jobs.take_chunks, job_id=job_id))
                    if taken is None or taken.chunks or taken.status.is_final or self._is_closing:
                        return taken
                    if not await waiter.wait(until):
                        return taken

    async def counts(self) -> JobCounts:
        return await self._database.read(jobs.count)

    # What workers ask for

    async def take(self, worker_id: str, count: int, runs_nothing: bool, seconds: float) -> list[AssignedJob]:
        """The jobs that have waited longest, at most `count`. Waits up to `seconds` until there is one.

        `runs_nothing`: the worker says that it runs no job. Then the jobs that it was given are lost.
        If this call is cancelled, it hands out nothing. Raises `WorkerHangsError`.
        """
        until = asyncio.get_running_loop().time() + seconds
        with self.workers.polling(worker_id, runs_nothing) as worker:
            if runs_nothing and (lost := self.workers.jobs_of(worker_id)):
                await self.take_back(worker_id, lost, "dropped by its worker")
            while not (self._is_closing or worker.is_retired):
                with self._job_polls.waiter() as waiter:
                    if taken := await self._take(worker_id, count):
                        return taken
                    if not await waiter.wait(until):
                        return []
            return []

    async def _take(self, worker_id: str, count: int) -> list[AssignedJob]:
        def register(done: asyncio.Future[list[AssignedJob]]) -> None:
            if done.exception() is None:
                self.workers.assigned(worker_id, [job.id for job in done.result()])

        writing = self._database.write(partial(jobs.take, worker=worker_id, count=count, now=self._clock()))
        writing.add_done_callback(register)
        try:
            return await asyncio.shield(writing)
        except asyncio.CancelledError:
            if taken := await writing:
                await self.take_back(worker_id, [job.id for job in taken], "not received by its worker")
            raise

    def progress(self, worker_id: str, job_id: str, output: str) -> bool:
        """Whether the worker has the job. `output`: its progress as JSON text."""
        if not self.workers.is_running(worker_id, job_id):
            return False
        self.workers.attempts[job_id].progress = output
        return True

    async def add_chunk(self, worker_id: str, job_id: str, chunk: str) -> bool:
        """Whether the chunk was kept. It is not if the worker no longer has the job. `chunk`: JSON text."""
        is_kept = await self._database.write(partial(jobs.add_chunk, job_id=job_id, worker=worker_id, chunk=chunk))
        if job_id in self._result_waits:
            self._result_waits[job_id].notify_all()
        return is_kept

    async def finish(self, worker_id: str, job_id: str, result: JobResult) -> bool:
        """Whether the result was kept. It is not if the worker no longer has the job."""
        change = partial(jobs.finish, job_id=job_id, worker=worker_id, result=result, now=self._clock())
        has_webhook = await self._database.write(change)
        if has_webhook is None:
            return False
        self._attempt_over(job_id, has_webhook)
        return True

    def request_replacement(self, worker_id: str) -> None:
        """The worker asks for a fresh one in its place. Nothing happens if nobody can replace it."""
        if self.on_replacement_request is not None:
            self.on_replacement_request(worker_id)

    # What whoever runs the workers, and whoever sends webhooks, tells the queue

    def retire(self, worker_id: str) -> None:
        """The worker gets no more jobs. Its requests that wait are answered now."""
        self.workers.retire(worker_id)
        self._job_polls.notify_all()

    async def worker_ended(self, worker_id: str) -> None:
        """Takes back the jobs that the worker had. If the database cannot be used, they are taken back later: nobody
        names them any more."""
        lost = self.workers.jobs_of(worker_id)
        self.workers.ended(worker_id)
        if lost:
            try:
                await self.take_back(worker_id, lost, "its worker ended")
            except DATABASE_ERRORS as error:
                self.faults.tell(error)

    async def take_back(self, worker_id: str, job_ids: list[str], reason: str) -> None:
        """Takes jobs from a worker that no longer runs them, for other workers. `reason` is for the log."""
        for job_id in job_ids:
            _log.warning("attempt lost", job_id=job_id, worker=worker_id, reason=reason)
        attempts, now = self._settings.max_attempts, self._clock()
        await self._database.write(
            partial(jobs.take_back, job_ids=job_ids, worker=worker_id, max_attempts=attempts, now=now)
        )
        for job_id in job_ids:
            self._attempt_over(job_id)
            self._job_polls.notify()

    async def webhook_done(self, job_id: str) -> None:
        """The job's webhook was accepted or given up."""
        await self._database.write(partial(jobs.webhook_done, job_id=job_id))

    # What time does

    async def keep_time(self) -> None:
        """Looks for expired jobs, timeouts and missed heartbeats, until it is cancelled."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            try:
                await self.sweep()
            except DATABASE_ERRORS as error:  # it may be usable again later
                self.faults.tell(error)
            except Exception:  # a fault of ours with one job must not end the watch over all others
                _log.exception("cannot look after the jobs")

    async def sweep(self) -> None:
        """Looks once."""
        for failure in self.workers.failures():
            # A worker that will be ended could still deliver. Its jobs are taken back once it has ended.
            if not self.on_failure(failure.worker, failure.reason):
                if failure.jobs:
                    await self.take_back(failure.worker, failure.jobs, failure.reason)
                self.workers.given_up(failure.worker)
        now = self._clock()
        if await self._database.read(partial(jobs.any_due, now=now)):
            for job in await self._database.write(partial(jobs.apply_deadlines, now=now)):
                if job.was_running_on is not None:
                    self.workers.stop(job.was_running_on, job.id)
                self._attempt_over(job.id)
        await self._database.shrink()

    def _attempt_over(self, job_id: str, may_have_webhook: bool = True) -> None:
        """No worker has the job any more: it is final, queued again, or gone."""
        self.workers.attempt_over(job_id)
        if job_id in self._result_waits:
            self._result_waits[job_id].notify_all()
        if may_have_webhook:
            self.on_final(job_id)
