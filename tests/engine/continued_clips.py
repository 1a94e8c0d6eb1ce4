"""Clips that HunyuanVideo-1.5's text variant begins and its image variant goes on with, both of small limits, so that a
long clip is short. As a program, one of each length with weights that may be fetched: `python -m
tests.engine.continued_clips WEIGHTS_DIR` prints for each, as JSON, how many frames it has, which variant made the last
of them, and whether the image variant's weights were there at the first step."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.engine import making
from tests.watches import watch_that
from videoworker.canvas import Frames
from videoworker.engine.engine import Engine
from videoworker.models import VARIANTS
from videoworker.models.hunyuanvideo_1_5 import HUNYUANVIDEO_1_5, HUNYUANVIDEO_1_5_720P_I2V
from videoworker.planning.plan import make_plan
from videoworker.request import Progress, VideoRequest
from videoworker.settings import Settings
from videoworker.watch import Watch

NAME, SIDE, MOST = "hunyuanvideo-1.5", 32, 9
TEXT, IMAGE = (
    replace(model, max_frames=MOST, min_side=SIDE) for model in (HUNYUANVIDEO_1_5, HUNYUANVIDEO_1_5_720P_I2V)
)


def frames(engine: Engine, num_frames: int, watch: Watch | None = None) -> Frames:
    request = VideoRequest(
        "native", making.PROMPT, model=NAME, num_frames=num_frames, width=SIDE, height=SIDE, num_inference_steps=2
    )
    plan = make_plan(request, engine.survey())
    assert plan.model is TEXT
    return np.stack(list(making.frames(engine, plan, watch=watch)))


def main(weights_dir: str) -> None:
    VARIANTS[NAME] = (TEXT, IMAGE)
    engine = Engine(Settings(weights_dir=Path(weights_dir), allow_download=True))
    for num_frames in (MOST, MOST + 5):
        there: list[bool] = []

        def report(progress: Progress, there: list[bool] = there) -> None:
            if progress.stage == "denoise":
                there.append((Path(weights_dir) / IMAGE.checkpoint.folder / "model_index.json").is_file())

        made = frames(engine, num_frames, watch_that(report))
        print(json.dumps([len(made), engine.loaded and engine.loaded.variant, there[0]]))


if __name__ == "__main__":
    main(*sys.argv[1:])
