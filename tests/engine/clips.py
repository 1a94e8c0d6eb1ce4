"""The shortest clip of any family, made by an engine on small checkpoints; as a program, of several in a new process:
`python -m tests.engine.clips WEIGHTS_DIR FOLDER MODEL...` writes FOLDER/MODEL.npy."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.engine.making import NEGATIVE, PROMPT, frames, loaded
from videoworker.canvas import Picture
from videoworker.engine.engine import Engine
from videoworker.models import MODELS
from videoworker.planning.plan import plan_clip
from videoworker.request import VideoRequest
from videoworker.settings import Settings
from videoworker.watch import Watch

STEPS = 3


def clip(engine: Engine, name: str, watch: Watch | None = None, **asked: Any) -> Iterator[Picture]:
    """Frames [height, width, 3] of the model's shortest clip, unless something else is asked for."""
    side = 2 * MODELS[name].grid
    model = replace(MODELS[name], min_side=side)  # smaller than real networks make anything of
    asked = {"width": side, "height": side, "num_frames": model.min_frames, "num_inference_steps": STEPS} | asked
    request = VideoRequest(api="native", prompt=PROMPT, negative_prompt=NEGATIVE, **asked)
    return frames(engine, plan_clip(request, model), watch=watch)


def main(weights_dir: str, folder: str, *names: str) -> None:
    for name in names:
        engine = loaded(name, Settings(weights_dir=Path(weights_dir)))
        np.save(Path(folder) / f"{name}.npy", np.stack(list(clip(engine, name))))


if __name__ == "__main__":
    main(*sys.argv[1:])
