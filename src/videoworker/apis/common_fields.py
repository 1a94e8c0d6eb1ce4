"""The fields that every API's answer, progress and error have, beside those of its document."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from videoworker.apis.quoting import quoted
from videoworker.errors import JobError
from videoworker.request import Progress, Result

_LARGEST_FRACTION = 0.99  # of a progress report: only an answer says that all is done


def video_and_timings(result: Result) -> dict[str, Any]:
    """The two objects of every answer: `video` as in `request.Video`, and `timings` in seconds.

    A video that is sent inline stands only in the document's own field, since the answer has no room for it twice.
    `video.url` is null then.
    """
    video = asdict(result.video)
    if result.video.url.startswith("data:"):
        video["url"] = None
    return {"video": video, "timings": result.timings}


def stage_and_remaining(progress: Progress) -> dict[str, Any]:
    """What every progress report has beside its document's fields. `remaining` is in seconds, null while unknown.
    `preview` is absent while there is none."""
    remaining = None if progress.remaining is None else round(progress.remaining, 1)
    preview = {} if progress.preview is None else {"preview": progress.preview}
    return {"stage": progress.stage, "step": progress.step, "steps": progress.steps, "remaining": remaining} | preview


def fraction_before_done(progress: Progress) -> float:
    """0..0.99."""
    return min(round(progress.fraction, 4), _LARGEST_FRACTION)


def percent_before_done(progress: Progress) -> int:
    """0..99."""
    return round(fraction_before_done(progress) * 100)


def code_and_fields(error: JobError) -> dict[str, Any]:
    """What every error has beside its document's fields."""
    return {
        "code": error.code.value,
        "message": error.message,
        "fields": [
            {"field": problem.field, "given": quoted(problem.given), "allowed": problem.allowed}
            for problem in error.fields
        ],
        "retryable": error.retryable,
        "status_code": error.status,
    }


def timestamp(seconds: float) -> str:
    """Unix seconds as the documents write a time: UTC to the second, without a zone."""
    return datetime.fromtimestamp(round(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%S")
