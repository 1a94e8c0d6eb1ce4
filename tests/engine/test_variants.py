"""Which of a model's installed variants the engine loads for which request, and what it says of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from structlog.testing import capture_logs

from videoworker.engine.engine import Engine
from videoworker.errors import Code, JobError
from videoworker.models.cogvideox import COGVIDEOX, COGVIDEOX_5B, COGVIDEOX_5B_I2V
from videoworker.models.declaration import Model
from videoworker.request import VideoRequest
from videoworker.settings import Settings

TEXT = VideoRequest(api="native", prompt="a cat")
IMAGE = VideoRequest(api="native", prompt="a cat", image="x")

Installed = Callable[..., Engine]


@pytest.fixture
def installed(cogvideox_checkpoint: Callable[[str], Path], tmp_path: Path) -> Installed:
    """An engine for which these variants are installed."""

    def made(*models: Model) -> Engine:
        for model in models:
            (tmp_path / model.folder).symlink_to(cogvideox_checkpoint(model.variant))
        return Engine(Settings(weights_dir=tmp_path))

    return made


def test_each_request_is_served_by_the_variant_that_takes_it(installed: Installed) -> None:
    engine = installed(COGVIDEOX_5B, COGVIDEOX_5B_I2V)
    for request, model in ((TEXT, COGVIDEOX_5B), (IMAGE, COGVIDEOX_5B_I2V), (TEXT, COGVIDEOX_5B)):
        engine.load("cogvideox", request)
        assert engine.model is model


def test_an_image_without_the_variant_that_takes_it_names_the_one_to_fetch(installed: Installed) -> None:
    engine = installed(COGVIDEOX)
    engine.load("cogvideox")
    with pytest.raises(JobError) as caught:
        engine.load("cogvideox", IMAGE)
    assert caught.value.code is Code.MODEL_NOT_LOADED
    assert caught.value.message == (
        "The weights of cogvideox 5b-i2v are not installed. To fetch them (CogVideoX): "
        "videoworker fetch cogvideox --variant 5b-i2v"
    )
    assert engine.model is COGVIDEOX


def test_a_start_loads_what_is_installed_also_where_it_is_only_for_images(
    installed: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = installed(COGVIDEOX_5B_I2V)
    engine.load("cogvideox")
    assert engine.model is COGVIDEOX_5B_I2V
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert engine.best_installed() == "cogvideox"


def test_the_place_the_licence_and_what_it_restricts_are_logged_once_per_load(installed: Installed) -> None:
    engine = installed(COGVIDEOX_5B)
    with capture_logs() as logs:
        for _ in range(2):
            engine.load("cogvideox")
    found: list[Any] = [line for line in logs if line["event"] == "weights found"]
    loaded: list[Any] = [line for line in logs if line["event"] == "weights loaded"]
    assert [(line["place"], line["variant"]) for line in found] == [("WEIGHTS_DIR", "5b")]
    assert [(line["licence"], line["restrictions"]) for line in loaded] == [("CogVideoX", COGVIDEOX_5B.notes)]
    assert "registration" in COGVIDEOX_5B.notes[0]
