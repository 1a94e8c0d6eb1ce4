"""The making of `sketch-foley`, from nothing to files that the worker makes a sound with, at a few steps."""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
import pytest
import torch

from builder.sketch_foley import networks, text_stage
from tests.families.running import CPU
from tests.handler_process import ROOT
from tests.watches import watch_that
from videoworker.families import family_of_sound
from videoworker.families.sound_family import Footage, Wanted, waveform
from videoworker.models.sampling import Sampling
from videoworker.models.sketch_foley import SKETCH_FOLEY
from videoworker.sampling.reader import Reader
from videoworker.weights.verify import verify

STEPS = "--text-steps 2 --picture-steps 1 --motion-steps 1 --shards 1 --takes 2 --transformer-steps 2"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    command = [sys.executable, "-m", "builder.train_sketch_foley", *STEPS.split()]
    command += ["--folder", str(folder / "build"), "--weights", str(folder / "weights")]
    subprocess.run(command, cwd=ROOT, check=True, timeout=600)
    return folder


def test_what_is_made_makes_a_sound(made: Path) -> None:
    verify(SKETCH_FOLEY.checkpoint, made / "weights")
    reader = Reader(made / "weights", CPU, {one.name: torch.float32 for one in SKETCH_FOLEY.checkpoint.components})
    family, footage = family_of_sound(SKETCH_FOLEY.family), Footage(6, Fraction(12))
    with TemporaryFile() as file:
        viewer = family.view(reader, footage, file)
        for _ in range(footage.num_frames):
            viewer.see(np.zeros((64, 64, 3), np.uint8))
        wanted = Wanted(footage, ("", "a bell"), Sampling(2, 1.0), 0)
        samples = waveform(family, lambda part: family.load(reader, part), viewer, wanted, watch_that())
    assert samples.shape == (1, 24_000) and samples.std() > 0


def test_the_files_are_small_enough_for_the_repository(made: Path) -> None:
    files = [file for file in (made / "weights").rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= 24_000_000
    assert {file.suffix for file in files} <= {".safetensors", ".json"}


def test_a_stage_goes_on_where_it_stopped(made: Path) -> None:
    tokenizer = networks.tokenizer()
    model = networks.text_encoder(len(tokenizer))
    steps = [step for step, _ in text_stage.train(tokenizer, model, made / "build", 4, 0)]
    assert steps == [2, 3]
