"""The making of `sketch`, from nothing to files that the worker loads, at a few steps."""

from pathlib import Path

import pytest
import torch

from builder.sketch import networks, text_stage
from builder.train_sketch import Stage, main
from videoworker.engine.engine import Engine
from videoworker.settings import Settings

STEPS = {
    "text_steps": 2,
    "autoencoder_steps": 3,
    "joint_steps": 2,
    "transformer_steps": 2,
    "small_steps": 1,
    "batch": 1,
    "new_clips": 0.0,
    "device": "cpu",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    main(folder=folder / "build", weights=folder / "weights" / "sketch", stage=Stage.ALL, seed=0, **STEPS)
    return folder


def test_what_is_made_is_loaded_by_the_engine(made: Path) -> None:
    engine = Engine(Settings(weights_dir=made / "weights"))
    engine.load("sketch")
    assert engine.model is not None


def test_the_files_are_small_enough_for_the_repository(made: Path) -> None:
    files = [file for file in (made / "weights").rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= 32_000_000
    assert {file.suffix for file in files} <= {".safetensors", ".json"}


def test_a_stage_goes_on_where_it_stopped(made: Path) -> None:
    tokenizer = networks.tokenizer()
    model = networks.text_encoder(len(tokenizer))
    steps = [step for step, _ in text_stage.train(tokenizer, model, made / "build", 4, "cpu", 0)]
    assert steps == [2, 3]


def test_the_same_seed_gives_the_same_losses(tmp_path: Path) -> None:
    def losses(folder: Path) -> list[float]:
        torch.manual_seed(5)
        tokenizer = networks.tokenizer()
        model = networks.text_encoder(len(tokenizer))
        return [values["loss"] for _, values in text_stage.train(tokenizer, model, folder, 2, "cpu", 0)]

    assert losses(tmp_path / "once") == pytest.approx(losses(tmp_path / "again"), rel=1e-5)
