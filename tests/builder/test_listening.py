"""The ruler of `sketch-foley` on drawn sounds of drawn scenes, whose truth is known: it must read them rightly."""

import random
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch

from builder.evaluate_sketch_foley import Case, in_windows, judged
from builder.sketch.scenes import TRAINED, draw_centred_scene, render
from builder.sketch_foley.codec import decoder
from builder.sketch_foley.measure import Heard, bounces_seen, listen
from builder.sketch_foley.scores import Take, bounces, score
from builder.sketch_foley.sounds import CHANNELS, TIMBRES, latents
from videoworker.families.foley.codec import FoleyDecoder
from videoworker.families.sound_family import Footage

NEAR = 0.03  # seconds


@pytest.fixture(scope="module")
def codec() -> FoleyDecoder:
    return decoder()


def take(motion: str, number: int) -> Take:
    rng = random.Random(f"{motion}/{number}")
    combination = rng.choice([one for one in TRAINED if one[3] == motion])
    return Take(draw_centred_scene(rng, combination, 1.0), fps=12, num_frames=25)


def heard(codec: FoleyDecoder, taken: Take, timbre: str) -> Heard:
    with torch.inference_mode():
        samples = codec(latents(score(taken), timbre, torch.Generator().manual_seed(1))[None])[0, 0]
    return listen(samples.numpy())


@pytest.mark.parametrize("timbre", TIMBRES)
@pytest.mark.parametrize(("motion", "pitch"), [("up", "rising"), ("down", "falling"), ("left", "steady")])
def test_tones(codec: FoleyDecoder, timbre: str, motion: str, pitch: str) -> None:
    found = heard(codec, take(motion, 0), timbre)
    assert (found.timbre, found.pitch) == (timbre, pitch)
    assert found.loudness > -40


@pytest.mark.parametrize("timbre", TIMBRES)
def test_hits(codec: FoleyDecoder, timbre: str) -> None:
    """Each bounce is heard when it is, and nothing else is."""
    taken = replace(take("bouncing", 1), num_frames=45)
    found, truth = heard(codec, taken, timbre), bounces(taken)
    assert found.timbre == timbre
    assert len(truth) == 2 and found.onsets == pytest.approx(truth, abs=NEAR)


@pytest.mark.parametrize("number", range(3))
def test_bounces_are_seen(number: int) -> None:
    taken = replace(take("bouncing", number), num_frames=45)
    pixels = render(taken.scene, 128, 128, taken.num_frames)
    frames = ((pixels + 1) * 127.5).round().byte().permute(1, 2, 3, 0).numpy()
    assert bounces_seen(frames, taken.fps) == pytest.approx(bounces(taken), abs=NEAR)


def test_loudness(codec: FoleyDecoder) -> None:
    """A shape that grows swells, one that shrinks fades, one that spins beats, one that is still does none of these."""
    swells, depths = zip(
        *((found.swell, found.depth) for found in (heard(codec, take(motion, 0), "wood") for motion in LOUDNESS)),
        strict=True,
    )
    assert swells[0] > 6 and swells[1] < -6 and abs(swells[3]) < 1
    assert depths[2] > 10 and depths[3] < 1


LOUDNESS = ("growing", "shrinking", "spinning", "still")


def test_silence(codec: FoleyDecoder) -> None:
    """What a decoder makes of latents that are a little wrong is silent too."""
    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode():
        samples = codec(0.1 * torch.randn(1, CHANNELS, 50, generator=generator))[0, 0]
    found = listen(samples.numpy())
    assert found.timbre == "silence" and found.onsets == []
    assert 0 < np.abs(samples.numpy()).max() < 0.01


def test_each_window_is_heard() -> None:
    """A sound of 12 seconds is made in two, of which the second alone has its end."""
    samples = np.zeros(12 * 48_000, np.float32)
    samples[-48_000:] = 0.3 * np.sin(2 * np.pi * 300 * np.arange(48_000) / 48_000)
    first, second = in_windows(samples, Footage(144, Fraction(12)))
    assert (first.timbre, second.timbre) == ("silence", "hum")
    case = Case(0, ("star", "red", "blue", "still"), "silence", "silence")
    verdicts = [is_right for _, is_right in judged(case, listen(samples), [first, second], [])]
    assert verdicts == [True, False]
