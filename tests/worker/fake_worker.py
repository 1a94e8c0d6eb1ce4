"""A worker process for tests: the real handler and the real SDK around a corridor that makes nothing.

The prompt says what the corridor does. It tells the fake platform where it is, and waits for the answer at each note.
"""

import os
from collections.abc import Mapping
from typing import Any

import requests
import runpod
import torch

from videoworker.request import Result, Video, VideoRequest
from videoworker.settings import settings
from videoworker.watch import Watch
from videoworker.worker import log, scaler
from videoworker.worker.handler import Handler


def corridor(job: Mapping[str, Any], request: VideoRequest, watch: Watch) -> Result:
    """`until 3 progress`: runs until the platform has had 3 reports. `broken device`: fails as CUDA does. What is not
    listed runs for one step."""

    def note(kind: str) -> dict[str, int]:
        response = requests.post(f"{os.environ['NOTE_URL']}/note/{kind}/{job['id']}", timeout=120)
        counts: dict[str, int] = response.json()
        return counts

    wanted = {"until 1 progress": 1, "until 3 progress": 3, "for ever": 2**31}.get(request.prompt, 0)
    step, steps = 0, 1_000_000
    try:
        while True:
            step += 1
            watch.step("denoise", step, steps)
            if note("step").get("progress", 0) >= wanted:
                break
    finally:
        note("left")
    if request.prompt == "broken device":
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
    notes = ["\ud800"] if request.prompt == "unspeakable" else []
    total = float("nan") if request.prompt == "not a number" else 1.0
    video = Video(
        "file:///video.mp4",
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
        notes=notes,
    )
    return Result(str(job["id"]), request, video, {"total": total}, 0.0, 1.0)


if __name__ == "__main__":
    log.configure(on_platform=True)
    scaler.install()
    runpod.serverless.start(Handler(settings(), corridor).config)
