"""The ruler of `sketch` on drawn scenes, whose truth is known: it must read them without a mistake."""

import random
from collections.abc import Callable

import pytest

from builder.sketch.measure import look
from builder.sketch.scenes import Scene, all_combinations, draw_centred_scene, draw_scene, render


@pytest.mark.parametrize("draw", [draw_scene, draw_centred_scene])
def test_attributes_of_drawn_scenes_are_read(draw: Callable[..., Scene]) -> None:
    rng = random.Random(7)
    wrong = []
    for combination in rng.sample(all_combinations(), 60):
        width, height = rng.choice([(128, 128), (160, 96), (144, 112)])
        scene = draw(rng, combination, width / height)
        frames = ((render(scene, width, height, 25) + 1) * 127.5).round().byte().permute(1, 2, 3, 0).numpy()
        seen = look(frames)
        if (seen.shape, seen.colour, seen.background, seen.motion) != combination:
            wrong.append((combination, seen))
    assert not wrong
