"""How long a job will take, by what the last jobs of the same API took."""

import math
import time
from functools import partial
from typing import Any

from videoworker.apis.api import Api
from videoworker.database.database import Database
from videoworker.errors import JobError
from videoworker.gateway import jobs
from videoworker.gateway.jobs import Job, Query, State
from videoworker.planning.machine import Machine
from videoworker.planning.pace import KEPT, Measured, Pace, measured
from videoworker.planning.plan import Plan, make_plan
from videoworker.planning.work import Work, video_work
from videoworker.request import VideoRequest

_SECONDS = 5.0  # how old what was learnt may be

# The gateway does not see what the workers have. It takes them to have each model's first variant, and a GPU.
_WORKER = Machine(is_installed=lambda _: True, may_fetch=True, has_gpu=True)


def plan_of(request: VideoRequest, model: str) -> Plan:
    """As a worker would make it. Raises `JobError` if the model cannot do what is asked."""
    return make_plan(request, _WORKER, model)


class Estimates:
    """Of one API."""

    def __init__(self, database: Database, api: Api[Any]) -> None:
        self._database, self._api = database, api
        self._pace = Pace({})
        # Which model last made what was asked of another one, or of none: the workers may serve one alone.
        self._makers = dict[str | None, str]()
        self._learnt_at = -math.inf

    async def seconds(self, request: VideoRequest) -> float | None:
        """None if no job of the API is known that ended well and was made alike."""
        if time.monotonic() - self._learnt_at > _SECONDS:
            query = Query(frozenset({State.COMPLETED}), KEPT)
            page = await self._database.read(partial(jobs.page, api=self._api.name, query=query))
            self._learn(page.jobs)
        if (model := self._makers.get(request.model)) is None:
            return None
        expected = self._pace.expected(_work(request, model))
        return None if expected is None else sum(expected.values())

    def _learn(self, newest_first: list[Job]) -> None:
        known = dict[str, list[Measured]]()
        for job in reversed(newest_first):
            assert job.video is not None and job.timings is not None
            request = self._api.parse(job.request)
            self._makers[request.model] = job.video.model
            work = _work(request, job.video.model)
            for name, one in measured(work, job.timings).items():
                known.setdefault(name, []).append(one)
        self._pace, self._learnt_at = Pace(known), time.monotonic()


def _work(request: VideoRequest, model: str) -> Work:
    """None of it is known of a video that a caller gives, nor of what a newer or older model made."""
    if request.video is not None:
        return ()
    try:
        return video_work(plan_of(request, model), request.container)
    except JobError:
        return ()
