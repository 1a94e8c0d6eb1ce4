"""The way of one job: from its validated request to the delivered file and what is reported of it."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from videoworker.delivery.destinations import destination_for
from videoworker.draft import Task
from videoworker.dubbing import dubbed
from videoworker.engine.engine import Engine
from videoworker.errors import Code, JobError
from videoworker.filming import filmed
from videoworker.media import marks
from videoworker.media.file import Finished
from videoworker.media.playable import check_plays
from videoworker.request import Result, VideoRequest
from videoworker.settings import Settings
from videoworker.watch import Watch
from videoworker.workspace import workspace


def run(job: Mapping[str, Any], request: VideoRequest, watch: Watch, engine: Engine, settings: Settings) -> Result:
    """Makes the video and delivers it. Blocks meanwhile. `job["id"]` is a plain file name. Raises `JobError`."""
    created_at = time.time()
    destination = destination_for(job, settings, watch)
    if (delivered := destination.delivered_before(request)) is not None:
        return delivered
    with workspace() as folder:
        task = Task(request, engine, settings, watch, folder, destination.check_size)
        draft = filmed(task) if request.video is None else dubbed(task, request.video)
        with watch.stage("encode"):
            marked = marks.mark(draft.path, draft.origin, settings, watch)
            finished = Finished.at(draft.path)
            check_plays(draft.path, draft.content, watch)
        watch.step("encode", 1, 1)
        _check_size(finished.file_size, settings.max_output_bytes or request.max_file_size)
        destination.check_size(finished.file_size)
        # Cancel and time limit are heard here. Later only an upload hears them, because what is delivered is reported.
        watch.step("deliver", 0, 1)
        video = draft.report(finished, marked, watch.notes)
        result = Result(str(job["id"]), request, video, _seconds(watch), created_at, time.time())
        with watch.stage("deliver"):
            result = destination.deliver(draft.path, result)
    engine.learn(draft.work, watch.timings)
    return replace(result, timings=_seconds(watch), finished_at=time.time())


def _seconds(watch: Watch) -> dict[str, float]:
    return {stage: round(seconds, 3) for stage, seconds in (watch.timings | {"total": watch.elapsed}).items()}


def _check_size(file_size: int, limit: int | None) -> None:
    if limit is not None and file_size > limit:
        raise JobError(Code.OUTPUT_TOO_LARGE, f"The video has {file_size} bytes; at most {limit} are allowed.")
