"""The engine's memory of prompts, with real text encoders: the same words are encoded once, anything new anew."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.modules.module import register_module_forward_hook
from transformers import Qwen2_5_VLTextModel, T5EncoderModel

from builder.tiny import hunyuanvideo_1_5
from tests.engine.making import frames
from videoworker.canvas import Canvas, Frames, Picture
from videoworker.engine.clip import Clip
from videoworker.engine.engine import Engine
from videoworker.models.hunyuanvideo_1_5 import HUNYUANVIDEO_1_5_480P_I2V
from videoworker.models.sampling import Sampling
from videoworker.models.sketch import SKETCH
from videoworker.models.video_model import VideoModel
from videoworker.planning.plan import Plan, Segment
from videoworker.settings import Settings

ONE_SEGMENT = (Segment(5, 0, 5),)


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
    image: Picture | None = None,
    segments: tuple[Segment, ...] = ONE_SEGMENT,
    model: VideoModel = SKETCH,
) -> Frames:
    sampling = Sampling(1, 1.0 if negative is None else 3.0)
    plan = Plan(model, Canvas.whole(64, 64), 5, 12, segments, sampling, ())
    return np.stack(list(frames(engine, plan, Clip(prompt, negative or "", image, 1))))


def picture(seed: int) -> Picture:
    return np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8)


def test_the_same_words_are_encoded_once_and_make_the_same_clip(tiny: Settings, encoded: list[torch.nn.Module]) -> None:
    engine = Engine(tiny)
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
    assert np.array_equal(made(fresh, negative="blue"), first)
    assert len(encoded) == 5


def test_a_picture_that_is_described_is_part_of_what_is_remembered(
    tmp_path: Path, tiny: Settings, encoded: list[torch.nn.Module]
) -> None:
    hunyuanvideo_1_5.save(tmp_path / HUNYUANVIDEO_1_5_480P_I2V.checkpoint.folder, "480p-i2v")
    engine = Engine(tiny.model_copy(update={"weights_dir": tmp_path}))
    words = [len(encoded)]
    for image in (picture(1), picture(2), picture(1)):
        made(engine, image=image, model=HUNYUANVIDEO_1_5_480P_I2V)
        words.append(len(encoded))
    assert words == [0, 1, 2, 2]
    two = (Segment(5, 0, 5), Segment(5, 1, 4))
    assert len(made(engine, image=picture(1), segments=two, model=HUNYUANVIDEO_1_5_480P_I2V)) == 9
    assert len(encoded) == 3  # the second segment is described by the frame that it continues from
