"""Clips that are brought to a larger size: by the real handler, and what the engine does on the way."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import av
import numpy as np
import pytest
import torch
from diffusers import HunyuanVideo15Transformer3DModel
from diffusers.models.autoencoders.autoencoder_kl_hunyuanvideo15 import HunyuanVideo15Encoder3D
from torch.nn.modules.module import register_module_forward_hook

from builder.tiny import hunyuanvideo_1_5_sr
from tests.engine import making
from tests.engine.enlarged_clips import (
    ASKED,
    FRAMES,
    IMAGE,
    LARGER,
    NAME,
    SIDE,
    STEPS,
    TEXT,
    UPSCALER,
    install,
    request_for,
)
from tests.engine.pictures_shown import pictures_shown
from tests.forks import Forks
from tests.handler_process import output_of
from tests.watches import watch_that
from videoworker.canvas import Frames
from videoworker.engine.clip import Clip
from videoworker.engine.device import Device
from videoworker.engine.engine import Engine
from videoworker.errors import Code, JobError
from videoworker.models import VARIANTS
from videoworker.planning.placement import Placement, activations, declared_bytes, needed, together
from videoworker.planning.plan import make_plan
from videoworker.request import Progress
from videoworker.settings import Settings
from videoworker.watch import Watch

SR_STEPS = UPSCALER.steps
BY_SUPER_RESOLUTION = f"Scaled up by super-resolution, to {LARGER}x{LARGER} in {SR_STEPS} steps."
BY_FILTER = "Scaled up with a Lanczos filter: the weights for super-resolution are not installed."


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("weights"))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VARIANTS, NAME, (TEXT, IMAGE))


def frames(engine: Engine, watch: Watch | None = None, **asked: Any) -> Frames:
    return np.stack(list(making.frames(engine, make_plan(request_for(**asked), engine.survey()), watch=watch)))


@contextmanager
def predictions() -> Iterator[Counter[int]]:
    """How often transformers compute during the block, by the channels that go in."""
    counts = Counter[int]()

    def count(module: torch.nn.Module, _: Any, __: Any) -> None:
        if isinstance(module, HunyuanVideo15Transformer3DModel):
            counts[module.config.in_channels] += 1

    hook = register_module_forward_hook(count)
    try:
        yield counts
    finally:
        hook.remove()


@pytest.mark.needs_ffmpeg
@pytest.mark.parametrize("is_there", [True, False])
def test_handler(is_there: bool, weights: Path, tmp_path: Path, forks: Forks) -> None:
    """The answer says how the video came to its size."""
    (tmp_path / TEXT.checkpoint.folder).symlink_to(weights / TEXT.checkpoint.folder)
    if is_there:
        (tmp_path / UPSCALER.checkpoint.folder).symlink_to(weights / UPSCALER.checkpoint.folder)
    ran = forks.run_module(
        "tests.engine.enlarged_clips",
        tmp_path,
        "--test_input",
        json.dumps({"input": ASKED}),
        MODEL=NAME,
        WEIGHTS_DIR=str(tmp_path),
    )
    video = output_of(ran.stdout)["video"]
    assert (BY_SUPER_RESOLUTION in video["notes"]) is is_there
    assert any(note.startswith(BY_FILTER) for note in video["notes"]) is not is_there
    assert len(video["model_revision"].split(", ")) == (2 if is_there else 1)
    with av.open(url2pathname(urlsplit(video["url"]).path)) as file:
        pictures = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    assert [picture.shape for picture in pictures] == [(LARGER, LARGER, 3)] * FRAMES
    assert all(picture.std() > 1 for picture in pictures)


def test_courses(weights: Path) -> None:
    """Each transformer computes its own steps, which are counted as one course. A smaller clip needs no other load."""
    engine, reports = Engine(Settings(weights_dir=weights)), list[Progress]()
    with predictions() as counts:
        large = frames(engine, watch_that(reports.append))
    assert large.shape == (FRAMES, LARGER, LARGER, 3)
    assert sorted(counts.values()) == [STEPS, SR_STEPS] and counts[max(counts)] == SR_STEPS
    steps = [(report.step, report.steps) for report in reports if report.stage == "denoise"]
    assert steps == [(step, STEPS + SR_STEPS) for step in range(1, STEPS + SR_STEPS + 1)]
    fractions = [report.fraction for report in reports]
    assert fractions == sorted(fractions)

    loaded, watch = engine.loaded, watch_that()
    with predictions() as counts:
        normal = frames(engine, watch, width=SIDE, height=SIDE)
    assert normal.shape == (FRAMES, SIDE, SIDE, 3) and sum(counts.values()) == STEPS
    assert engine.loaded is loaded and "load" not in watch.timings
    assert np.array_equal(frames(engine), large)


def test_smaller_clip_is_the_same(weights: Path, tmp_path: Path) -> None:
    """The networks beside its own change nothing. A worker that has them loads them at its start."""
    (tmp_path / TEXT.checkpoint.folder).symlink_to(weights / TEXT.checkpoint.folder)
    alone, both = (Engine(Settings(weights_dir=folder)) for folder in (tmp_path, weights))
    for engine in (alone, both):
        engine.survey()
        engine.load(TEXT, watch_that())
    assert alone.loaded == TEXT.checkpoint
    assert both.loaded == TEXT.checkpoint.joined(UPSCALER.checkpoint, weights / UPSCALER.checkpoint.folder)
    made = [frames(engine, width=SIDE, height=SIDE) for engine in (alone, both)]
    assert np.array_equal(made[0], made[1])


def test_cancelled(weights: Path) -> None:
    """In the second course as in the first: after the step, and the next clip is what it would have been."""
    engine, reports = Engine(Settings(weights_dir=weights)), list[Progress]()
    whole = frames(engine)

    def report(progress: Progress) -> None:
        reports.append(progress)
        if progress.step == STEPS + 3:
            watch.cancel.set()

    watch = Watch("a", report, 1000.0)
    with pytest.raises(JobError) as caught:
        frames(engine, watch)
    assert caught.value.code is Code.CANCELLED
    assert (reports[-1].stage, reports[-1].step) == ("denoise", STEPS + 3)
    assert np.array_equal(frames(engine), whole)


def test_from_a_picture_and_longer(weights: Path) -> None:
    """Both courses know the first frame, each in its size, and the next segment goes on from the last large one."""
    picture = np.random.default_rng(0).integers(0, 256, (LARGER, LARGER, 3), np.uint8)
    engine = Engine(Settings(weights_dir=weights))
    plan = make_plan(request_for(image="x", num_frames=2 * FRAMES - 1), engine.survey())
    assert plan.model is IMAGE and len(plan.segments) == 2
    clip = Clip("a red circle", "", picture, seed=7)
    with pictures_shown(HunyuanVideo15Encoder3D) as shown, predictions() as counts:
        made = np.stack(list(making.frames(engine, plan, clip)))
    assert made.shape == (2 * FRAMES - 1, LARGER, LARGER, 3)
    assert sorted(counts.values()) == [2 * STEPS, 2 * SR_STEPS]
    assert [one.shape[0] for one in shown] == [SIDE, LARGER, SIDE, LARGER]
    assert np.abs(shown[1] - picture).max() < 1
    assert np.abs(shown[3] - made[FRAMES - 1]).max() < 1


@pytest.mark.parametrize("missing", [0, 1])
def test_memory(missing: int, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a byte is missing for the leanest placement, the clip is scaled up with a filter, and nothing is fetched."""
    engine = Engine(Settings(weights_dir=weights))
    plan = make_plan(request_for(), engine.survey())
    declared = together(*(declared_bytes(checkpoint) for checkpoint in (TEXT.checkpoint, UPSCALER.checkpoint)))
    monkeypatch.setattr(Device, "is_gpu", True)
    monkeypatch.setattr(Device, "free_bytes", needed(declared, activations(plan), Placement.FP8) - missing)
    prepared = engine.prepare(plan, watch_that())
    assert (prepared.plan.super_resolution is None) is bool(missing)
    assert (UPSCALER.checkpoint in engine._sources) is not bool(missing)
    note = "Scaled up with a Lanczos filter: super-resolution needs more GPU memory than is free."
    assert (note in prepared.plan.notes) is bool(missing)


def test_placement(weights: Path) -> None:
    """The same clip, wherever the weights lie."""
    placements = (None, Placement.ONE_DENOISER, Placement.GROUP_OFFLOAD)
    resident, *others = (frames(Engine(Settings(weights_dir=weights, placement=one))) for one in placements)
    assert all(np.array_equal(other, resident) for other in others)


def test_damaged(weights: Path, tmp_path: Path) -> None:
    """A worker starts and makes the video all the same. The note names the file, and how to fetch it."""
    (tmp_path / TEXT.checkpoint.folder).symlink_to(weights / TEXT.checkpoint.folder)
    folder = tmp_path / UPSCALER.checkpoint.folder
    hunyuanvideo_1_5_sr.save(folder, UPSCALER)
    (folder / "upsampler/1080p_sr_distilled/diffusion_pytorch_model.safetensors").unlink()
    engine = Engine(Settings(weights_dir=tmp_path))
    engine.load(TEXT, watch_that())
    assert engine.loaded == TEXT.checkpoint
    prepared = engine.prepare(make_plan(request_for(), engine.survey()), watch_that())
    assert prepared.plan.super_resolution is None and list(prepared.sources) == [TEXT.checkpoint]
    note = prepared.plan.notes[-1]
    assert note.startswith("Scaled up with a Lanczos filter: ") and "upsampler/1080p_sr_distilled" in note
    assert "videoworker fetch hunyuanvideo-1.5 --variant 1080p-sr" in note


def test_licence_is_not_accepted(weights: Path, tmp_path: Path) -> None:
    """The video is made, and nothing is fetched."""
    (tmp_path / TEXT.checkpoint.folder).symlink_to(weights / TEXT.checkpoint.folder)
    engine = Engine(Settings(weights_dir=tmp_path, allow_download=True))
    plan = make_plan(request_for(), engine.survey())
    assert plan.super_resolution is not None
    prepared = engine.prepare(plan, watch_that())
    assert prepared.plan.notes[-1] == f"Scaled up with a Lanczos filter: {UPSCALER.checkpoint.refusal}"
    assert not (tmp_path / UPSCALER.checkpoint.folder).exists()
