"""The `hunyuanvideo-foley` API: video with synchronised sound, at three quality presets.

Document: hunyuanvideo-foley.md. It has no field for its "reference URLs", so there is none here.
"""

from typing import Annotated, Any

from pydantic import Field

from videoworker.apis.api import Api
from videoworker.apis.common_fields import code_and_fields, fraction_before_done, stage_and_remaining, video_and_timings
from videoworker.apis.input import Input
from videoworker.apis.sizes import SIZES, Resolution
from videoworker.apis.text import CLEAN, CLEAN_OR_NONE
from videoworker.errors import Code, JobError
from videoworker.models.hunyuanvideo_1_5 import HUNYUANVIDEO_1_5
from videoworker.request import AudioRequest, Container, Progress, Quality, Result, VideoRequest

# "File size limits: 100MB maximum output".
_MAX_FILE_SIZE = 100_000_000
_RESOLUTIONS: dict[Quality, Resolution] = {"low": "480p", "medium": "720p", "high": "1080p"}
_MODEL = HUNYUANVIDEO_1_5.name

# The document's `error`. If it names none for a code, ours is in its style.
_ERROR_NAMES: dict[Code, str] = {
    Code.INVALID_PROMPT: "InvalidPromptError",
    Code.INVALID_DURATION: "InvalidParameterError",
    Code.INVALID_FIELD: "InvalidParameterError",
    Code.INVALID_IMAGE: "InvalidParameterError",
    Code.INVALID_VIDEO: "InvalidParameterError",
    Code.CONSENT_MISSING: "ConsentRequiredError",
    Code.MODEL_NOT_LOADED: "ModelLoadError",
    Code.GPU_UNAVAILABLE: "GPUUnavailableError",
    Code.OUT_OF_MEMORY: "GPUUnavailableError",
    Code.GENERATION_TIMEOUT: "GenerationTimeoutError",
    Code.OUTPUT_TOO_LARGE: "OutputTooLargeError",
    Code.GENERATION_FAILED: "InternalServerError",
    Code.DELIVERY_FAILED: "DeliveryError",
    Code.CANCELLED: "CancelledError",
}


class FoleyInput(Input):
    """The document's request."""

    video_prompt: Annotated[str, Field(min_length=1, max_length=500), CLEAN] = Field(
        description="Natural language description of the desired video content"
    )
    # The document's own client sends an empty text if no sound is described.
    audio_prompt: Annotated[Annotated[str, Field(min_length=1, max_length=200)] | None, CLEAN_OR_NONE] = Field(
        None, description="Optional audio effects description to sync with video; empty: none"
    )
    duration: float = Field(10.0, ge=1, le=30, description="Length of generated video in seconds")
    quality: Quality = Field(
        "medium", description="low: 854x480, basic compression; medium: 1280x720, balanced; high: 1920x1080, maximum"
    )
    output_format: Container = Field("mp4", description="Container format: mp4 (H.264) or webm (VP9)")


def _request(body: FoleyInput) -> VideoRequest:
    width, height = SIZES[_RESOLUTIONS[body.quality]]
    return VideoRequest(
        api=API.name,
        prompt=body.video_prompt,
        model=_MODEL,
        width=width,
        height=height,
        duration=body.duration,
        audio=AudioRequest(prompt=body.audio_prompt),
        container=body.output_format,
        quality=body.quality,
        max_file_size=_MAX_FILE_SIZE,
    )


def _progress(progress: Progress) -> dict[str, Any]:
    """The document has no form for it. `status` has a third value beside its success and error."""
    return {"status": "processing", "progress": fraction_before_done(progress)} | stage_and_remaining(progress)


def _answer(result: Result) -> dict[str, Any]:
    return {
        "status": "success",
        "message": "Video generated successfully",
        "file_url": result.video.url,
        "duration": round(result.timings["total"], 2),
        "file_size": result.video.file_size,
    } | video_and_timings(result)


def _error(error: JobError, job_id: str) -> dict[str, Any]:
    """The document's `code` is the HTTP status, so our code is called `error_code` here."""
    return code_and_fields(error) | {
        "status": "error",
        "error": _ERROR_NAMES[error.code],
        "code": error.status,
        "error_code": error.code.value,
    }


API = Api("hunyuanvideo-foley", _MODEL, FoleyInput, _request, _progress, _answer, _error)
