"""A job that is stopped on its way stops within a step, and leaves nothing behind that the next one could meet."""

import math
from pathlib import Path

import numpy as np
import pytest

from builder.make_tiny import FAMILIES
from tests.engine.clips import STEPS, clip
from tests.engine.making import loaded
from tests.forks import Forks
from tests.handler_process import ROOT
from videoworker.engine.engine import Engine
from videoworker.errors import Code, JobError
from videoworker.models import MODELS
from videoworker.request import Progress, Stage
from videoworker.settings import Settings
from videoworker.watch import Watch

WITH_A_SAMPLER = list(FAMILIES)


@pytest.fixture(scope="module")
def weights_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small checkpoints of every family."""
    folder = tmp_path_factory.mktemp("weights")
    for family in WITH_A_SAMPLER:
        FAMILIES[family].save(folder / MODELS[family].checkpoint.folder, FAMILIES[family].VARIANTS[0])
    return folder


@pytest.fixture(scope="module")
def made_anew(weights_dir: Path, tmp_path_factory: pytest.TempPathFactory, forks: Forks) -> Path:
    """Clips of a process in which no job was ever stopped, one file per family."""
    folder = tmp_path_factory.mktemp("clips")
    ran = forks.run_module("tests.engine.clips", ROOT, str(weights_dir), str(folder), *WITH_A_SAMPLER)
    assert ran.returncode == 0, ran.stderr
    return folder


def stop(engine: Engine, family: str, stage: Stage, step: int, code: Code) -> None:
    """Runs a job of another length, which is cancelled or has no more time as soon as it reports `step` of `stage`."""
    reached: list[Progress] = []

    def report(progress: Progress) -> None:
        if reached or (progress.stage == stage and progress.step >= step):
            reached.append(progress)
            if code is Code.CANCELLED:
                watch.cancel.set()

    def clock() -> float:
        return math.inf if reached and code is Code.GENERATION_TIMEOUT else 0.0

    watch = Watch("a", report, 1000.0, clock)
    longer = MODELS[family].min_frames + MODELS[family].frame_step
    with pytest.raises(JobError) as caught:
        list(clip(engine, family, watch, num_frames=longer, num_inference_steps=STEPS + 1))
    assert caught.value.code is code
    assert len(reached) == 1  # nothing was done after it


@pytest.mark.parametrize("family", WITH_A_SAMPLER)
def test_after_stopped_jobs_the_next_clip_is_that_of_a_new_process(
    weights_dir: Path, made_anew: Path, family: str
) -> None:
    engine = loaded(family, Settings(weights_dir=weights_dir))
    stop(engine, family, "denoise", 2, Code.CANCELLED)
    stop(engine, family, "denoise", 3, Code.GENERATION_TIMEOUT)
    stop(engine, family, "decode", 1, Code.CANCELLED)
    after = np.stack(list(clip(engine, family))).astype(int)
    assert np.abs(after - np.load(made_anew / f"{family}.npy")).max() <= 1
