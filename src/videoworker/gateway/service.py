"""What an API's HTTP form can ask for. It is all that the files in `videoworker.gateway.apis` need.

A form checks what HTTP says, calls these methods, and writes the document's answers. It knows nothing of the endpoint,
the database or the bucket.
"""

import asyncio
import json
import re
import secrets
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from fastapi import Request
from sqlalchemy import Connection
from starlette.responses import Response

from videoworker.apis.api import Api
from videoworker.database.database import Database
from videoworker.errors import Code, JobError
from videoworker.gateway import jobs
from videoworker.gateway.endpoint import MAX_RUN_BYTES, EndpointAwayError, RefusedError
from videoworker.gateway.estimates import Estimates
from videoworker.gateway.follower import Follower
from videoworker.gateway.health import Health, HealthWatch
from videoworker.gateway.jobs import Job, NewJob, Page, Query, State
from videoworker.gateway.settings import GatewaySettings
from videoworker.gateway.videos import VideoAwayError, Videos
from videoworker.request import Container, Progress, Result, VideoRequest

_JOB_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NAME = re.compile(r"[\w.-]{1,255}")

_log = structlog.get_logger()

_NOT_READY = "Model not initialized yet. Please try again in a few moments."
_ENDS = "The service is about to end. Please try again in a few moments."


class QueueFullError(Exception):
    """As many jobs of this API wait as may."""


@dataclass(frozen=True)
class Core:
    """What all APIs of a gateway share."""

    settings: GatewaySettings
    database: Database
    follower: Follower
    videos: Videos
    health: HealthWatch
    waits_for_worker: bool = False
    """Whether jobs are refused until a worker is past its start: if the workers are on this machine, they are always
    there or on their way. RunPod's come when there is a job."""
    ending: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the gateway ends: answers that have no end of their own must end then."""
    served_model: str | None = None
    """The one model that the workers serve, as the setting MODEL says; None: each request's own."""

    async def health_now(self) -> Health:
        """What is known of the endpoint and its workers."""
        health = await self.health.now()
        if health.workers is not None:
            self.follower.learn_workers(health.workers.jobs_at_once)
        return health

    async def is_starting(self) -> bool:
        """Whether jobs are refused because no worker is past its start."""
        return self.waits_for_worker and not (await self.health_now()).is_loaded


@dataclass(frozen=True)
class Wish:
    """What a form wants for a new job, beside the request.

    `name`: its video's file name; None for the job's id. `extra`: what the form keeps with it. `most_queued`: how many
    jobs of the API may wait; None for any number."""

    name: str | None = None
    extra: Mapping[str, Any] | None = None
    most_queued: int | None = None


ANY = Wish()
AWAITED = {"awaited": True}  # in `extra`: the caller waits for the video, and has no other way to get it


class Service:
    """The jobs of one API."""

    def __init__(self, core: Core, api: Api[Any]) -> None:
        self.api, self.settings, self.ending, self._core = api, core.settings, core.ending, core
        self.served_model = core.served_model
        self._estimates = Estimates(core.database, api)

    async def submit(self, job_input: Mapping[str, Any], wish: Wish = ANY) -> Job:
        """Accepts a job. `job_input` is a request in the API's form. What is returned outlives this process.

        Raises `JobError`: what `Api.parse` raises, INVALID_IMAGE if the request is too large for the endpoint, and
        MODEL_NOT_LOADED if the endpoint cannot be reached. Raises `QueueFullError`.
        """
        asked = self.api.parse(job_input)
        if await self._core.is_starting():
            raise JobError(Code.MODEL_NOT_LOADED, _NOT_READY)
        new = self._new(job_input, asked.container, wish)
        job = await self._add(new, wish)
        try:
            await self._core.follower.submit(job, new.input)
        except (EndpointAwayError, RefusedError) as error:
            _log.warning("a job is refused", reason=str(error))
            await self._core.database.write(partial(jobs.discard, job_id=job.id))
            raise JobError(Code.MODEL_NOT_LOADED, _NOT_READY) from error
        return job

    async def find(self, job_id: str) -> Job | None:
        """None if this API has no such job, whatever the id is."""
        if not _JOB_ID.fullmatch(job_id):
            return None
        return self._own(await self._core.database.read(partial(jobs.find, job_id=job_id)))

    async def find_named(self, name: str) -> Job | None:
        """The job whose video has this file name; None if there is none, whatever the name is."""
        if not _NAME.fullmatch(name):
            return None
        return self._own(await self._core.database.read(partial(jobs.find_by_name, api=self.api.name, name=name)))

    async def page(self, query: Query) -> Page:
        """Nothing if `query.after` is no job's id."""
        if query.after is not None and await self.find(query.after) is None:
            return Page([], has_more=False)
        page = await self._core.database.read(partial(jobs.page, api=self.api.name, query=query))
        for job in page.jobs:
            self._core.follower.watch(job)
        return page

    async def counts(self) -> dict[State, int]:
        """How many jobs are in each state. One that no job is in is absent."""
        return await self._core.database.read(partial(jobs.counts, api=self.api.name))

    async def ahead(self, job: Job) -> int:
        """How many jobs of this gateway wait before this one, of any API."""
        return await self._core.database.read(partial(jobs.ahead, number=job.number))

    async def cancel(self, job_id: str) -> Job | None:
        """Cancels the job unless it is final. Returns it as it was; None if there is no such job."""
        if await self.find(job_id) is None:
            return None
        before = await self._core.database.write(partial(jobs.cancel, job_id=job_id, now=time.time()))
        if before is not None and not before.state.is_final:
            self._core.follower.ended_here(before)
        return before

    async def delete(self, job_id: str, states: frozenset[State] = frozenset(State)) -> Job | None:
        """Deletes the job and its video if it is in one of `states`; cancels it first. Returns it as it was; None if
        there is no such job."""
        if await self.find(job_id) is None:
            return None
        change = partial(jobs.remove, job_id=job_id, states=states, now=time.time())
        before = await self._core.database.write(change)
        if before is not None and before.state in states:
            self._core.follower.ended_here(before)
        return before

    async def result(self, job_id: str) -> Job:
        """The job once it is final. If this is cancelled, because the caller is gone, so is the job: unless the setting
        CANCEL_ON_DISCONNECT is false. So it is if the gateway ends: then this raises `JobError`."""
        ended = asyncio.create_task(self._core.follower.ended(job_id))
        ending = asyncio.create_task(self.ending.wait())
        try:
            await asyncio.wait({ended, ending}, return_when=asyncio.FIRST_COMPLETED)
            is_ended = ended.done()
        except asyncio.CancelledError:
            await self._left(job_id)
            raise
        finally:
            ended.cancel()
            ending.cancel()
        if not is_ended:
            await self._left(job_id)
            raise JobError(Code.MODEL_NOT_LOADED, _ENDS)
        job = await self.find(job_id)
        if job is None:
            raise JobError(Code.CANCELLED, "The job was deleted.")
        return job

    async def _left(self, job_id: str) -> None:
        """Nobody waits for the job any more."""
        if self.settings.cancel_on_disconnect:
            await self.cancel(job_id)

    async def cancel_abandoned(self) -> None:
        """Cancels the jobs whose callers waited for an earlier process: their connections ended with it. It does not if
        the setting CANCEL_ON_DISCONNECT is false."""
        if self.settings.cancel_on_disconnect:
            for job in await self._core.database.read(jobs.unsettled):
                if job.api == self.api.name and job.extra.items() >= AWAITED.items():
                    await self.cancel(job.id)

    async def video(self, job: Job, request: Request, as_attachment: bool = False) -> Response:
        """The bytes of a COMPLETED job's video, for GET and HEAD, with ranges.

        Raises `JobError` DELIVERY_FAILED if they cannot be had now."""
        try:
            return await self._core.videos.response(job, request, as_attachment)
        except VideoAwayError as error:
            raise _away() from error

    async def file(self, job: Job, folder: Path) -> Path:
        """A file in `folder` with a COMPLETED job's video. It outlives the job.

        Raises `JobError` DELIVERY_FAILED if the bytes cannot be had now."""
        try:
            return await self._core.videos.file(job, folder)
        except VideoAwayError as error:
            raise _away() from error

    async def health(self) -> Health:
        """What is known of the endpoint and its workers."""
        return await self._core.health_now()

    async def models(self) -> tuple[str, ...] | None:
        """The names of the models that the workers have; None if that is not known."""
        if self.served_model is not None:
            return (self.served_model,)
        facts = (await self.health()).facts
        return None if facts is None else facts.models

    def tell(self, error: Exception) -> None:
        """Logs a fault of the database."""
        self._core.follower.faults.tell(error)

    # A job in the words of the API's document

    def request(self, job: Job) -> VideoRequest:
        """What was asked for, without its picture."""
        return self.api.parse(job.request)

    def progress(self, job: Job) -> dict[str, Any]:
        """The document's progress of a job that is QUEUED or RUNNING. Its preview is for the page alone."""
        waiting = Progress(job.id, "load", 0, 1, 0.0, 0.0, None, reported_at=job.updated_at)
        return self.api.progress(replace(job.progress or waiting, preview=None))

    def answer(self, job: Job, url: str) -> dict[str, Any]:
        """The document's answer of a COMPLETED job whose video is at `url`."""
        assert job.video is not None and job.timings is not None and job.finished_at is not None
        made = Result(job.id, self.request(job), job.video, job.timings, job.created_at, job.finished_at)
        return self.api.answer(made.at(url))

    def error(self, job: Job) -> dict[str, Any]:
        """The document's error of a job that is FAILED or CANCELLED."""
        assert job.error is not None
        return self.api.error(job.error, job.id)

    async def estimate(self, request: VideoRequest) -> float | None:
        """Seconds that a worker will take for the request, by what others of this API took; None if none did yet."""
        return await self._estimates.seconds(request)

    def _new(self, job_input: Mapping[str, Any], container: Container, wish: Wish) -> NewJob:
        job_id = str(uuid.uuid4())
        return NewJob(
            id=job_id,
            api=self.api.name,
            name=wish.name or f"{job_id}.{container}",
            token=secrets.token_urlsafe(32),
            input={**job_input, "api": self.api.worker_name or self.api.name},
            extra=wish.extra or {},
        )

    async def _add(self, new: NewJob, wish: Wish) -> Job:
        """Writes the job: from here on it is taken that the endpoint may have heard of it."""
        size = len(json.dumps(new.input))
        if size > MAX_RUN_BYTES:
            message = f"The request takes {size} bytes as JSON; at most {MAX_RUN_BYTES} can be sent to the endpoint."
            raise JobError(Code.INVALID_IMAGE, message)

        def add(connection: Connection) -> Job | None:
            if not jobs.add(connection, new, wish.most_queued, time.time()):
                return None
            return jobs.find(connection, new.id)

        job = await self._core.database.write(add)
        if job is None:
            raise QueueFullError
        return job

    def _own(self, job: Job | None) -> Job | None:
        """The job if it is this API's. A caller asks about it, so the endpoint is asked more often for a while."""
        if job is None or job.api != self.api.name:
            return None
        self._core.follower.watch(job)
        return job


def _away() -> JobError:
    return JobError(Code.DELIVERY_FAILED, "The video's bytes cannot be had now.")
