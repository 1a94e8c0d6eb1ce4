"""How long a job will take, by what the last jobs of the same API took.

Time grows with pixels, length, steps and effort. Jobs of one API differ in nothing else that a caller can say.
"""

import math
import statistics
import time
from functools import partial
from typing import Any

from videoworker.apis.api import Api
from videoworker.database.database import Database
from videoworker.gateway import jobs
from videoworker.gateway.jobs import Job, Query, State
from videoworker.models.sampling import Sampling
from videoworker.request import VideoRequest

_LAST = 20  # jobs that are looked at
_SECONDS = 5.0  # how old what was learnt may be

_PIXELS, _FPS, _STEPS, _GUIDANCE_SCALE = 1280 * 720, 24, 50, 6.0  # what stands for what a request leaves to the model


class Estimates:
    """Of one API."""

    def __init__(self, database: Database, api: Api[Any]) -> None:
        self._database, self._api = database, api
        self._pace: float | None = None
        self._learnt_at = -math.inf

    async def seconds(self, request: VideoRequest) -> float | None:
        """None if no job of the API is known that ended well."""
        if time.monotonic() - self._learnt_at > _SECONDS:
            query = Query(frozenset({State.COMPLETED}), _LAST)
            page = await self._database.read(partial(jobs.page, api=self._api.name, query=query))
            paces = [pace for job in page.jobs if (pace := _pace(job, self._api)) is not None]
            self._pace, self._learnt_at = statistics.median(paces) if paces else None, time.monotonic()
        return None if self._pace is None else self._pace * _work(request)


def _pace(job: Job, api: Api[Any]) -> float | None:
    """Seconds for each unit of work."""
    if not job.timings or "total" not in job.timings:
        return None
    return float(job.timings["total"]) / _work(api.parse(job.request))


def _work(request: VideoRequest) -> float:
    pixels = request.width * request.height if request.width and request.height else _PIXELS
    frames = request.num_frames or (request.duration or 5) * (request.fps or _FPS)
    sampling = Sampling(request.num_inference_steps or _STEPS, _GUIDANCE_SCALE, effort=request.effort or "full")
    return float(pixels * frames * sampling.predictions)
