"""Clips that a text variant begins and the model's image variant goes on with."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from diffusers.models.autoencoders.autoencoder_kl_hunyuanvideo15 import HunyuanVideo15Encoder3D

from builder.tiny import hunyuanvideo_1_5
from tests.commands.hub import Hub, serving
from tests.engine.continued_clips import IMAGE, LONGER, MOST, NAME, TEXT, frames, request_for
from tests.engine.pictures_shown import Picture, pictures_shown
from tests.watches import watch_that
from videoworker.engine.engine import Engine
from videoworker.errors import Code, JobError
from videoworker.models import VARIANTS
from videoworker.models.checkpoint import Checkpoint
from videoworker.planning.plan import make_plan
from videoworker.request import Progress
from videoworker.settings import Settings
from videoworker.watch import Watch
from videoworker.weights import find
from videoworker.weights.places import Found, locate


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the weights of the text variant are."""
    monkeypatch.setitem(VARIANTS, NAME, (TEXT, IMAGE))
    hunyuanvideo_1_5.save(tmp_path / "weights" / TEXT.checkpoint.folder, TEXT.variant)
    return tmp_path / "weights"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Where the weights of the image variant are to be had."""
    hunyuanvideo_1_5.save(tmp_path / "repository", IMAGE.variant)
    with serving({IMAGE.checkpoint.repository: tmp_path / "repository"}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


@pytest.fixture
def shown() -> Iterator[list[Picture]]:
    with pictures_shown(HunyuanVideo15Encoder3D) as pictures:
        yield pictures


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> Counter[Checkpoint]:
    """How often each checkpoint was looked for on this machine."""
    counts = Counter[Checkpoint]()

    def counted(checkpoint: Checkpoint, settings: Settings) -> Found | None:
        counts[checkpoint] += 1
        return locate(checkpoint, settings)

    monkeypatch.setattr(find, "locate", counted)
    return counts


def test_image_variant_goes_on(folder: Path, shown: list[Picture]) -> None:
    """It continues from the last frame, and the next job begins with the text variant."""
    engine = Engine(Settings(weights_dir=folder))
    short = frames(engine, MOST)
    assert shown == []
    with pytest.raises(JobError) as caught:
        frames(engine, LONGER)
    assert caught.value.code is Code.INVALID_FIELD

    hunyuanvideo_1_5.save(folder / IMAGE.checkpoint.folder, IMAGE.variant)
    long = frames(engine, LONGER)
    assert engine.loaded == IMAGE.checkpoint
    assert len(long) == LONGER and (long[:MOST] == short).all()
    (first,) = shown
    assert np.abs(first - long[MOST - 1]).max() < 1  # bfloat16 holds eight bits
    assert (frames(engine, MOST) == short).all()


def test_places_are_searched_once(folder: Path, looked: Counter[Checkpoint]) -> None:
    """A job looks once for each checkpoint that is not loaded, although its clip takes two and both are loaded."""
    hunyuanvideo_1_5.save(folder / IMAGE.checkpoint.folder, IMAGE.variant)
    engine = Engine(Settings(weights_dir=folder))
    frames(engine, LONGER)
    assert looked == {TEXT.checkpoint: 1, IMAGE.checkpoint: 1}
    assert engine.loaded == IMAGE.checkpoint

    looked.clear()
    frames(engine, MOST)
    assert looked == {TEXT.checkpoint: 1}
    assert engine.loaded == TEXT.checkpoint


def test_image_variant_is_fetched_first(folder: Path, hub: Hub, looked: Counter[Checkpoint]) -> None:
    """It is fetched only if the clip needs it, and then before minutes go into the first segment."""
    engine = Engine(Settings(weights_dir=folder, allow_download=True, accept_tencent_license=True))
    here = folder / IMAGE.checkpoint.folder / "model_index.json"
    frames(engine, MOST)
    assert hub.sent == [] and not here.exists()

    there: list[bool] = []

    def report(progress: Progress) -> None:
        if progress.stage == "denoise":
            there.append(here.is_file())

    looked.clear()
    assert len(frames(engine, LONGER, watch_that(report))) == LONGER
    assert hub.sent and there[0]
    assert engine.loaded == IMAGE.checkpoint
    assert looked == {IMAGE.checkpoint: 1}


def test_its_licence_is_not_accepted(folder: Path, hub: Hub) -> None:
    """The job is refused before anything comes or is made."""
    engine = Engine(Settings(weights_dir=folder, allow_download=True))
    with pytest.raises(JobError) as caught:
        frames(engine, LONGER, watch_that(lambda progress: pytest.fail(progress.stage)))
    assert (caught.value.code, caught.value.message) == (Code.MODEL_NOT_LOADED, IMAGE.checkpoint.refusal)
    assert hub.sent == []


def test_cancel_while_it_is_fetched(folder: Path, hub: Hub) -> None:
    """The job ends before its first step. What has to come still comes with the next job."""
    engine = Engine(Settings(weights_dir=folder, allow_download=True, accept_tencent_license=True))
    reports: list[Progress] = []

    def clock() -> float:
        if hub.reached.is_set():
            watch.cancel.set()
        return 0.0

    hub.held.add("model_index.json")
    watch = Watch("a", reports.append, 1000.0, clock)
    with pytest.raises(JobError) as caught:
        frames(engine, LONGER, watch)
    assert caught.value.code is Code.CANCELLED
    assert reports == []
    assert not (folder / IMAGE.checkpoint.folder).exists()

    hub.released.set()
    engine.prepare(make_plan(request_for(LONGER), engine.survey()), watch_that())
    assert (folder / IMAGE.checkpoint.folder / "model_index.json").is_file()
