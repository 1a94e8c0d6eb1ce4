"""The `hunyuanvideo-1.5` API: 5 to 10 seconds at 720p or 1080p.

Document: hunyuanvideo-1.5.md; the prompt's length stands in its table of error codes.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from videoworker.apis.api import Api
from videoworker.apis.input import Input
from videoworker.apis.model_names import ModelName
from videoworker.apis.parts import code_and_fields, percent_before_done, stage_and_remaining, video_and_timings
from videoworker.apis.sizes import SIZES
from videoworker.apis.text import CLEAN
from videoworker.errors import JobError
from videoworker.models.hunyuanvideo_1_5 import HUNYUANVIDEO_1_5
from videoworker.request import Progress, Result, VideoRequest


class HunyuanVideo15Input(Input):
    """The document's request."""

    prompt: Annotated[str, Field(min_length=10, max_length=500), CLEAN] = Field(
        description="Text description of desired video"
    )
    duration: int = Field(10, ge=5, le=10, description="Video length in seconds (5-10)")
    resolution: Literal["720p", "1080p"] = Field("1080p", description='Output resolution ("720p", "1080p")')
    model: ModelName = Field(
        "HunyuanVideo-1.5", description="Model version to use; upper and lower case are the same", validate_default=True
    )


def _request(body: HunyuanVideo15Input) -> VideoRequest:
    width, height = SIZES[body.resolution]
    return VideoRequest(
        api=API.name,
        prompt=body.prompt,
        model=body.model,
        width=width,
        height=height,
        duration=body.duration,
    )


def _progress(progress: Progress) -> dict[str, Any]:
    return {
        "task_id": progress.job_id,
        "status": "processing",
        "progress": percent_before_done(progress),
        "elapsed_time": int(progress.elapsed),
    } | stage_and_remaining(progress)


def _answer(result: Result) -> dict[str, Any]:
    """`duration` and `resolution` are what was asked for; what was made stands in `video`."""
    asked = result.request
    return {
        "task_id": result.job_id,
        "status": "completed",
        "progress": 100,
        "video_url": result.video.url,
        "duration": asked.duration,
        "resolution": f"{asked.height}p",
        "file_size": result.video.file_size,
    } | video_and_timings(result)


def _error(error: JobError, job_id: str) -> dict[str, Any]:
    return {
        "task_id": job_id,
        "status": "failed",
        "error": error.message,
        "error_code": error.words.hunyuanvideo15,
    } | code_and_fields(error)


API = Api("hunyuanvideo-1.5", HUNYUANVIDEO_1_5.name, HunyuanVideo15Input, _request, _progress, _answer, _error)
