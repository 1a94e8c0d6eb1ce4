"""What the model that ships shows, read from the pixels of the clips that the worker makes with it."""

import base64
import io
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from builder.evaluate_sketch import held_out, read
from builder.sketch.measure import Seen, look
from builder.sketch.scenes import COLOURS, draw_centred_scene, render
from tests.media.pictures import encoded
from videoworker import job
from videoworker.engine.engine import Engine
from videoworker.request import Progress, VideoRequest
from videoworker.settings import Settings
from videoworker.watch import Watch

Make = Callable[..., np.ndarray]
# (shape, colour, background, motion), never trained on (`builder.sketch.scenes.is_held_out`), and sentences for them
CLIPS = held_out(4, seed=11)


@pytest.fixture(scope="module")
def previews() -> list[str]:
    """The last one of each clip that was made."""
    return []


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory, previews: list[str]) -> Make:
    """Frames of one finished file, at most 256 rows."""
    settings = Settings(output_dir=tmp_path_factory.mktemp("outputs"))
    engine = Engine(settings)

    def frames(prompt: str, height: int = 256, **asked: Any) -> np.ndarray:
        asked = {"seed": 1, "width": 256, "height": height} | asked
        request = VideoRequest("native", prompt, model="sketch", **asked)
        reports: list[Progress] = []
        watch = Watch("clip", reports.append, 600, has_previews=True)
        job.run({"id": "clip"}, request, watch, engine, settings)
        previews.append(reports[-1].preview or "")
        return read(Path(settings.output_dir) / "clip" / "video.mp4", min(height, 256))

    return frames


@pytest.fixture(scope="module")
def seen(make: Make) -> dict[tuple[str, ...], Seen]:
    return {asked: look(make(prompt)) for asked, prompt in CLIPS}


@pytest.mark.parametrize(("index", "attribute"), list(enumerate(("shape", "colour", "background", "motion"))))
def test_the_clip_shows_what_the_prompt_says(seen: dict[tuple[str, ...], Seen], index: int, attribute: str) -> None:
    assert [getattr(shown, attribute) for shown in seen.values()] == [asked[index] for asked in seen]


def test_previews(seen: dict[tuple[str, ...], Seen], previews: list[str]) -> None:
    """They have the clips' colours."""
    for (_, colour, background, _), preview in zip(seen, previews, strict=False):
        picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(preview.partition(",")[2]))), float)
        for asked, (row, column) in ((background, (1, 1)), (colour, (16, 16))):
            far = {name: float(np.abs(picture[row, column] - rgb).sum()) for name, rgb in COLOURS.items()}
            assert min(far, key=lambda name: far[name]) == asked


@pytest.mark.parametrize(("motion", "first_larger"), [("shrinking", True), ("growing", False)])
def test_a_shape_becomes_as_large_or_small_as_the_prompt_says(make: Make, motion: str, first_larger: bool) -> None:
    frames = make(f"a red circle {motion} on a blue background").astype(np.float32)
    red = (frames[..., 0] > 128).sum((1, 2))
    assert (red[0] > 1.5 * red[-1]) if first_larger else (red[-1] > 1.5 * red[0])


def test_a_clip_begins_with_the_picture_given_and_moves_what_it_shows(make: Make) -> None:
    scene = replace(draw_centred_scene(random.Random(3), ("triangle", "red", "blue", "up"), 1.0), x=0.65)
    picture = ((render(scene, 256, 256, 1)[:, 0] + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    prompt = "a red triangle moves up on a blue background"
    frames = make(prompt, image=encoded(Image.fromarray(picture)))
    assert np.abs(frames[0].astype(int) - picture).mean() < 5
    assert look(frames) == Seen("triangle", "red", "blue", "up")

    def centre(frame: np.ndarray) -> float:
        return float(np.nonzero(frame[..., 0] > 128)[1].mean() / 256)

    assert centre(frames[0]) > 0.62 and all(0.47 < centre(frame) < 0.53 for frame in make(prompt))


def test_guidance_brings_more_of_what_the_prompt_says(make: Make) -> None:
    def red(guidance_scale: float) -> int:
        frames = make("a red square on a blue background", guidance_scale=guidance_scale).astype(int)
        return int((frames[..., 0] - frames[..., 1] > 60).sum())

    assert red(6.0) > 1.1 * red(1.0)


def test_a_negative_prompt_keeps_away_from_what_it_says(make: Make) -> None:
    brightness = {
        away: make("a circle", negative_prompt=f"a circle on a {away} background", guidance_scale=6.0).mean()
        for away in ("white", "black")
    }
    assert brightness["white"] < brightness["black"] - 20


def test_without_guidance_the_negative_prompt_is_without_effect(make: Make) -> None:
    white, black = (
        make("a circle", negative_prompt=f"a circle on a {away} background", guidance_scale=1.0, num_inference_steps=2)
        for away in ("white", "black")
    )
    assert (white == black).all()


def test_a_continued_clip_does_not_jump_where_its_parts_meet(make: Make) -> None:
    frames = make("a blue ball moves right on a yellow background", num_frames=45).astype(np.float32)
    changes = np.abs(np.diff(frames, axis=0)).mean((1, 2, 3))
    assert changes[24] < 4 * np.median(changes) + 0.5  # between frames 25 and 26 two parts meet
