"""Windows that disagree make one sound without a seam."""

from fractions import Fraction

import pytest
import torch

from videoworker.families.foley.joining import Share, shares
from videoworker.families.foley.windows import OVERLAP, Window, num_latents, windows
from videoworker.families.sound_family import Footage

CPU = torch.device("cpu")
STEPS = 50


def joined(seconds: float) -> list[tuple[Window, Share]]:
    spans = windows(Footage(round(24 * seconds), Fraction(24)))
    return list(zip(spans, shares(spans, CPU), strict=True))


@pytest.mark.parametrize("seconds", [5, 10.5, 12, 15, 30])
@pytest.mark.parametrize("index", [0, 1, 2, 44, 45, 49])
def test_shares_make_a_whole(seconds: float, index: int) -> None:
    total = torch.zeros(num_latents(Footage(round(24 * seconds), Fraction(24))))
    for window, share in joined(seconds):
        total[window.start : window.start + window.length] += share.weights(index, STEPS)
    torch.testing.assert_close(total, torch.ones_like(total))


def test_an_only_step_fades() -> None:
    (_, share), _ = joined(12)
    weights = share.weights(0, 1)
    assert ((weights > 0) & (weights < 1)).any()


def test_while_there_is_noise_nothing_is_averaged() -> None:
    """And neighbours in the overlap take turns."""
    for window, share in joined(12):
        for index in (0, 1, 30):
            assert set(share.weights(index, STEPS).tolist()) == {0, 1}
        turns = share.weights(0, STEPS) + share.weights(1, STEPS)
        overlap = slice(200, 400) if window.start == 0 else slice(0, 200)
        assert (turns[overlap] == 1).all()


@pytest.mark.parametrize("seconds", [12, 14.4, 14.5, 30])
def test_no_seam(seconds: float) -> None:
    """Each window wants a level of its own, and is sure of it to the last step. The sound goes from one level to the
    next in small steps. Cut windows would make one step of 1."""
    spans = joined(seconds)
    latents = torch.zeros(spans[-1][0].start + 400)
    for index in range(STEPS):
        noise_level = 1 - index / STEPS
        velocity = torch.zeros_like(latents)
        for level, (window, share) in enumerate(spans):
            place = slice(window.start, window.start + window.length)
            velocity[place] += share.weights(index, STEPS) * (latents[place] - level) / noise_level
        latents = latents - velocity / STEPS
    assert latents.diff().abs().max() < 3 / OVERLAP
    assert latents[0] == 0 and latents[-1] == pytest.approx(len(spans) - 1)
