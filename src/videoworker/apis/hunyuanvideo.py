"""The `hunyuanvideo` API: an exact number of frames, with the model's own guidance settings.

Document: hunyuanvideo.md. It names no range for the prompt's length and the seed, so these are ours.
"""

from typing import Annotated, Any

from pydantic import Field

from videoworker.apis.api import Api
from videoworker.apis.common_fields import (
    code_and_fields,
    fraction_before_done,
    stage_and_remaining,
    timestamp,
    video_and_timings,
)
from videoworker.apis.input import Input
from videoworker.apis.text import CLEAN, EXAMPLES, LONGEST_TEXT
from videoworker.errors import JobError
from videoworker.models.hunyuanvideo import HUNYUANVIDEO
from videoworker.request import Progress, Result, VideoRequest

# Our name of a field, and the document's.
_FIELDS = {"num_frames": "video_length"}
_MODEL = HUNYUANVIDEO.name


class HunyuanVideoInput(Input):
    """The document's request."""

    prompt: Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT), CLEAN] = Field(
        description="Text description of the video", examples=EXAMPLES
    )
    width: int = Field(640, ge=256, le=1280, description="Video width in pixels")
    height: int = Field(480, ge=256, le=1280, description="Video height in pixels")
    video_length: int = Field(61, ge=13, le=129, description="Number of frames")
    fps: int = Field(15, ge=8, le=30, description="Frames per second")
    seed: int | None = Field(None, ge=0, le=2**63 - 1, description="Random seed (null=random)")
    num_inference_steps: int = Field(30, ge=10, le=50, description="Denoising steps (lower=faster)")
    guidance_scale: float = Field(1.0, ge=1.0, le=20.0, description="Guidance scale")
    flow_shift: float = Field(7.0, ge=0.0, le=10.0, description="Flow shift parameter")
    embedded_guidance_scale: float = Field(6.0, ge=1.0, le=20.0, description="Embedded guidance scale")


def _request(body: HunyuanVideoInput) -> VideoRequest:
    """The two settings that only some models have are passed on if the caller gave them. If not, the model's own apply:
    HunyuanVideo's are the document's defaults, and another model may have none."""
    own = body.model_dump(include={"flow_shift", "embedded_guidance_scale"}, exclude_unset=True)
    return VideoRequest(
        api=API.name,
        prompt=body.prompt,
        model=_MODEL,
        width=body.width,
        height=body.height,
        num_frames=body.video_length,
        fps=body.fps,
        seed=body.seed,
        num_inference_steps=body.num_inference_steps,
        guidance_scale=body.guidance_scale,
        **own,
    )


def _progress(progress: Progress) -> dict[str, Any]:
    """`estimated_time` is the whole job's, in seconds; null while unknown."""
    whole = None if progress.remaining is None else round(progress.elapsed + progress.remaining)
    return {
        "job_id": progress.job_id,
        "status": "processing",
        "progress": fraction_before_done(progress),
        "created_at": timestamp(progress.reported_at - progress.elapsed),
        "updated_at": timestamp(progress.reported_at),
        "video_url": None,
        "error": None,
        "estimated_time": whole,
    } | stage_and_remaining(progress)


def _answer(result: Result) -> dict[str, Any]:
    return {
        "job_id": result.job_id,
        "status": "completed",
        "progress": 1.0,
        "created_at": timestamp(result.created_at),
        "updated_at": timestamp(result.finished_at),
        "video_url": result.video.url,
        "error": None,
        "estimated_time": round(result.timings["total"]),
    } | video_and_timings(result)


def _error(error: JobError, job_id: str) -> dict[str, Any]:
    """Both of the document's error forms in one: a failed job's status, and `detail`. An error has no times."""
    common = code_and_fields(error)
    for problem in common["fields"]:
        problem["field"] = _FIELDS.get(problem["field"], problem["field"])
    return {
        "job_id": job_id,
        "status": "failed",
        "progress": 0.0,
        "created_at": None,
        "updated_at": None,
        "video_url": None,
        "error": error.message,
        "estimated_time": None,
        "detail": error.message,
    } | common


API = Api("hunyuanvideo", _MODEL, HunyuanVideoInput, _request, _progress, _answer, _error)
