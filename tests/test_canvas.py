"""The geometry of pictures: what is kept of them, and where a caller's picture lies in them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.media.pictures import BLUE, GREEN, RED, circle, extent, flat
from videoworker.canvas import Canvas

sides = st.integers(1, 400)


@given(sides, sides, sides, sides)
def test_centred(width: int, height: int, crop_width: int, crop_height: int) -> None:
    """The box that is kept lies inside, in the middle to a pixel, and `crop` gives it as a view."""
    crop = min(crop_width, width), min(crop_height, height)
    canvas = Canvas.centred((64, 64), (width, height), crop)
    right, bottom = width - canvas.left - crop[0], height - canvas.top - crop[1]
    assert min(canvas.left, canvas.top, right, bottom) >= 0
    assert abs(canvas.left - right) <= 1 and abs(canvas.top - bottom) <= 1
    frame = np.zeros((height, width, 3), np.uint8)
    kept = canvas.crop(frame)
    assert kept.shape == (crop[1], crop[0], 3) and np.shares_memory(kept, frame)


@pytest.mark.parametrize(("width", "height"), [(96, 40), (40, 96), (64, 64), (300, 200)])
def test_fill_keeps_a_circle_round(width: int, height: int) -> None:
    filled = Canvas.whole(width, height).fill(circle(256))
    assert filled.shape == (height, width, 3)
    expected = min(max(width, height) / 2, width), min(max(width, height) / 2, height)
    assert extent(filled) == pytest.approx(expected, abs=1)


def test_fill_takes_the_middle() -> None:
    thirds = np.concatenate([flat(30, 30, RED), flat(30, 30, GREEN), flat(30, 30, BLUE)], axis=1)
    assert np.array_equal(Canvas.whole(30, 30).fill(thirds), flat(30, 30, GREEN))
    assert not Canvas.whole(30, 30).has_aspect_of(thirds)


def test_fill_leaves_a_picture_of_the_right_size() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    assert np.array_equal(Canvas.whole(32, 24).fill(picture), picture)
    assert Canvas.whole(64, 48).has_aspect_of(picture)


def test_fill_continues_the_edges() -> None:
    """What is cropped away of the model's frame shows the nearest pixel of the picture."""
    picture = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    canvas = Canvas.centred((30, 20), (32, 32), (30, 20))
    filled = canvas.fill(picture)
    assert np.array_equal(canvas.crop(filled), picture)
    assert (filled[:6, 1:31] == picture[0]).all() and (filled[26:, 1:31] == picture[-1]).all()
    assert (filled[6:26, 0] == picture[:, 0]).all() and (filled[6:26, 31] == picture[:, -1]).all()
