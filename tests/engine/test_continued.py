"""Clips that a text variant begins and the family's image variant goes on with."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from diffusers.models.autoencoders.autoencoder_kl_hunyuanvideo15 import HunyuanVideo15Encoder3D

from builder.tiny import hunyuanvideo_1_5
from tests.commands.hub import serving
from tests.engine.continued_clips import IMAGE, MOST, NAME, TEXT, frames
from tests.engine.pictures_shown import Picture, pictures_shown
from tests.handler_process import ROOT, environment
from videoworker.engine.engine import Engine
from videoworker.errors import Code, JobError
from videoworker.models import VARIANTS
from videoworker.settings import Settings


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the weights of the text variant are."""
    monkeypatch.setitem(VARIANTS, NAME, (TEXT, IMAGE))
    hunyuanvideo_1_5.save(tmp_path / TEXT.checkpoint.folder, TEXT.variant)
    return tmp_path


@pytest.fixture
def shown() -> Iterator[list[Picture]]:
    with pictures_shown(HunyuanVideo15Encoder3D) as pictures:
        yield pictures


def test_the_image_variant_goes_on_from_the_last_frame_and_the_next_job_begins_with_the_text_variant(
    folder: Path, shown: list[Picture]
) -> None:
    engine = Engine(Settings(weights_dir=folder))
    short = frames(engine, 9)
    assert shown == []
    with pytest.raises(JobError) as caught:
        frames(engine, 14)
    assert caught.value.code is Code.INVALID_FIELD

    hunyuanvideo_1_5.save(folder / IMAGE.checkpoint.folder, IMAGE.variant)
    long = frames(engine, 14)
    assert engine.loaded == IMAGE.checkpoint
    assert len(long) == 14 and (long[:9] == short).all()
    (first,) = shown
    assert np.abs(first - long[8]).max() < 1  # bfloat16 holds eight bits
    assert (frames(engine, 9) == short).all()


def test_the_image_variant_is_fetched_before_the_first_segment_if_that_is_allowed(folder: Path, tmp_path: Path) -> None:
    hunyuanvideo_1_5.save(tmp_path / "repository", IMAGE.variant)
    with serving({IMAGE.checkpoint.repository: tmp_path / "repository"}) as hub:
        command = [sys.executable, "-m", "tests.engine.continued_clips", str(folder)]
        ran = subprocess.run(
            command, cwd=ROOT, env=environment(HF_ENDPOINT=hub.url), capture_output=True, text=True, timeout=300
        )
        assert ran.returncode == 0, ran.stderr
        made = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("[")]
    assert made == [[MOST, TEXT.variant, False], [MOST + 5, IMAGE.variant, True]]
    assert hub.sent
