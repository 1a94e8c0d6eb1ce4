"""What the tests of every API share: a smallest valid input for each, a finished job, and how to be refused."""

from typing import Any

import pytest

from videoworker.apis import APIS
from videoworker.errors import JobError
from videoworker.request import Progress, Result, Video, VideoRequest

SMALLEST: dict[str, dict[str, Any]] = {
    "hunyuanvideo-foley": {"video_prompt": "A cat"},
    "hunyuanvideo": {"prompt": "A cat"},
    "hunyuanvideo-1.5": {"prompt": "A cat on the grass"},
    "local": {"prompt": "A cat", "lawful_use_consent": True},
    "cogvideox": {"prompt": "A cat"},
    "native": {"prompt": "A cat"},
}
VIDEO_KEYS = {
    "url",
    "container",
    "codec",
    "width",
    "height",
    "num_frames",
    "fps",
    "effort",
    "duration",
    "file_size",
    "sha256",
    "seed",
    "model",
    "model_revision",
    "steps",
    "guidance_scale",
    "has_audio",
    "notes",
    "marks",
    "manifest_url",
}
PROGRESS_KEYS = {"stage", "step", "steps", "remaining"}
ERROR_KEYS = {"code", "message", "fields", "retryable", "status_code"}


def parse(api: str, **fields: Any) -> VideoRequest:
    """The request of the smallest input with `fields` in it."""
    return APIS[api].parse(SMALLEST[api] | fields)


def refusal(api: str, raw: Any) -> JobError:
    """The error that `raw` is refused with."""
    with pytest.raises(JobError) as caught:
        APIS[api].parse(raw)
    return caught.value


def refused_fields(api: str, **fields: Any) -> list[str]:
    """The names of the fields that the smallest input is refused for when `fields` are in it."""
    return [problem.field for problem in refusal(api, SMALLEST[api] | fields).fields]


def result(request: VideoRequest, model: str = "sketch") -> Result:
    """A job that was asked for at 2025-10-25T16:00:00 UTC and took ten minutes, of which it waited 472.55 s."""
    video = Video(
        url="file:///srv/outputs/a%20lake.mp4",
        container="mp4",
        codec="h264",
        width=512,
        height=384,
        num_frames=48,
        fps=24,
        duration=2.0,
        file_size=15728640,
        sha256="ab" * 32,
        seed=42,
        model=model,
        model_revision="1",
        steps=30,
        guidance_scale=6.0,
        has_audio=False,
        notes=["made at 256x192 and scaled up"],
    )
    timings = {"encode_prompt": 1.0, "denoise": 100.0, "decode": 20.0, "encode": 6.0, "deliver": 0.45, "total": 127.45}
    return Result("job-1", request, video, timings, created_at=1761408000.0, finished_at=1761408600.0)


def progress(fraction: float) -> Progress:
    """The same job thirty seconds after its beginning."""
    return Progress("job-1", "denoise", 12, 30, fraction, 30.0, 33.333, reported_at=1761408030.0)
