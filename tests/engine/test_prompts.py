"""The engine's memory of prompts, with real text encoders: the same words are encoded once, anything new anew."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn.modules.module import register_module_forward_hook
from transformers import Qwen2_5_VLTextModel, T5EncoderModel

from builder.tiny import hunyuanvideo_1_5
from tests.watches import watch_that
from videoworker.engine.engine import Engine, Timings
from videoworker.models.cogvideox import SKETCH
from videoworker.models.declaration import Model
from videoworker.models.hunyuanvideo import HUNYUANVIDEO_1_5_480P_I2V
from videoworker.models.plan import Part, Plan, Sampling
from videoworker.models.sizes import Canvas
from videoworker.request import VideoRequest
from videoworker.settings import Settings

Clip = NDArray[np.uint8]
ONE_PART = (Part(5, 0, 5),)


@pytest.fixture
def encoded() -> Iterator[list[torch.nn.Module]]:
    """The text encoders that ran, call by call."""
    calls: list[torch.nn.Module] = []

    def note(module: torch.nn.Module, inputs: object, output: object) -> None:
        if isinstance(module, T5EncoderModel | Qwen2_5_VLTextModel):
            calls.append(module)

    handle = register_module_forward_hook(note)
    yield calls
    handle.remove()


def made(
    engine: Engine,
    prompt: str = "a red circle",
    negative: str | None = None,
    image: Clip | None = None,
    parts: tuple[Part, ...] = ONE_PART,
    model: Model = SKETCH,
) -> Clip:
    sampling = Sampling(1, 1.0 if negative is None else 3.0)
    plan = Plan(model, Canvas(64, 64, 64, 64, 0, 0, 64, 64), 5, 12, parts, sampling, ())
    return np.stack(list(engine.generate(plan, prompt, negative or "", image, 1, watch_that(), Timings(), [])))


def picture(seed: int) -> Clip:
    return np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8)


def test_the_same_words_are_encoded_once_and_make_the_same_clip(tiny: Settings, encoded: list[torch.nn.Module]) -> None:
    engine = Engine(tiny)
    engine.load("sketch")
    first = made(engine, negative="blue")
    assert len(encoded) == 1  # both prompts at once
    other = made(engine, "another", negative="blue")
    made(engine, negative="dark")
    made(engine)
    assert len(encoded) == 4
    assert np.array_equal(made(engine, negative="blue"), first)
    assert np.array_equal(made(engine, "another", negative="blue"), other)
    made(engine, image=picture(1))  # which this family does not describe
    assert len(encoded) == 4

    fresh = Engine(tiny)
    fresh.load("sketch")
    assert np.array_equal(made(fresh, negative="blue"), first)
    assert len(encoded) == 5


def test_a_picture_that_is_described_is_part_of_what_is_remembered(
    tmp_path: Path, tiny: Settings, encoded: list[torch.nn.Module]
) -> None:
    hunyuanvideo_1_5.save(tmp_path / HUNYUANVIDEO_1_5_480P_I2V.folder, "480p-i2v")
    engine = Engine(tiny.model_copy(update={"weights_dir": tmp_path}))
    engine.load("hunyuanvideo-1.5", VideoRequest(api="native", prompt="", image="a picture"))
    words = [len(encoded)]
    for image in (picture(1), picture(2), picture(1)):
        made(engine, image=image, model=HUNYUANVIDEO_1_5_480P_I2V)
        words.append(len(encoded))
    assert words == [0, 1, 2, 2]
    two = (Part(5, 0, 5), Part(5, 1, 4))
    assert len(made(engine, image=picture(1), parts=two, model=HUNYUANVIDEO_1_5_480P_I2V)) == 9
    assert len(encoded) == 3  # the second part is described by the frame that it continues from
