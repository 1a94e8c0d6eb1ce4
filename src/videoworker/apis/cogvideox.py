"""The `cogvideox` API: a prompt and a few settings.

Document: cogvideox.md. Defaults and the range of `num_frames` stand in its `/info`. The other ranges are ours. The
document answers with the file itself. A job answers with the file's URL.
"""

from typing import Annotated, Any

from pydantic import Field

from videoworker.apis.api import Api
from videoworker.apis.common_fields import code_and_fields, fraction_before_done, stage_and_remaining, video_and_timings
from videoworker.apis.input import Input
from videoworker.apis.text import CLEAN, EXAMPLES, LONGEST_TEXT
from videoworker.errors import JobError
from videoworker.models.cogvideox import COGVIDEOX
from videoworker.request import Progress, Result, VideoRequest

_MODEL = COGVIDEOX.name


class CogVideoXInput(Input):
    """The document's request."""

    prompt: Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT), CLEAN] = Field(
        description="The prompt for video generation", examples=EXAMPLES
    )
    num_frames: int = Field(49, ge=8, le=100, description="Number of frames to generate")
    fps: int = Field(24, ge=1, le=60, description="Frames per second")
    guidance_scale: float = Field(6.0, ge=1.0, le=20.0, description="Guidance scale for generation")
    num_inference_steps: int = Field(50, ge=1, le=100, description="Number of inference steps for generation")


def _request(body: CogVideoXInput) -> VideoRequest:
    return VideoRequest(
        api=API.name,
        prompt=body.prompt,
        model=_MODEL,
        num_frames=body.num_frames,
        fps=body.fps,
        guidance_scale=body.guidance_scale,
        num_inference_steps=body.num_inference_steps,
    )


def _progress(progress: Progress) -> dict[str, Any]:
    return {"status": "processing", "progress": fraction_before_done(progress)} | stage_and_remaining(progress)


def _answer(result: Result) -> dict[str, Any]:
    return {"status": "completed", "video_url": result.video.url} | video_and_timings(result)


def _error(error: JobError, job_id: str) -> dict[str, Any]:
    return {"status": "failed", "error": error.message} | code_and_fields(error)


API = Api("cogvideox", _MODEL, CogVideoXInput, _request, _progress, _answer, _error)
