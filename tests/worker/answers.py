"""What null corridors give, and the errors in what the handler answers."""

import json
from collections.abc import Mapping
from typing import Any

from videoworker.request import Result, Video, VideoRequest


def result(job: Mapping[str, Any], request: VideoRequest, notes: list[str] | None = None) -> Result:
    video = Video(
        "file:///v.mp4",
        "mp4",
        "h264",
        64,
        64,
        1,
        8,
        0.125,
        100,
        "0" * 64,
        1,
        "none",
        "0",
        1,
        1.0,
        False,
        notes=notes or [],
    )
    return Result(str(job["id"]), request, video, {"total": 1.0}, 0.0, 1.0)


def error_of(answer: dict[str, Any]) -> dict[str, Any]:
    assert set(answer) == {"error"} and isinstance(answer["error"], str)
    error: dict[str, Any] = json.loads(answer["error"])
    return error
