"""What null corridors give, and the errors in what the handler answers."""

import json
from collections.abc import Mapping
from typing import Any

from videoworker.request import Result, Video, VideoRequest


def result(job: Mapping[str, Any], request: VideoRequest, notes: list[str] | None = None, total: float = 1.0) -> Result:
    video = Video(
        url="file:///v.mp4",
        container="mp4",
        codec="h264",
        width=64,
        height=64,
        num_frames=1,
        fps=8,
        duration=0.125,
        file_size=100,
        sha256="0" * 64,
        seed=1,
        model="none",
        model_revision="0",
        steps=1,
        guidance_scale=1.0,
        has_audio=False,
        notes=notes or [],
    )
    return Result(str(job["id"]), request, video, {"total": total}, 0.0, 1.0)


def error_of(answer: dict[str, Any]) -> dict[str, Any]:
    assert set(answer) == {"error"} and isinstance(answer["error"], str)
    error: dict[str, Any] = json.loads(answer["error"])
    return error
