"""A worker process for tests: the real handler and the real SDK around a corridor that makes nothing.

The prompt says what the corridor does. It tells the fake platform where it is, and waits for the answer at each note.
"""

import os
from collections.abc import Mapping
from typing import Any

import requests
import runpod
import torch

from tests.worker.answers import result
from videoworker.request import Result, VideoRequest
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
    return result(job, request, notes, total)


if __name__ == "__main__":
    log.configure(on_platform=True)
    scaler.install()
    runpod.serverless.start(Handler(settings(), corridor).config)
