"""The ruler of `sketch` on drawn scenes, whose truth is known: it must read them without a mistake."""

import math
import random
from collections.abc import Callable

import numpy as np
import pytest

from builder.sketch.measure import look, overlap
from builder.sketch.scenes import SHAPES, Scene, all_combinations, draw_centred_scene, draw_scene, render


def drawn(scene: Scene, width: int, height: int, num_frames: int = 25) -> np.ndarray:
    frames = (render(scene, width, height, num_frames) + 1) * 127.5
    return frames.round().byte().permute(1, 2, 3, 0).numpy()


@pytest.mark.parametrize("draw", [draw_scene, draw_centred_scene])
def test_attributes_of_drawn_scenes_are_read(draw: Callable[..., Scene]) -> None:
    rng = random.Random(7)
    wrong = []
    for combination in rng.sample(all_combinations(), 60):
        width, height = rng.choice([(128, 128), (160, 96), (144, 112)])
        scene = draw(rng, combination, width / height)
        seen = look(drawn(scene, width, height))
        if (seen.shape, seen.colour, seen.background, seen.motion) != combination:
            wrong.append((combination, seen))
    assert not wrong


@pytest.mark.parametrize("shape", SHAPES)
def test_drawn_shapes_overlap_their_templates(shape: str) -> None:
    motion = "growing" if shape == "circle" else "spinning"
    frames = drawn(draw_centred_scene(random.Random(3), (shape, "red", "blue", motion), 1.0), 256, 256, 3)
    assert overlap(frames, shape) > 0.99
    others = {other: overlap(frames, other) for other in SHAPES if other != shape}
    assert max(others.values()) < 0.93, others


def test_an_ellipse_overlaps_a_circle_as_geometry_says() -> None:
    stretch = 1.1
    y, x = np.mgrid[:256, :256] + 0.5 - 128
    frames = np.where(((x / stretch) ** 2 + (y * stretch) ** 2 < 60**2)[..., None], 255, 0).astype(np.uint8)
    outside = 2 * (math.atan(stretch) - math.atan(1 / stretch)) / math.pi  # the share of it outside the circle
    assert overlap(np.repeat(frames, 3, axis=2)[None], "circle") == pytest.approx(
        (1 - outside) / (1 + outside), abs=0.005
    )


def test_where_nothing_is_seen_nothing_overlaps() -> None:
    assert overlap(np.full((2, 64, 64, 3), 40, np.uint8), "circle") == 0
