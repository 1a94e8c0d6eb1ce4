"""Which of a model's installed variants the engine loads for which request, and what it says of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.watches import watch_that
from videoworker.engine.engine import Engine
from videoworker.errors import Code, JobError
from videoworker.models.cogvideox import COGVIDEOX, COGVIDEOX_5B, COGVIDEOX_5B_I2V
from videoworker.models.video_model import VideoModel
from videoworker.request import VideoRequest
from videoworker.settings import Settings

TEXT = VideoRequest(api="native", prompt="a cat")
IMAGE = VideoRequest(api="native", prompt="a cat", image="x")

Installed = Callable[..., Engine]


@pytest.fixture
def installed(cogvideox_checkpoint: Callable[[str], Path], tmp_path: Path) -> Installed:
    """An engine for which these variants are installed."""

    def made(*models: VideoModel) -> Engine:
        for model in models:
            (tmp_path / model.checkpoint.folder).symlink_to(cogvideox_checkpoint(model.variant))
        return Engine(Settings(weights_dir=tmp_path))

    return made


def load(engine: Engine, request: VideoRequest | None = None) -> None:
    engine.load(engine.survey().variant_for("cogvideox", request), watch_that())


def test_variant_for_a_request(installed: Installed) -> None:
    """Each request is served by the variant that takes it."""
    engine = installed(COGVIDEOX_5B, COGVIDEOX_5B_I2V)
    for request, model in ((TEXT, COGVIDEOX_5B), (IMAGE, COGVIDEOX_5B_I2V), (TEXT, COGVIDEOX_5B)):
        load(engine, request)
        assert engine.loaded == model.checkpoint


def test_absent_image_variant(installed: Installed) -> None:
    """An image without the variant that takes it: the error names the one to fetch."""
    engine = installed(COGVIDEOX)
    load(engine)
    with pytest.raises(JobError) as caught:
        load(engine, IMAGE)
    assert caught.value.code is Code.MODEL_NOT_LOADED
    assert caught.value.message == (
        "The weights of cogvideox 5b-i2v are not installed. To fetch them (CogVideoX): "
        "videoworker fetch cogvideox --variant 5b-i2v"
    )
    assert engine.loaded == COGVIDEOX.checkpoint


def test_image_variant_alone(installed: Installed) -> None:
    """A start loads what is installed, also if it is only for images."""
    engine = installed(COGVIDEOX_5B_I2V)
    load(engine)
    assert engine.loaded == COGVIDEOX_5B_I2V.checkpoint


def test_damaged_variant_that_is_not_used(installed: Installed, tmp_path: Path) -> None:
    """A damaged variant keeps none of the model's others from being loaded; asked for, it is refused by its name."""
    engine = installed(COGVIDEOX_5B)
    damaged = tmp_path / COGVIDEOX_5B_I2V.checkpoint.folder
    (damaged / "transformer").mkdir(parents=True)
    (damaged / "model_index.json").write_text("{}")
    load(engine, TEXT)
    assert engine.loaded == COGVIDEOX_5B.checkpoint
    with pytest.raises(JobError, match="The weights of cogvideox 5b-i2v are not whole"):
        load(engine, IMAGE)
    assert engine.loaded == COGVIDEOX_5B.checkpoint


def test_log_of_a_load(installed: Installed) -> None:
    """The place, the licence and what it restricts are logged once per load."""
    engine = installed(COGVIDEOX_5B)
    with capture_logs() as logs:
        for _ in range(2):
            load(engine)
    found: list[Any] = [line for line in logs if line["event"] == "weights found"]
    read: list[Any] = [line for line in logs if line["event"] == "weights loaded"]
    notes = COGVIDEOX_5B.checkpoint.notes
    assert [(line["place"], line["variant"]) for line in found] == [("WEIGHTS_DIR", "5b")]
    assert [(line["licence"], line["restrictions"]) for line in read] == [("CogVideoX", notes)]
    assert "registration" in notes[0]
