"""What the endpoint says of a job, in the form that is kept: progress, a finished video, or an error.

A worker answers in the form of the job's API. Beside the document's own fields, each form has the same ones: those of
`videoworker.apis.common_fields`. They are read here, so this file is the same for every API.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from videoworker.errors import Code, FieldProblem, JobError
from videoworker.gateway.endpoint import EndpointState
from videoworker.request import Progress, Video

_LONGEST_PREVIEW = 20_000  # characters

_NO_ANSWER = "The worker's answer cannot be read."


@dataclass(frozen=True)
class Made:
    """A finished video. `source` is where its bytes are: a URL, or a data URI. `timings` are seconds by stage."""

    video: Video
    source: str
    timings: dict[str, float]


def progress(state: EndpointState, job_id: str, elapsed: float, now: float) -> Progress | None:
    """How far a running job is. None if its worker has not told yet."""
    told = state.output
    try:
        return Progress(
            job_id=job_id,
            stage=told["stage"],
            step=int(told["step"]),
            steps=int(told["steps"]),
            fraction=_fraction(told["progress"]),
            elapsed=elapsed,
            remaining=None if told["remaining"] is None else float(told["remaining"]),
            preview=_preview(told.get("preview")),
            reported_at=now,
        )
    except (KeyError, TypeError, ValueError):
        return None


def result(state: EndpointState) -> Made:
    """What a completed job has made. Raises `JobError` if its answer is none of our worker's."""
    answer = state.output if isinstance(state.output, Mapping) else {}
    try:
        told = dict(answer["video"])
        inline = (value for value in answer.values() if isinstance(value, str) and value.startswith("data:"))
        source = told["url"] or next(inline)
        video = _VIDEO.validate_python(told | {"url": "" if source.startswith("data:") else source})
        return Made(video, source, _TIMINGS.validate_python(answer["timings"]))
    except (KeyError, TypeError, ValueError, StopIteration, ValidationError):
        raise JobError(Code.GENERATION_FAILED, _NO_ANSWER) from None


def failure(state: EndpointState) -> JobError:
    """Why a job that ended without a video did so."""
    if state.status == "CANCELLED":
        return JobError(Code.CANCELLED, "The job was cancelled.")
    if state.status == "TIMED_OUT":
        return JobError(Code.GENERATION_TIMEOUT, "The video took longer than the endpoint allows.")
    return _told(state.error) or JobError(Code.GENERATION_FAILED, "Video generation failed.")


def _told(error: Any) -> JobError | None:
    """The worker's own error, which is JSON in a text. None if it is another program's, whose words are not repeated:
    they may hold paths."""
    try:
        told = json.loads(error)
        code = Code(told.get("error_code", told["code"]) if isinstance(told["code"], int) else told["code"])
        fields = tuple(FieldProblem(one["field"], one["given"], one["allowed"]) for one in told["fields"])
        return JobError(code, str(told["message"]), fields)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _preview(told: Any) -> str | None:
    """A page shows it, so it must be a picture, and small."""
    is_one = isinstance(told, str) and told.startswith("data:image/") and len(told) <= _LONGEST_PREVIEW
    return told if is_one else None


def _fraction(told: Any) -> float:
    """0..1. An API's progress is a fraction, or whole percent."""
    return min(max(told / 100 if isinstance(told, int) else float(told), 0.0), 1.0)


_VIDEO = TypeAdapter(Video)
_TIMINGS = TypeAdapter(dict[str, float])
