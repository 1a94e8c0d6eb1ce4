"""What is recorded of a job: its lines in the log, and its counts in the metrics. Nothing that its caller wrote."""

import math
from collections.abc import Mapping
from typing import Any

import structlog

from videoworker.errors import JobError
from videoworker.request import Progress, Result, VideoRequest
from videoworker.worker import metrics


class Record:
    """One job's record. `heard` is called on the thread that runs the job, all else on the event loop's thread."""

    def __init__(self, job: Mapping[str, Any], job_id: str) -> None:
        # bound here, because the threads of a job have contexts of their own
        self._log = structlog.get_logger().bind(job_id=job_id)
        self._stage: Progress | None = None
        self._stage_began = 0.0
        metrics.taken(job)

    def started(self, api: str, request: VideoRequest, time_limit: float) -> None:
        self._log.info(
            "job started",
            api=api,
            model=request.model,
            width=request.width,
            height=request.height,
            num_frames=request.num_frames,
            duration=request.duration,
            time_limit=time_limit if math.isfinite(time_limit) else None,
        )

    def heard(self, progress: Progress) -> None:
        """Progress is reported when a step is done. So a stage ends with its last report."""
        last = self._stage
        if last is not None and last.stage != progress.stage:
            self._log.info("stage ended", stage=last.stage, seconds=round(last.elapsed - self._stage_began, 3))
            self._stage_began = last.elapsed
        self._stage = progress

    def completed(self, result: Result) -> None:
        video = result.video
        self._log.info(
            "job finished",
            model=video.model,
            width=video.width,
            height=video.height,
            num_frames=video.num_frames,
            steps=video.steps,
            file_size=video.file_size,
            seconds=result.timings,
        )
        metrics.completed(result)

    def failed(self, error: JobError) -> None:
        last = self._stage
        self._log.warning(
            "job failed",
            code=error.code,
            problems=len(error.fields),
            stage=last.stage if last else None,
            seconds=round(last.elapsed, 3) if last else None,
        )
        metrics.failed(error)

    def cancelled(self) -> None:
        self._log.info("job cancelled", stage=self._stage.stage if self._stage else None)
        metrics.cancelled()
