"""The queue: what callers and workers ask for, on the event loop, over the jobs in the database.

Whatever is answered here has been committed. Beside the database it keeps only who is waiting, and for what.
"""

import asyncio
import json
import time
from collections.abc import Callable
from functools import partial

import structlog

from videoworker.endpoint import jobs
from videoworker.endpoint.bell import Bell
from videoworker.endpoint.database import Database
from videoworker.endpoint.jobs import Job, Result, Status, Submission, Taken
from videoworker.endpoint.settings import EndpointSettings
from videoworker.endpoint.workers import Workers

_SWEEP_SECONDS = 0.5  # how late a timeout, an expiry or a missed heartbeat may be noticed

_log = structlog.get_logger()


class Queue:
    """`on_final` is called with the id of a job whose webhook may be due; `on_leaving`, where somebody starts workers,
    with that of a worker that asked to be replaced; `on_silent`, with that of one that was not heard of for too long,
    and says whether it will be ended."""

    def __init__(
        self,
        database: Database,
        settings: EndpointSettings,
        clock: Callable[[], float] = time.time,
        heartbeat_clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock`: seconds since 1970. `heartbeat_clock`: seconds that the machine was awake."""
        self.workers = Workers(settings.heartbeat_timeout_seconds, heartbeat_clock)
        self.on_final: Callable[[str], None] = lambda job_id: None
        self.on_leaving: Callable[[str], None] | None = None
        self.on_silent: Callable[[str], bool] = lambda worker_id: False
        self._database, self._settings, self._clock = database, settings, clock
        self._arrivals = Bell()
        self._waiting: dict[str, Bell] = {}  # callers that wait for a job's end
        self._is_closing = False

    async def open(self) -> None:
        """Makes the tables where there are none, and takes up what an earlier endpoint left."""
        await self._database.write(jobs.metadata.create_all)
        for row in await self._database.read(jobs.in_progress):
            self.workers.started(row.worker, [row.id])
        for job_id in await self._database.read(jobs.webhooks_due):
            self.on_final(job_id)

    def close(self) -> None:
        """Ends all that waits: polls of workers find nothing, callers get their jobs as they are."""
        self._is_closing = True
        for bell in (self._arrivals, *self._waiting.values()):
            bell.ring_all()
        self.workers.end_polls()

    # What callers ask for

    async def submit(self, submission: Submission) -> None:
        await self._database.write(partial(jobs.add, submission=submission, now=self._clock()))
        self._arrivals.ring()

    async def find(self, job_id: str) -> Job | None:
        return await self._database.read(partial(jobs.find, job_id=job_id))

    async def wait(self, job_id: str, seconds: float) -> Job | None:
        """The job, once it is final, or as it is after so many seconds."""
        until = asyncio.get_running_loop().time() + seconds
        bell = self._waiting.setdefault(job_id, Bell())
        try:
            while True:
                with bell.listening() as ear:
                    job = await self.find(job_id)
                    if job is None or Status(job.status).is_final or self._is_closing or not await ear.wait(until):
                        return job
        finally:
            if bell.is_idle:
                self._waiting.pop(job_id, None)

    async def cancel(self, job_id: str) -> Job | None:
        """The job, cancelled unless it was final. None: there is no such job."""
        before = await self._database.write(partial(jobs.cancel, job_id=job_id, now=self._clock()))
        if before is None:
            return None
        if before.status == Status.IN_PROGRESS:
            self.workers.stop(before.worker, job_id)
        if not Status(before.status).is_final:
            self._ended(job_id)
        return await self.find(job_id)

    async def retry(self, job_id: str) -> Job | None:
        """The job as it was. Queued again if it was FAILED or TIMED_OUT. None: there is no such job."""
        before = await self._database.write(partial(jobs.retry, job_id=job_id, now=self._clock()))
        self._arrivals.ring()
        return before

    async def purge(self) -> int:
        """How many waiting jobs it removed."""
        removed = await self._database.write(jobs.purge)
        for job_id in removed:
            self._ended(job_id)
        return len(removed)

    async def take_chunks(self, job_id: str) -> tuple[str | None, list[str]]:
        return await self._database.write(partial(jobs.take_chunks, job_id=job_id))

    async def counts(self) -> dict[str, int]:
        return await self._database.read(jobs.counts)

    # What workers ask for

    async def take(self, worker_id: str, count: int, runs_nothing: bool, seconds: float) -> list[Taken]:
        """The jobs that have waited longest, at most `count`; none if none came within so many seconds.

        A worker that says that it `runs_nothing` has lost what it was given. If the call is cancelled, nothing is
        handed out."""
        worker = self.workers.heard_of(worker_id)
        until = asyncio.get_running_loop().time() + seconds
        if runs_nothing and (lost := self.workers.jobs_of(worker_id)):
            await self.lose(worker_id, lost, "dropped by its worker")
        while not (self._is_closing or worker.is_leaving):
            with self._arrivals.listening() as ear:
                if taken := await self._take(worker_id, count):
                    return taken
                if not await ear.wait(until):
                    return []
        return []

    async def _take(self, worker_id: str, count: int) -> list[Taken]:
        def hand_out(done: asyncio.Future[list[Taken]]) -> None:
            if done.exception() is None:
                self.workers.started(worker_id, [job.id for job in done.result()])

        writing = self._database.write(partial(jobs.take, worker=worker_id, count=count, now=self._clock()))
        writing.add_done_callback(hand_out)
        try:
            return await asyncio.shield(writing)
        except asyncio.CancelledError:
            if taken := await writing:
                await self.lose(worker_id, [job.id for job in taken], "not received by its worker")
            raise

    def progress(self, worker_id: str, job_id: str, output: str) -> bool:
        """Whether the job is this worker's. `output`: JSON."""
        if not self.workers.has(worker_id, job_id):
            return False
        self.workers.running[job_id].progress = output
        return True

    async def add_chunk(self, worker_id: str, job_id: str, chunk: str) -> bool:
        return await self._database.write(partial(jobs.add_chunk, job_id=job_id, worker=worker_id, chunk=chunk))

    async def finish(self, worker_id: str, job_id: str, result: Result) -> bool:
        """Whether the result was taken: not where the job is no longer this worker's."""
        change = partial(jobs.finish, job_id=job_id, worker=worker_id, result=result, now=self._clock())
        has_webhook = await self._database.write(change)
        if has_webhook is None:
            _log.warning("result discarded", job_id=job_id, worker=worker_id)
            return False
        self._ended(job_id, has_webhook)
        return True

    async def lose(self, worker_id: str, job_ids: list[str], reason: str) -> None:
        """Takes jobs from a worker that no longer runs them and gives them to the next."""
        for job_id in job_ids:
            _log.warning("attempt lost", job_id=job_id, worker=worker_id, reason=reason)
        attempts = self._settings.max_attempts
        change = partial(
            jobs.lose,
            job_ids=job_ids,
            worker=worker_id,
            max_attempts=attempts,
            error=json.dumps(f"The job was started {attempts} times and each time lost with its worker."),
            now=self._clock(),
        )
        await self._database.write(change)
        for job_id in job_ids:
            self._ended(job_id)
            self._arrivals.ring()

    def leave(self, worker_id: str) -> None:
        """The worker asked to be replaced: where somebody can do that, it gets no more jobs."""
        if self.on_leaving is not None:
            self.on_leaving(worker_id)

    def let_go(self, worker_id: str) -> None:
        """This worker gets no more jobs, and its polls end now."""
        self.workers.leaving(worker_id)
        self._arrivals.ring_all()

    async def webhook_done(self, job_id: str) -> None:
        await self._database.write(partial(jobs.webhook_done, job_id=job_id))

    async def lose_worker(self, worker_id: str) -> None:
        """The worker has ended, whatever it was doing."""
        lost = self.workers.jobs_of(worker_id)
        self.workers.gone(worker_id)
        if lost:
            await self.lose(worker_id, lost, "its worker ended")

    # What time does

    async def keep_time(self) -> None:
        """Runs for ever: expiry, timeouts, missed heartbeats."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            try:
                await self.sweep()
            except Exception:  # the database is away; it may come back
                _log.exception("cannot look after the jobs")

    async def sweep(self) -> None:
        for worker_id, job_ids in self.workers.lost().items():
            if not self.on_silent(worker_id):  # else its jobs are given to others once it cannot deliver them any more
                await self.lose(worker_id, job_ids, "no heartbeat")
        now = self._clock()
        if await self._database.read(partial(jobs.any_due, now=now)):
            error = json.dumps("The job took longer than its execution timeout.")
            for row in await self._database.write(partial(jobs.let_time_pass, timed_out=error, now=now)):
                if row.status == Status.IN_PROGRESS:
                    self.workers.stop(row.worker, row.id)
                self._ended(row.id)

    def _ended(self, job_id: str, may_have_webhook: bool = True) -> None:
        """The job is final, or gone, or no longer with its worker."""
        self.workers.running.pop(job_id, None)
        if job_id in self._waiting:
            self._waiting[job_id].ring_all()
        if may_have_webhook:
            self.on_final(job_id)
