"""The `hunyuanvideo-1.5` API: 5 to 10 seconds at 720p or 1080p.

Document: hunyuanvideo-1.5.md. The prompt's length stands in its table of error codes.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from videoworker.apis.api import Api
from videoworker.apis.common_fields import code_and_fields, percent_before_done, stage_and_remaining, video_and_timings
from videoworker.apis.input import Input
from videoworker.apis.model_names import ModelName
from videoworker.apis.sizes import SIZES
from videoworker.apis.text import CLEAN, EXAMPLES
from videoworker.errors import Code, JobError
from videoworker.models.hunyuanvideo_1_5 import HUNYUANVIDEO_1_5
from videoworker.request import Progress, Result, VideoRequest

# The document's `error_code`. If it names none for a code, ours is in its style.
_ERROR_CODES: dict[Code, str] = {
    Code.INVALID_PROMPT: "INVALID_PROMPT",
    Code.INVALID_DURATION: "INVALID_DURATION",
    Code.INVALID_FIELD: "INVALID_PARAMETER",
    Code.INVALID_IMAGE: "INVALID_PARAMETER",
    Code.INVALID_VIDEO: "INVALID_PARAMETER",
    Code.CONSENT_MISSING: "CONSENT_REQUIRED",
    Code.MODEL_NOT_LOADED: "MODEL_NOT_LOADED",
    Code.GPU_UNAVAILABLE: "GPU_UNAVAILABLE",
    Code.OUT_OF_MEMORY: "OOM_ERROR",
    Code.GENERATION_TIMEOUT: "GENERATION_TIMEOUT",
    Code.OUTPUT_TOO_LARGE: "OUTPUT_TOO_LARGE",
    Code.GENERATION_FAILED: "GENERATION_FAILED",
    Code.DELIVERY_FAILED: "DELIVERY_FAILED",
    Code.CANCELLED: "CANCELLED",
}


class HunyuanVideo15Input(Input):
    """The document's request."""

    prompt: Annotated[str, Field(min_length=10, max_length=500), CLEAN] = Field(
        description="Text description of desired video", examples=EXAMPLES
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
    """`duration` and `resolution` are those of the request. Those of the file stand in `video`."""
    request = result.request
    return {
        "task_id": result.job_id,
        "status": "completed",
        "progress": 100,
        "video_url": result.video.url,
        "duration": request.duration,
        "resolution": f"{request.height}p",
        "file_size": result.video.file_size,
    } | video_and_timings(result)


def _error(error: JobError, job_id: str) -> dict[str, Any]:
    return {
        "task_id": job_id,
        "status": "failed",
        "error": error.message,
        "error_code": _ERROR_CODES[error.code],
    } | code_and_fields(error)


API = Api("hunyuanvideo-1.5", HUNYUANVIDEO_1_5.name, HunyuanVideo15Input, _request, _progress, _answer, _error)
