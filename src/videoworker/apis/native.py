"""The `native` API, our own: the superset of what the documented APIs can say, under one set of names.

If a field is absent, the model's own default applies. It can also give a clip, to which sound is added.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from videoworker.apis.api import Api
from videoworker.apis.common_fields import code_and_fields, fraction_before_done, stage_and_remaining, video_and_timings
from videoworker.apis.given import GivenVideo, Image
from videoworker.apis.input import Input
from videoworker.apis.model_names import ModelName
from videoworker.apis.quoting import quoted
from videoworker.apis.sizes import SIZES, Resolution
from videoworker.apis.text import CLEAN, CLEAN_OR_NONE, EXAMPLES, LONGEST_TEXT
from videoworker.effort import Effort
from videoworker.errors import FieldProblem, JobError
from videoworker.models.sketch import SKETCH
from videoworker.request import AudioRequest, Container, Progress, Quality, Result, VideoRequest

_LARGEST_SEED = 2**63 - 1  # what a generator's seed may be
_LARGEST_CRF = {"mp4": 51, "webm": 63}  # H.264 and VP9
_PROMPT_ALLOWED = f"1-{LONGEST_TEXT} characters"
_WITH_VIDEO = frozenset({"video", "audio", "seed"})
_MODEL = SKETCH.name


class AudioInput(Input):
    """The sound that goes with the picture. If the object is empty, the sound follows the picture alone."""

    prompt: Annotated[Annotated[str, Field(min_length=1, max_length=1000)] | None, CLEAN_OR_NONE] = Field(
        None, description="What is to be heard"
    )
    negative_prompt: Annotated[Annotated[str, Field(min_length=1, max_length=1000)] | None, CLEAN_OR_NONE] = Field(
        None, description="What is not to be heard"
    )
    guidance_scale: float | None = Field(None, ge=0.0, le=20.0, description="How closely the sound follows its prompt")
    num_inference_steps: int | None = Field(None, ge=1, le=100, description="Denoising steps of the sound")
    seed: int | None = Field(None, ge=0, le=_LARGEST_SEED, description="Seed of the sound; null: the video's")


class NativeInput(Input):
    """Everything that can be asked for."""

    prompt: Annotated[Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)] | None, CLEAN] = Field(
        None, description="What is to be seen; needed unless a video is given", examples=EXAMPLES
    )
    negative_prompt: Annotated[Annotated[str, Field(min_length=0, max_length=LONGEST_TEXT)] | None, CLEAN] = Field(
        None, description="What is not to be seen"
    )
    model: ModelName = Field(_MODEL, description="Model that makes the video, if the worker serves more than one")
    resolution: Resolution | None = Field(None, description="A 16:9 picture; instead of width and height")
    width: int | None = Field(None, ge=64, le=3840, description="Width in pixels; together with height")
    height: int | None = Field(None, ge=64, le=3840, description="Height in pixels; together with width")
    num_frames: int | None = Field(None, ge=1, le=1000, description="Number of frames; instead of duration")
    duration: float | None = Field(None, ge=0.1, le=60.0, description="Length in seconds; instead of num_frames")
    fps: int | None = Field(None, ge=1, le=60, description="Frames per second")
    seed: int | None = Field(None, ge=0, le=_LARGEST_SEED, description="Seed of the noise; null: drawn anew")
    num_inference_steps: int | None = Field(None, ge=1, le=100, description="Denoising steps")
    guidance_scale: float | None = Field(None, ge=0.0, le=20.0, description="How closely the video follows its prompt")
    embedded_guidance_scale: float | None = Field(
        None, ge=0.0, le=20.0, description="Guidance as an input of the model, for models distilled to take it"
    )
    flow_shift: float | None = Field(None, ge=0.0, le=20.0, description="Shift of the noise schedule")
    image: Image | None = Field(None, description="First frame")
    last_image: Image | None = Field(None, description="Last frame")
    video: GivenVideo | None = Field(
        None, description="A clip that gets the sound of `audio`; its picture stays as it is"
    )
    audio: AudioInput | None = Field(None, description="Sound to go with the picture; null: silent")
    effort: Effort | None = Field(
        None,
        description="Computation that is spent: exact, full, fast (half the denoising) or turbo (few steps, with "
        "distilled weights); null: the worker's, else the model's",
    )
    low_vram: bool = Field(False, description="Spend time to save device memory")
    container: Container = Field("mp4", description="mp4 (H.264) or webm (VP9)")
    quality: Quality = Field("medium", description="Quality of the compression")
    crf: int | None = Field(
        None, ge=0, le=63, description="Constant rate factor, instead of quality; lower is better; at most 51 for mp4"
    )
    embed_prompt: bool = Field(False, description="Write the prompt into the file's metadata")

    @classmethod
    def conflicts(cls, fields: Mapping[str, Any]) -> list[FieldProblem]:
        if "video" in fields:
            return _conflicts_of_given(fields)
        problems = [] if "prompt" in fields else [FieldProblem("prompt", None, _PROMPT_ALLOWED)]
        if "num_frames" in fields and "duration" in fields:
            problems.append(FieldProblem("num_frames", quoted(fields["num_frames"]), "not together with duration"))
        if "resolution" in fields and ("width" in fields or "height" in fields):
            problems.append(
                FieldProblem("resolution", quoted(fields["resolution"]), "not together with width and height")
            )
        for one, other in (("width", "height"), ("height", "width")):
            if one in fields and other not in fields and "resolution" not in fields:
                problems.append(FieldProblem(other, None, f"needed together with {one}"))
        crf, container = fields.get("crf"), fields.get("container", "mp4")
        if type(crf) is int and container == "mp4" and _LARGEST_CRF["mp4"] < crf <= _LARGEST_CRF["webm"]:
            problems.append(FieldProblem("crf", crf, "an integer from 0 to 51 for mp4"))
        return problems


def _conflicts_of_given(fields: Mapping[str, Any]) -> list[FieldProblem]:
    """A clip that is given keeps its picture, so what would say how to make one is refused."""
    problems = [
        FieldProblem(name, quoted(value), "absent if video is given, because its picture stays as it is")
        for name, value in fields.items()
        if name not in _WITH_VIDEO
    ]
    if "audio" not in fields:
        problems.append(FieldProblem("audio", None, "an object if video is given; {} for a sound by the picture alone"))
    return problems


def _request(body: NativeInput) -> VideoRequest:
    width, height = SIZES[body.resolution] if body.resolution else (body.width, body.height)
    return VideoRequest(
        api=API.name,
        prompt=body.prompt or "",
        model=body.model,
        negative_prompt=body.negative_prompt,
        width=width,
        height=height,
        num_frames=body.num_frames,
        duration=body.duration,
        fps=body.fps,
        seed=body.seed,
        num_inference_steps=body.num_inference_steps,
        guidance_scale=body.guidance_scale,
        embedded_guidance_scale=body.embedded_guidance_scale,
        flow_shift=body.flow_shift,
        image=body.image,
        last_image=body.last_image,
        video=body.video,
        audio=AudioRequest(**body.audio.model_dump()) if body.audio else None,
        effort=body.effort,
        low_vram=body.low_vram,
        container=body.container,
        quality=body.quality,
        crf=body.crf,
        embed_prompt=body.embed_prompt,
    )


def _progress(progress: Progress) -> dict[str, Any]:
    return {
        "job_id": progress.job_id,
        "status": "processing",
        "progress": fraction_before_done(progress),
    } | stage_and_remaining(progress)


def _answer(result: Result) -> dict[str, Any]:
    return {"job_id": result.job_id, "status": "completed", "video_url": result.video.url} | video_and_timings(result)


def _error(error: JobError, job_id: str) -> dict[str, Any]:
    return {"job_id": job_id, "status": "failed"} | code_and_fields(error)


API = Api("native", _MODEL, NativeInput, _request, _progress, _answer, _error)
