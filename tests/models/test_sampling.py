"""What each tier of effort computes."""

from itertools import pairwise

import pytest

from tests.variants import EVERY_VARIANT
from videoworker.effort import Effort
from videoworker.models.sampling import Call, Sampling
from videoworker.models.video_model import VideoModel

ALL, PROMPT, NONE = Call.ALL, Call.PROMPT, Call.NONE


@pytest.mark.parametrize("effort", ["exact", "full", "turbo"])
def test_every_step(effort: Effort) -> None:
    assert Sampling(3, 5.0, effort=effort).calls == (ALL,) * 3
    assert Sampling(3, 5.0, effort=effort).predictions == 6
    assert Sampling(3, 1.0, effort=effort).predictions == 3


@pytest.mark.parametrize(
    ("steps", "calls"),
    [
        (1, (ALL,)),
        (4, (ALL,) * 4),
        (5, (ALL,) * 4 + (PROMPT,)),
        (6, (ALL,) * 4 + (NONE, PROMPT)),
        (10, (ALL,) * 4 + (NONE, ALL, NONE, PROMPT, NONE, PROMPT)),
    ],
)
def test_fast(steps: int, calls: tuple[Call, ...]) -> None:
    """The first steps and the last are computed, and between them every other one; never two are skipped in turn."""
    assert Sampling(steps, 5.0, effort="fast").calls == calls


@pytest.mark.parametrize("steps", range(1, 101))
def test_what_fast_computes(steps: int) -> None:
    calls = Sampling(steps, 5.0, effort="fast").calls
    assert len(calls) == steps and calls[-1] is not NONE and NONE not in calls[:2]
    assert not any(one is other is NONE for one, other in pairwise(calls))


@pytest.mark.parametrize("model", EVERY_VARIANT)
def test_fast_saves(model: VideoModel) -> None:
    """At least 1.6 x the predictions of a default clip with guidance; half of that is the steps'."""
    if "fast" in model.efforts:
        guided, alone = (Sampling(model.default_steps, scale, effort="fast") for scale in (5.0, 1.0))
        assert 2 * model.default_steps / guided.predictions >= 1.6
        assert model.default_steps / alone.predictions >= 1.5
