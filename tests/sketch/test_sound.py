"""What the sound model that ships makes heard, measured from the samples and pixels of finished files. The scenes are
drawn, and none of them was trained on (`builder.sketch.scenes.is_held_out`)."""

from pathlib import Path

import pytest

from builder.evaluate_sketch import read
from builder.evaluate_sketch_foley import NEAR, Case, Maker, Studio
from builder.sketch_foley.measure import bounces_seen, listen, read_sound
from tests import whole_job
from tests.media.clips import clip, shades, text
from videoworker.models.sketch import SKETCH
from videoworker.request import AudioRequest
from videoworker.settings import Settings

UP, DOWN = ("square", "red", "orange", "up"), ("circle", "blue", "green", "down")
BOUNCING = ("circle", "red", "blue", "bouncing")


@pytest.fixture(scope="module")
def studio() -> Studio:
    return Studio(Maker.DRAWING, seed=5)


@pytest.mark.parametrize(
    ("case", "pitch"),
    [
        (Case(1, UP, "the sound of a wood block", "wood"), "rising"),
        (Case(2, DOWN, "a low hum", "hum"), "falling"),
        (Case(3, UP, "a bell", "bell"), "rising"),
        (Case(4, DOWN, "white noise", "noise"), "falling"),
    ],
)
def test_pitch_and_timbre(studio: Studio, tmp_path: Path, case: Case, pitch: str) -> None:
    found = listen(read_sound(studio.make(case, tmp_path)))
    assert (found.timbre, found.pitch) == (case.timbre, pitch)


@pytest.mark.parametrize("prompt", ["bell", "wood"])
def test_bounces_are_heard(studio: Studio, tmp_path: Path, prompt: str) -> None:
    file = studio.make(Case(5, BOUNCING, prompt, prompt), tmp_path)
    seen, found = bounces_seen(read(file, 128), SKETCH.fps), listen(read_sound(file))
    assert found.timbre == prompt
    assert seen and found.onsets == pytest.approx(seen, abs=NEAR)


def test_silence(studio: Studio, tmp_path: Path) -> None:
    assert listen(read_sound(studio.make(Case(6, UP, "silence", "silence"), tmp_path))).loudness < -50


def test_a_callers_clip(tmp_path: Path) -> None:
    """It gets a sound, and a note that no better one was to be had."""
    result = whole_job.made(
        Settings(output_dir=tmp_path), model=None, prompt="", video=text(clip(shades(12))), audio=AudioRequest("hum")
    )
    assert (result.video.model, result.video.has_audio) == ("sketch-foley", True)
    assert "sketch-foley is made for the videos of sketch alone." in result.video.notes
