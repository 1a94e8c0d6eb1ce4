"""Clips that a text variant begins and the family's image variant goes on with."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from diffusers.models.autoencoders.autoencoder_kl_hunyuanvideo15 import HunyuanVideo15Encoder3D
from numpy.typing import NDArray

from builder.tiny import hunyuanvideo_1_5
from tests.engine.pictures_shown import Picture, pictures_shown
from tests.engine.watches import watch_that
from videoworker.engine.engine import Engine, Timings
from videoworker.errors import Code, JobError
from videoworker.models import VARIANTS
from videoworker.models.declaration import Model
from videoworker.models.hunyuanvideo import HUNYUANVIDEO_1_5, HUNYUANVIDEO_1_5_720P_I2V
from videoworker.request import VideoRequest
from videoworker.settings import Settings

NAME, SIDE = "hunyuanvideo-1.5", 32
# Of small limits, so that a long clip is short.
TEXT, IMAGE = (replace(model, max_frames=9, min_side=SIDE) for model in (HUNYUANVIDEO_1_5, HUNYUANVIDEO_1_5_720P_I2V))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the weights of the text variant are."""
    monkeypatch.setitem(VARIANTS, NAME, (TEXT, IMAGE))
    hunyuanvideo_1_5.save(tmp_path / TEXT.folder, TEXT.variant)
    return tmp_path


@pytest.fixture
def shown() -> Iterator[list[Picture]]:
    with pictures_shown(HunyuanVideo15Encoder3D) as pictures:
        yield pictures


def frames(engine: Engine, num_frames: int) -> NDArray[np.uint8]:
    request = VideoRequest("native", "a red circle", num_frames=num_frames, width=SIDE, height=SIDE)
    request = replace(request, num_inference_steps=2)
    engine.load(NAME, request)
    assert engine.model is TEXT
    made = engine.generate(engine.plan(request, TEXT), "a red circle", "", None, 7, watch_that(), Timings(), [])
    return np.stack(list(made))


def test_the_image_variant_goes_on_from_the_last_frame_and_the_next_job_begins_with_the_text_variant(
    folder: Path, shown: list[Picture]
) -> None:
    engine = Engine(Settings(weights_dir=folder))
    short = frames(engine, 9)
    assert shown == []
    with pytest.raises(JobError) as caught:
        frames(engine, 14)
    assert caught.value.code is Code.INVALID_FIELD

    hunyuanvideo_1_5.save(folder / IMAGE.folder, IMAGE.variant)
    long = frames(engine, 14)
    assert engine.model is IMAGE
    assert len(long) == 14 and (long[:9] == short).all()
    (first,) = shown
    assert np.abs(first - long[8]).max() < 1  # bfloat16 holds eight bits
    assert (frames(engine, 9) == short).all()


def test_the_image_variant_is_fetched_before_the_first_part_where_that_is_allowed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(model: Model, to: Path) -> Path:
        fetched.append(model)
        hunyuanvideo_1_5.save(to / model.folder, model.variant)
        return to / model.folder

    fetched: list[Model] = []
    monkeypatch.setattr("videoworker.engine.weights.fetch", fetch)
    engine = Engine(Settings(weights_dir=folder, allow_download=True))
    frames(engine, 9)
    assert fetched == []
    assert len(frames(engine, 14)) == 14
    assert fetched == [IMAGE] and engine.model is IMAGE
