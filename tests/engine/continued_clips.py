"""Clips that HunyuanVideo-1.5's text variant begins and its image variant goes on with, both of small limits, so that a
long clip is short."""

from dataclasses import replace

import numpy as np

from tests.engine import making
from videoworker.canvas import Frames
from videoworker.engine.engine import Engine
from videoworker.models.hunyuanvideo_1_5 import HUNYUANVIDEO_1_5, HUNYUANVIDEO_1_5_720P_I2V
from videoworker.planning.plan import make_plan
from videoworker.request import VideoRequest
from videoworker.watch import Watch

NAME, SIDE, MOST = "hunyuanvideo-1.5", 32, 9
LONGER = MOST + 5
TEXT, IMAGE = (
    replace(model, max_frames=MOST, min_side=SIDE) for model in (HUNYUANVIDEO_1_5, HUNYUANVIDEO_1_5_720P_I2V)
)


def request_for(num_frames: int) -> VideoRequest:
    return VideoRequest(
        "native", making.PROMPT, model=NAME, num_frames=num_frames, width=SIDE, height=SIDE, num_inference_steps=2
    )


def frames(engine: Engine, num_frames: int, watch: Watch | None = None) -> Frames:
    plan = make_plan(request_for(num_frames), engine.survey())
    assert plan.model is TEXT
    return np.stack(list(making.frames(engine, plan, watch=watch)))
