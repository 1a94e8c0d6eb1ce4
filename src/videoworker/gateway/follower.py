"""Sees every accepted job to its end: submits it, asks after it, fetches its video, cancels and removes it.

Ownership: one loop on one event loop. It holds in memory which jobs are unsettled and when each is due. What a job is
stands in the database, and is read anew for each step. So a gateway that was killed goes on where it stopped: at its
start it looks at all unsettled jobs first.

Submitting once. A job is in the database before the endpoint hears of it. If the answer to `/run` is lost, with the
connection or with this process, nobody knows whether the endpoint has the job. Then it is submitted again with the same
`Idempotency-Key`. Our endpoint knows the key and has one job. RunPod does not, and may run the job twice. Both are
delivered to one place, since workers are told the key too, and the second to begin finds what the first has delivered.
The first that is known counts. If the other one shows, by its webhook, it is cancelled. A job that is cancelled
meanwhile is submitted again too: only so is it known by which id.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import structlog
from sqlalchemy import Connection

from videoworker.database.database import Database
from videoworker.database.faults import DATABASE_ERRORS, FaultLog
from videoworker.errors import Code, JobError
from videoworker.gateway import jobs, outcome
from videoworker.gateway.cleaner import Cleaner
from videoworker.gateway.endpoint import (
    Endpoint,
    EndpointAwayError,
    EndpointState,
    RefusedError,
    Submission,
    ThrottledError,
)
from videoworker.gateway.jobs import Job, State
from videoworker.gateway.pace import WATCHED_SECONDS, Standing, pause, pause_after_fault
from videoworker.gateway.settings import GatewaySettings
from videoworker.gateway.videos import VideoAwayError, Videos

_IN_FLIGHT = 20  # steps at once
_IDLE_SECONDS = 60.0  # how long the loop sleeps if nothing is due
_FETCH_SECONDS = 3600.0  # how long a finished video's bytes are tried for; RunPod's answer is kept for half of it
_COUNT_SECONDS = 5.0  # how old the number of workers may be
_REMOVE_SECONDS = 600.0  # how often it is looked for jobs that were kept for long enough
_REMOVED_AT_ONCE = 100
_UNKNOWN_SECONDS = 60.0  # how long after its submission an endpoint may not know a job yet

_log = structlog.get_logger()

_AWAY = (EndpointAwayError, ThrottledError, RefusedError, VideoAwayError)


@dataclass(eq=False)
class _Followed:
    """An unsettled job. Times are the event loop's."""

    id: str
    number: int
    is_running: bool
    due: float
    faults: int = 0
    watched_until: float = 0.0
    is_busy: bool = False
    is_called: bool = False  # while it was busy: it is due again at once
    was_announced: bool = False  # by a webhook, since the last question
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Follower:
    """It heeds the settings' `webhooks_at` and `keep_seconds`."""

    def __init__(self, database: Database, endpoint: Endpoint, videos: Videos, settings: GatewaySettings) -> None:
        self.faults = FaultLog()
        self._workers = 1  # how many jobs run at once, as far as is known
        self._database, self._endpoint, self._videos = database, endpoint, videos
        self._webhooks_at, self._keep_seconds = settings.webhooks_at, settings.keep_seconds
        self._followed: dict[str, _Followed] = {}
        self._changed = asyncio.Event()
        self._slots = asyncio.Semaphore(_IN_FLIGHT)
        self._announced = False  # whether the endpoint's webhooks arrive
        self._steps: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Makes the tables if there are none, and takes over the jobs that an earlier gateway left."""
        await self._database.write(jobs.make_tables)
        for job in await self._database.read(jobs.unsettled):
            self._follow(job)

    async def run(self) -> None:
        """Until it is cancelled."""
        cleaner = Cleaner(self._database, self._videos, self.faults)
        beside = [asyncio.create_task(self._count_workers()), asyncio.create_task(cleaner.run())]
        if self._keep_seconds is not None:
            beside.append(asyncio.create_task(self._remove_old(self._keep_seconds)))
        try:
            while True:
                self._changed.clear()
                now = self._now()
                for followed in [one for one in self._followed.values() if one.due <= now and not one.is_busy]:
                    self._start(followed)
                await self._sleep(now)
        finally:
            for task in (*beside, *self._steps):
                task.cancel()
            await asyncio.gather(*beside, *self._steps, return_exceptions=True)

    async def submit(self, job: Job, job_input: Mapping[str, Any]) -> None:
        """Tells the endpoint of a new job, which is in the database, and follows it. Raises `EndpointAwayError` or
        `RefusedError` if it certainly has not heard of it: then the job is not followed.

        The caller need not wait until the endpoint's id of the job is on the disk too."""
        followed = self._follow(job)
        followed.is_busy, is_handed_on = True, False
        try:
            noted = self._note(job, await self._run(job, job_input))
            self._begin(followed, partial(self._submitted, followed, noted))
            is_handed_on = True
        except (EndpointAwayError, RefusedError) as error:
            if isinstance(error, RefusedError) or not error.may_have_heard:
                self._forget(followed)
                raise
            self._failed(followed, error)
        except ThrottledError as error:
            self._failed(followed, error)
        finally:
            if not is_handed_on:
                self._done(followed)

    def watch(self, job: Job) -> None:
        """A caller asks about the job, so it is asked about more often for a while."""
        if (followed := self._followed.get(job.id)) is not None:
            is_new = followed.watched_until < self._now()
            followed.watched_until = self._now() + WATCHED_SECONDS
            if is_new and not followed.faults:
                followed.due = min(followed.due, self._now() + self._pause(followed))
                self._changed.set()

    def ended_here(self, job: Job) -> None:
        """The job was cancelled or deleted in the database. Who waits for it is told; the rest is done soon."""
        followed = self._follow(job)
        followed.ended.set()
        self._call(followed)

    def learn_workers(self, count: int) -> None:
        """So many jobs run at once. If they are more than was known, those that are next must be asked about sooner."""
        has_grown, self._workers = count > self._workers, count
        if has_grown:
            waiting = sorted((one for one in self._followed.values() if not one.is_running), key=lambda one: one.number)
            for followed in waiting[: 2 * count]:
                if not followed.faults:
                    followed.due = min(followed.due, self._now() + self._pause(followed))
            self._changed.set()

    async def announced(self, job: Job, endpoint_id: str) -> None:
        """The endpoint's webhook says that its job `endpoint_id` is final. It is only a reason to ask now."""
        self._announced = True
        if not await self._database.write(partial(jobs.submitted, job_id=job.id, endpoint_id=endpoint_id)):
            await self._drop_twin(endpoint_id)
        elif (followed := self._followed.get(job.id)) is not None:
            followed.was_announced = True
            self._call(followed)

    async def ended(self, job_id: str) -> None:
        """Returns once the job is final."""
        if (followed := self._followed.get(job_id)) is not None:
            followed.watched_until = float("inf")
            await followed.ended.wait()

    # The loop

    def _follow(self, job: Job) -> _Followed:
        followed = self._followed.get(job.id)
        if followed is None:
            followed = _Followed(job.id, job.number, job.state is State.RUNNING, due=self._now())
            self._followed[job.id] = followed
            self._changed.set()
        return followed

    async def _count_workers(self) -> None:
        """As long as jobs wait. A new one may be run at once, or only after many others."""
        while True:
            if any(not one.is_running for one in self._followed.values()):
                with suppress(*_AWAY):
                    self.learn_workers((await self._endpoint.workers()).jobs_at_once)
            await asyncio.sleep(_COUNT_SECONDS)

    async def _remove_old(self, seconds: float) -> None:
        """Deletes what was kept for so long, some of it at a time."""
        while True:
            change = partial(jobs.remove_old, age=seconds, most=_REMOVED_AT_ONCE, now=time.time())
            old: list[Job] = []
            try:
                old = await self._database.write(change)
            except DATABASE_ERRORS as error:
                self.faults.tell(error)
            for job in old:
                self.ended_here(job)
            await asyncio.sleep(_REMOVE_SECONDS if len(old) < _REMOVED_AT_ONCE else 1.0)

    def _call(self, followed: _Followed) -> None:
        """The job is due at once, or as soon as the step is over that is under way."""
        followed.due, followed.is_called = self._now(), True
        self._changed.set()

    def _forget(self, followed: _Followed) -> None:
        """The job is settled: unless it was called for while it was looked at. Then it is looked at again."""
        followed.ended.set()
        if not followed.is_called:
            self._followed.pop(followed.id, None)

    def _start(self, followed: _Followed) -> None:
        followed.is_busy, followed.is_called = True, False
        self._begin(followed, partial(self._advance, followed))

    def _begin(self, followed: _Followed, work: Callable[[], Awaitable[None]]) -> None:
        step = asyncio.create_task(self._step(followed, work))
        self._steps.add(step)
        step.add_done_callback(self._steps.discard)

    async def _sleep(self, now: float) -> None:
        due = min((one.due for one in self._followed.values() if not one.is_busy), default=now + _IDLE_SECONDS)
        try:
            async with asyncio.timeout(max(0.0, due - now)):
                await self._changed.wait()
        except TimeoutError:
            pass

    async def _step(self, followed: _Followed, work: Callable[[], Awaitable[None]]) -> None:
        try:
            async with self._slots:
                await work()
        except _AWAY as error:
            self._failed(followed, error)
        except DATABASE_ERRORS as error:
            self.faults.tell(error)
            self._failed(followed, error)
        except Exception as error:  # a fault of ours with one job must not end the care for all others
            _log.exception("cannot look after the job", job_id=followed.id)
            self._failed(followed, error)
        finally:
            self._done(followed)

    def _failed(self, followed: _Followed, error: Exception) -> None:
        followed.faults += 1
        followed.due = self._now() + pause_after_fault(followed.faults)
        if followed.faults == 1:
            _log.warning("the job must wait", job_id=followed.id, reason=str(error) or type(error).__name__)

    def _done(self, followed: _Followed) -> None:
        followed.is_busy = False
        if followed.is_called:
            followed.due = self._now()
        self._changed.set()

    def _succeeded(self, followed: _Followed) -> None:
        followed.faults = 0
        followed.due = self._now() + self._pause(followed)

    def _pause(self, followed: _Followed) -> float:
        waiting = [one.number for one in self._followed.values() if not one.is_running]
        running = len(self._followed) - len(waiting)
        return pause(
            Standing(
                is_running=followed.is_running,
                is_watched=followed.watched_until > self._now(),
                rank=sum(number < followed.number for number in waiting),
                workers=max(self._workers, running),
                announced=self._announced,
            )
        )

    # One step of one job

    async def _advance(self, followed: _Followed) -> None:
        """Does the next thing that is to be done with the job."""
        job = await self._database.read(partial(jobs.reread, job_id=followed.id))
        if job is None:
            self._forget(followed)
        elif job.to_cancel:
            await self._cancel(job)
            await self._advance(followed)
        elif job.deleted:
            await self._videos.remove(job.id)
            await self._database.write(partial(jobs.discard, job_id=job.id))
            self._forget(followed)
            await self._database.shrink()
        elif job.state.is_final:
            self._forget(followed)
        elif job.endpoint_id is None:
            await self._submit_again(followed, job)
        else:
            await self._ask(followed, job, job.endpoint_id)

    async def _run(self, job: Job, job_input: Mapping[str, Any]) -> str:
        """Submits the job. Returns the endpoint's id of it."""
        webhook = f"{self._webhooks_at}/webhooks/{job.token}" if self._webhooks_at else None
        return await self._endpoint.run(Submission(job_input, job.id, webhook))

    def _note(self, job: Job, endpoint_id: str) -> "asyncio.Future[str | None]":
        """Writes that the endpoint has the job. Gives `endpoint_id` if it is known under another one already."""

        def note(connection: Connection) -> str | None:
            return None if jobs.submitted(connection, job.id, endpoint_id) else endpoint_id

        return self._database.write(note)

    async def _submitted(self, followed: _Followed, noted: Awaitable[str | None]) -> None:
        twin = await noted
        if twin is not None:
            await self._drop_twin(twin)
        self._succeeded(followed)

    async def _submit_again(self, followed: _Followed, job: Job) -> None:
        job_input = await self._database.read(partial(jobs.to_submit, job_id=job.id))
        if job_input is None:  # cancelled meanwhile
            followed.due = self._now()
            return
        try:
            endpoint_id = await self._run(job, job_input)
        except RefusedError as error:
            if not error.is_of_the_body:
                raise  # the operator can mend it
            await self._fail(followed, JobError(Code.GENERATION_FAILED, "The endpoint refuses the job."))
            return
        await self._submitted(followed, self._note(job, endpoint_id))

    async def _cancel(self, job: Job) -> None:
        """What a worker has made of it meanwhile goes too: nobody would ever get it. What it will make of it before it
        hears of this goes later."""
        endpoint_id = job.endpoint_id or await self._name_there(job)
        if endpoint_id is not None:
            await self._endpoint.cancel(endpoint_id)
        await self._videos.remove(job.id)
        await self._database.write(partial(jobs.cancelled_there, job_id=job.id))

    async def _name_there(self, job: Job) -> str | None:
        """The endpoint's id of a job that it may have, though its answer was lost. It tells that if it is sent the job
        once more. None if it takes no such job."""
        job_input = await self._database.read(partial(jobs.input_of, job_id=job.id))
        if job_input is None:
            return None
        try:
            endpoint_id = await self._endpoint.run(Submission(job_input, job.id, None))
        except RefusedError as error:
            if not error.is_of_the_body:
                raise
            return None
        await self._database.write(partial(jobs.submitted, job_id=job.id, endpoint_id=endpoint_id))
        return endpoint_id

    async def _drop_twin(self, endpoint_id: str) -> None:
        """The endpoint has a job twice, because an answer of it was lost. One of them goes."""
        _log.warning("a job was submitted twice; one is dropped", endpoint_job=endpoint_id)
        await self._endpoint.cancel(endpoint_id)

    async def _ask(self, followed: _Followed, job: Job, endpoint_id: str) -> None:
        now = time.time()
        if job.video is not None:
            made = outcome.Made(job.video, job.video.url, job.timings or {})
            await self._fetch(followed, job, made)
            return
        state = await self._endpoint.status(endpoint_id)
        if state is None:
            await self._unknown(followed, job, now)
        elif state.status == "IN_QUEUE":
            if followed.is_running:
                followed.is_running = False
                await self._database.write(partial(jobs.queued_again, job_id=job.id, now=now))
            self._succeeded(followed)
        elif state.status == "IN_PROGRESS":
            await self._progress(followed, job, state, now)
        else:
            self._announced = self._announced and followed.was_announced
            await self._final(followed, job, state)

    async def _progress(self, followed: _Followed, job: Job, state: EndpointState, now: float) -> None:
        elapsed = now - (job.started_at or now)
        progress = outcome.progress(state, job.id, elapsed, now)
        followed.is_running = True
        await self._database.write(partial(jobs.running, job_id=job.id, progress=progress, now=now))
        self._succeeded(followed)

    async def _final(self, followed: _Followed, job: Job, state: EndpointState) -> None:
        if state.status != "COMPLETED":
            await self._fail(followed, outcome.failure(state))
            return
        try:
            made = outcome.result(state)
        except JobError as error:
            await self._fail(followed, error)
            return
        if made.video.url:  # it can be fetched later too, when the endpoint has forgotten the job
            change = partial(jobs.made, job_id=job.id, video=made.video, timings=made.timings, now=time.time())
            await self._database.write(change)
        await self._fetch(followed, job, made)

    async def _fetch(self, followed: _Followed, job: Job, made: outcome.Made) -> None:
        followed.is_running = True
        try:
            file = await self._videos.keep(job, made.video, made.source)
        except VideoAwayError:
            if job.video is None or time.time() - job.updated_at < _FETCH_SECONDS:
                raise
            message = "The video was made, but its file cannot be fetched from where the worker delivered it."
            await self._fail(followed, JobError(Code.DELIVERY_FAILED, message))
            return
        except JobError as error:
            await self._fail(followed, error)
            return

        def complete(connection: Connection) -> None:
            now = time.time()
            jobs.made(connection, job.id, made.video, made.timings, now)
            jobs.complete(connection, job.id, file, now)

        await self._database.write(complete)
        self._forget(followed)

    async def _unknown(self, followed: _Followed, job: Job, now: float) -> None:
        if now - job.created_at < _UNKNOWN_SECONDS:
            self._succeeded(followed)
            return
        message = "The endpoint no longer knows the job: it waited for too long, or was removed there."
        await self._fail(followed, JobError(Code.GENERATION_FAILED, message))

    async def _fail(self, followed: _Followed, error: JobError) -> None:
        await self._database.write(partial(jobs.fail, job_id=followed.id, error=error, now=time.time()))
        self._forget(followed)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
