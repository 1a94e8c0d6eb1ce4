"""The weights that ship: the same seed, request and model give the same frames."""

import numpy as np
import pytest
from numpy.typing import NDArray

from videoworker.engine.engine import Engine, Timings
from videoworker.models.cogvideox import SKETCH
from videoworker.models.plan import make_plan
from videoworker.request import Progress, VideoRequest
from videoworker.settings import Settings
from videoworker.watch import Watch

REQUEST = VideoRequest(
    api="native",
    prompt="a red circle moving right on a blue background",
    negative_prompt="a green square",
    width=192,
    height=192,
    num_frames=27,
    num_inference_steps=2,
)


def unheard(progress: Progress) -> None:
    """Nobody asks how far these jobs are."""


def frames(engine: Engine, seed: int) -> NDArray[np.uint8]:
    """The clip, [27, 192, 192, 3]: one part and the beginning of a second, which continues it."""
    watch = Watch("a", unheard, 1000.0)
    prompts = REQUEST.prompt, REQUEST.negative_prompt or ""
    return np.stack(list(engine.generate(make_plan(REQUEST, SKETCH), *prompts, None, seed, watch, Timings(), [])))


def test_the_same_seed_gives_frames_within_one_level_also_after_other_jobs_and_a_new_load(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("WEIGHTS_DIR", raising=False)
    engine = Engine(Settings())
    engine.load("sketch")
    first = frames(engine, 42)
    other = frames(engine, 43)
    again = frames(engine, 42)
    fresh = Engine(Settings())
    fresh.load("sketch")
    anew = frames(fresh, 42)
    for same in (again, anew):
        assert np.abs(same.astype(int) - first).max() <= 1
    assert np.abs(other.astype(int) - first).max() > 10
    assert fresh.revision == engine.revision
