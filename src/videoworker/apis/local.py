"""The `local` API: a text and an optional picture, for callers that agree to lawful use.

Document: local-video-service.md. Over HTTP it is a form (`Api.read_form`). In a job it is JSON.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from videoworker.apis.api import Api
from videoworker.apis.common_fields import code_and_fields, fraction_before_done, stage_and_remaining, video_and_timings
from videoworker.apis.given import Image
from videoworker.apis.input import Input
from videoworker.apis.text import CLEAN, EXAMPLES
from videoworker.errors import JobError
from videoworker.models.mochi import MOCHI
from videoworker.models.open_sora import OPEN_SORA
from videoworker.request import Progress, Result, VideoRequest

# The document's backends, and our models' names. Any other model is called by its own name.
_MODEL_OF_BACKEND = {"opensora": OPEN_SORA.name, "mochi": MOCHI.name}
_BACKEND_OF_MODEL = {model: backend for backend, model in _MODEL_OF_BACKEND.items()}


def _agreed(consent: bool) -> bool:
    if not consent:
        raise ValueError("consent is not given")
    return consent


class LocalInput(Input):
    """The document's request. `seed: null` is the document's "random"; `prefer_backend: null` is its "auto", as an
    empty one is."""

    prompt: Annotated[str, Field(min_length=3, max_length=1000), CLEAN] = Field(
        description="Text description (3-1000 chars)", examples=EXAMPLES
    )
    image: Image | None = Field(None, description="Reference image (JPEG, PNG)")
    fps: int = Field(24, ge=1, le=60, description="Frames per second (1-60)")
    num_frames: int = Field(64, ge=8, le=240, description="Number of frames (8-240)")
    width: int = Field(720, ge=256, le=1920, multiple_of=8, description="Video width (256-1920, multiple of 8)")
    height: int = Field(720, ge=256, le=1080, multiple_of=8, description="Video height (256-1080, multiple of 8)")
    seed: int | None = Field(None, ge=0, le=2**32 - 1, description="Random seed (0 to 2^32-1); null: random")
    prefer_backend: Literal["opensora", "mochi", "auto", ""] | None = Field(
        None, description='Backend: "opensora", "mochi", or empty; empty, null or "auto": the best at hand'
    )
    low_vram: bool = Field(False, description="Enable low-VRAM optimizations")
    lawful_use_consent: Annotated[bool, AfterValidator(_agreed), WithJsonSchema({"type": "boolean", "const": True})] = (
        Field(description="User agreement (must be true)")
    )


def _request(body: LocalInput) -> VideoRequest:
    return VideoRequest(
        api=API.name,
        prompt=body.prompt,
        model=_MODEL_OF_BACKEND.get(body.prefer_backend or "auto"),
        width=body.width,
        height=body.height,
        num_frames=body.num_frames,
        fps=body.fps,
        seed=body.seed,
        image=body.image,
        low_vram=body.low_vram,
    )


def _progress(progress: Progress) -> dict[str, Any]:
    """The document has no form for it, since it answers once."""
    return {
        "status": "processing",
        "progress": fraction_before_done(progress),
        "elapsed_time": round(progress.elapsed, 2),
    } | stage_and_remaining(progress)


def backend_of(model: str) -> str:
    """The document's name for the model's backend; the model's own if the document has none."""
    return _BACKEND_OF_MODEL.get(model, model)


def _answer(result: Result) -> dict[str, Any]:
    """`mp4_path` is the file's name alone. Callers need not know where it lies on the worker's disk."""
    video = result.video
    return {
        "success": True,
        "video_url": video.url,
        "mp4_path": f"video.{video.container}",
        "frames": video.num_frames,
        "fps": video.fps,
        "width": video.width,
        "height": video.height,
        "seed": video.seed,
        "backend": backend_of(video.model),
        "elapsed_time": round(result.timings["total"], 2),
        "error": None,
    } | video_and_timings(result)


def _error(error: JobError, job_id: str) -> dict[str, Any]:
    return {"success": False, "video_url": None, "error": error.message} | code_and_fields(error)


API = Api("local", None, LocalInput, _request, _progress, _answer, _error)
