"""The making of `sketch`, from nothing to files that the worker loads, at a few steps."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from builder.sketch import networks, text_stage
from tests.forks import Forks
from tests.handler_process import ROOT
from videoworker.engine.engine import Engine
from videoworker.models.sketch import SKETCH
from videoworker.settings import Settings
from videoworker.watch import Watch

STEPS = "--text-steps 2 --autoencoder-steps 2 --joint-steps 1 --transformer-steps 1 --batch 1 --new-clips 0"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, forks: Forks) -> Path:
    folder = tmp_path_factory.mktemp("made")
    options = [*STEPS.split(), "--folder", str(folder / "build"), "--weights", str(folder / "weights" / "sketch")]
    ran = forks.run_module("builder.train_sketch", ROOT, *options)
    assert ran.returncode == 0, ran.stderr
    return folder


def test_what_is_made_is_loaded_by_the_engine(made: Path) -> None:
    engine = Engine(Settings(weights_dir=made / "weights"))
    engine.load(SKETCH, Watch("start", lambda _: None, float("inf")))
    assert engine.loaded == SKETCH.checkpoint


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


def test_training_goes_on_from_the_transformer_that_ships(tmp_path: Path, forks: Forks) -> None:
    options = ["--stage", "transformer", "--go-on", "--batch", "1", "--transformer-steps", "1"]
    ran = forks.run_module("builder.train_sketch", ROOT, *options, "--folder", str(tmp_path))
    assert ran.returncode == 0, ran.stderr
    kept = load_file(ROOT / "weights" / "sketch" / "transformer" / "diffusion_pytorch_model.safetensors")
    trained = torch.load(tmp_path / "transformer.pt", weights_only=True)["model"]
    assert kept.keys() == trained.keys()
    change = max(float((trained[name] - kept[name].float()).abs().max()) for name in kept)
    assert 0 < change < 0.01  # one step's worth
