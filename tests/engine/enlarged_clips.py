"""Clips of HunyuanVideo-1.5 that are brought to a larger size, all of small limits, so that "720p" is a moment's work.

`python -m tests.engine.enlarged_clips` is the worker with these limits.
"""

import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any

from builder.tiny import hunyuanvideo_1_5, hunyuanvideo_1_5_sr
from videoworker.models import VARIANTS
from videoworker.models.hunyuanvideo_1_5 import HUNYUANVIDEO_1_5, HUNYUANVIDEO_1_5_720P_I2V, SR_1080P
from videoworker.request import VideoRequest

NAME, SIDE, LARGER, FRAMES, STEPS = "hunyuanvideo-1.5", 64, 96, 5, 2
UPSCALER = replace(SR_1080P, max_area=LARGER**2)
TEXT, IMAGE = (
    replace(model, min_side=32, max_side=SIDE, max_area=SIDE**2, max_frames=FRAMES, upscaler=UPSCALER)
    for model in (HUNYUANVIDEO_1_5, HUNYUANVIDEO_1_5_720P_I2V)
)
ASKED: dict[str, Any] = {
    "prompt": "a red circle",
    "model": NAME,
    "width": LARGER,
    "height": LARGER,
    "num_frames": FRAMES,
    "num_inference_steps": STEPS,
    "guidance_scale": 1.0,
    "seed": 7,
}


def install(folder: Path, with_upscaler: bool = True) -> Path:
    """The weights of the variants, and of super-resolution."""
    for model in (TEXT, IMAGE):
        hunyuanvideo_1_5.save(folder / model.checkpoint.folder, model.variant)
    if with_upscaler:
        hunyuanvideo_1_5_sr.save(folder / UPSCALER.checkpoint.folder, UPSCALER)
    return folder


def request_for(**asked: Any) -> VideoRequest:
    return VideoRequest(api="native", **ASKED | asked)


if __name__ == "__main__":
    VARIANTS[NAME] = (TEXT, IMAGE)
    runpy.run_module("handler", run_name="__main__", alter_sys=True)
