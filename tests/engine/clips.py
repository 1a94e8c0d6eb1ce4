"""The shortest clip of any family, made by an engine on small checkpoints; as a program, of several in a new process:
`python -m tests.engine.clips WEIGHTS_DIR FOLDER FAMILY...` writes FOLDER/FAMILY.npy."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.watches import watch_that
from videoworker.engine.engine import Engine, Timings
from videoworker.models import MODELS
from videoworker.models.plan import make_plan
from videoworker.request import VideoRequest
from videoworker.settings import Settings
from videoworker.watch import Watch

STEPS = 3


def loaded(family: str, weights_dir: Path) -> Engine:
    engine = Engine(Settings(weights_dir=weights_dir))
    engine.load(family)
    return engine


def clip(engine: Engine, family: str, watch: Watch | None = None, **asked: Any) -> Iterator[NDArray[np.uint8]]:
    """Frames [height, width, 3] of the family's shortest clip, unless something else is asked for."""
    side = 2 * MODELS[family].grid
    model = replace(MODELS[family], min_side=side)  # smaller than real networks make anything of
    asked = {"width": side, "height": side, "num_frames": model.min_frames, "num_inference_steps": STEPS} | asked
    request = VideoRequest(api="native", prompt="a red circle", negative_prompt="a blue square", **asked)
    prompts = request.prompt, request.negative_prompt or ""
    plan = make_plan(request, model)
    return engine.generate(plan, *prompts, None, 7, watch or watch_that(), Timings(), [])


def main(weights_dir: str, folder: str, *families: str) -> None:
    for family in families:
        frames = np.stack(list(clip(loaded(family, Path(weights_dir)), family)))
        np.save(Path(folder) / f"{family}.npy", frames)


if __name__ == "__main__":
    main(*sys.argv[1:])
