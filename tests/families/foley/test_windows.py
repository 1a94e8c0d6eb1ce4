"""Which frames a sound is made from, by length and rate: none is late, none is forgotten, and nothing drifts."""

from fractions import Fraction

import pytest

from videoworker.families.foley.windows import Window, num_latents, windows
from videoworker.families.sound_family import Footage


def footage(seconds: float, fps: int = 24) -> Footage:
    return Footage(round(seconds * fps), Fraction(fps))


def test_frames_at_25_a_second_are_each_themselves() -> None:
    (window,) = windows(footage(8, fps=25))
    assert len(window.segments) == 24
    for number, segment in enumerate(window.segments):
        assert segment == tuple(range(8 * number, 8 * number + 16))


@pytest.mark.parametrize("fps", [6, 8, 16, 24, 25, 30, 60])
def test_no_drift(fps: int) -> None:
    """A frame is shown at the moment that it stands for or at most one frame later, to the end."""
    (window,) = windows(footage(8, fps))
    for rate, numbers in ((8, window.pictures), (25, tuple(segment[0] for segment in window.segments))):
        step = 1 if rate == 8 else 8
        for k, number in enumerate(numbers):
            late = Fraction(number, fps) - Fraction(k * step, rate)
            assert 0 <= late < Fraction(1, fps) or number == 8 * fps - 1
    assert len(window.pictures) == 64


@pytest.mark.parametrize("frames", [1, 5, 12, 15])
def test_clips_shorter_than_a_segment(frames: int) -> None:
    """The last frame is repeated."""
    (window,) = windows(Footage(frames, Fraction(25)))
    (segment,) = window.segments
    assert segment == tuple(min(k, frames - 1) for k in range(16))
    assert window.pictures and set(window.pictures) <= set(range(frames))


@pytest.mark.parametrize(("seconds", "starts"), [(10, [0]), (10.5, [0, 125]), (12, [0, 200]), (14.5, [0, 320, 325])])
def test_starts(seconds: float, starts: list[int]) -> None:
    made = windows(footage(seconds))
    assert [window.start for window in made] == starts


def test_thirty_seconds() -> None:
    made = windows(footage(30))
    assert [(window.start, window.length) for window in made] == [(n, 400) for n in (0, 320, 640, 960, 1100)]
    assert {(len(window.pictures), len(window.segments)) for window in made} == {(64, 24)}
    assert made[-1].segments[-1][-1] >= 30 * 24 - 3
    shared = set(made[0].segments) & set(made[1].segments)
    assert len(shared) == 4  # 1.6 seconds at 25 frames a second: these are encoded once


@pytest.mark.parametrize("rate", [Fraction(24), Fraction(30000, 1001), Fraction(12)])
@pytest.mark.parametrize("frames", [1, 7, 49, 121, 240, 241, 300, 719, 720])
def test_every_sample_has_a_latent(frames: int, rate: Fraction) -> None:
    clip = Footage(frames, rate)
    covered = {k for window in windows(clip) for k in range(window.start, window.start + window.length)}
    assert covered == set(range(num_latents(clip)))
    assert 0 <= 960 * num_latents(clip) - clip.num_samples(48_000) < 961
    assert all(0 <= frame < frames for window in windows(clip) for frame in _frames(window))


def _frames(window: Window) -> set[int]:
    return {*window.pictures, *(frame for segment in window.segments for frame in segment)}
