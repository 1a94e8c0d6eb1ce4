"""The weights that ship: the same seed, request and model give the same frames."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.engine import making
from videoworker.engine.clip import Clip
from videoworker.engine.engine import Engine
from videoworker.models.sketch import SKETCH
from videoworker.planning.plan import plan_clip
from videoworker.request import VideoRequest
from videoworker.settings import Settings

SIDE = 96  # smaller than the model shows anything at
REQUEST = VideoRequest(
    api="native",
    prompt="a red circle moving right on a blue background",
    negative_prompt="a green square",
    width=SIDE,
    height=SIDE,
    num_frames=27,
    num_inference_steps=2,
)


def frames(engine: Engine, seed: int) -> NDArray[np.uint8]:
    """The clip, [27, SIDE, SIDE, 3]: one segment and the beginning of a second, which continues it."""
    clip = Clip(REQUEST.prompt, REQUEST.negative_prompt or "", None, seed)
    return np.stack(list(making.frames(engine, plan_clip(REQUEST, replace(SKETCH, min_side=SIDE)), clip)))


def test_same_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The frames of a seed are within one level, also after other jobs and a new load."""
    monkeypatch.delenv("WEIGHTS_DIR", raising=False)
    engine = Engine(Settings())
    first = frames(engine, 42)
    other = frames(engine, 43)
    again = frames(engine, 42)
    anew = frames(Engine(Settings()), 42)
    for same in (again, anew):
        assert np.abs(same.astype(int) - first).max() <= 1
    assert np.abs(other.astype(int) - first).max() > 10
