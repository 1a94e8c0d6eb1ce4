"""Which picture is made for which size."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videoworker.canvas import Canvas
from videoworker.models import MODELS
from videoworker.models.cogvideox import COGVIDEOX
from videoworker.models.hunyuanvideo import HUNYUANVIDEO
from videoworker.models.sketch import SKETCH as SHIPPED
from videoworker.models.video_model import VideoModel
from videoworker.planning.sizes import fit

# The sizes that the cases below work out by hand; what ships may be trained for others.
SKETCH = replace(SHIPPED, max_area=256 * 256, min_side=128, max_side=320)

# Every size that a document names: presets, defaults, examples and recommended settings.
DOCUMENTED = [
    (854, 480),
    (1280, 720),
    (1920, 1080),
    (640, 480),
    (480, 360),
    (720, 480),
    (960, 544),
    (720, 720),
    (512, 512),
    (256, 256),
    (1280, 1280),
    (1920, 256),
    (256, 1080),
]


def file_size(canvas: Canvas) -> tuple[int, int]:
    return canvas.width, canvas.height


def native_size(canvas: Canvas) -> tuple[int, int]:
    return canvas.native_width, canvas.native_height


def box_size(canvas: Canvas) -> tuple[int, int]:
    return canvas.crop_width, canvas.crop_height


def allowed(model: VideoModel, width: int, height: int) -> bool:
    """As the declaration's own words have it."""
    on_grid = width % model.grid == 0 and height % model.grid == 0
    in_range = model.min_side <= min(width, height) and max(width, height) <= model.max_side
    return on_grid and in_range and width * height <= model.max_area


@pytest.mark.parametrize(
    ("model", "width", "height"),
    [(SKETCH, 256, 256), (SKETCH, 320, 192), (SKETCH, 128, 128), (COGVIDEOX, 720, 480), (HUNYUANVIDEO, 1280, 720)],
)
def test_a_native_size_is_made_as_it_is_and_nothing_is_noted(model: VideoModel, width: int, height: int) -> None:
    canvas, notes = fit(model, width, height)
    assert canvas == Canvas(width, height, width, height, 0, 0, width, height)
    assert notes == []


@pytest.mark.parametrize("model", [SKETCH, SHIPPED])
@pytest.mark.parametrize(("width", "height"), DOCUMENTED)
def test_sketch_gives_every_documented_size_exactly(model: VideoModel, width: int, height: int) -> None:
    canvas, _ = fit(model, width, height)
    assert file_size(canvas) == (width, height)
    assert allowed(model, *native_size(canvas))


@pytest.mark.parametrize(
    ("asked", "native", "box"),
    [
        # scaling by 1280 / 320 = 4 needs 180 of 192 lines; the next best, 256 x 256, would have to be scaled by 5
        ((1280, 720), (320, 192), (320, 180)),
        ((1920, 1080), (320, 192), (320, 180)),
        ((720, 720), (256, 256), (256, 256)),
        # 640 / 288 = 2.22; 320 x 192 would need 480 / 192 = 2.5
        ((640, 480), (288, 224), (288, 216)),
    ],
)
def test_a_larger_picture_is_made_at_the_native_size_that_needs_the_least_scaling(
    asked: tuple[int, int], native: tuple[int, int], box: tuple[int, int]
) -> None:
    canvas, notes = fit(SKETCH, *asked)
    assert (file_size(canvas), native_size(canvas), box_size(canvas)) == (asked, native, box)
    assert notes == [
        f"Made at {native[0]}x{native[1]}, which sketch makes natively, cropped to the aspect asked for and scaled up "
        f"to {asked[0]}x{asked[1]}."
    ]


def test_a_size_off_the_grid_is_made_on_the_next_larger_grid_and_cropped_in_the_centre() -> None:
    canvas, notes = fit(SKETCH, 250, 200)
    assert canvas == Canvas(250, 200, 256, 224, 3, 12, 250, 200)
    assert notes == ["Made at 256x224 and cropped to 250x200, centred."]


def test_an_odd_side_loses_one_pixel_and_says_so() -> None:
    canvas, notes = fit(SKETCH, 257, 193)
    assert canvas == Canvas(256, 192, 256, 192, 0, 0, 256, 192)
    assert notes == ["257x193 became 256x192: H.264 4:2:0 needs even sides."]


def test_a_size_that_is_odd_and_off_the_grid_says_both() -> None:
    _, notes = fit(SKETCH, 251, 201)
    assert len(notes) == 2
    assert "250x200: H.264" in notes[0] and "256x224" in notes[1]


@pytest.mark.parametrize(("width", "height"), [(64, 64), (96, 64), (64, 3840), (2, 2), (1, 1)])
def test_a_size_below_the_models_smallest_is_still_given_exactly(width: int, height: int) -> None:
    canvas, notes = fit(SKETCH, width, height)
    assert file_size(canvas) == (max(width // 2 * 2, 2), max(height // 2 * 2, 2))
    assert allowed(SKETCH, *native_size(canvas))
    assert "sketch makes natively" in notes[-1]


def test_a_small_picture_is_scaled_down() -> None:
    assert "scaled down to 64x64" in fit(SKETCH, 64, 64)[1][0]


def test_a_picture_that_is_only_cropped_is_not_said_to_be_scaled() -> None:
    canvas, notes = fit(SKETCH, 64, 320)
    assert box_size(canvas) == file_size(canvas) == (64, 320)
    assert notes == ["Made at 128x320, which sketch makes natively, cropped to the aspect asked for to 64x320."]


@given(
    model=st.sampled_from(list(MODELS.values())),
    width=st.integers(16, 3840),
    height=st.integers(16, 3840),
)
def test_any_size_is_cut_out_of_a_picture_that_the_model_makes(model: VideoModel, width: int, height: int) -> None:
    canvas, notes = fit(model, width, height)
    assert file_size(canvas) == (width // 2 * 2, height // 2 * 2)
    assert allowed(model, *native_size(canvas))

    # the box lies inside, centred to the pixel
    right = canvas.native_width - canvas.left - canvas.crop_width
    bottom = canvas.native_height - canvas.top - canvas.crop_height
    assert min(canvas.left, canvas.top, right, bottom) >= 0
    assert right - canvas.left in (0, 1) and bottom - canvas.top in (0, 1)

    # the box has the file's shape, within one of its own pixels on the side that is cut
    exact_width = canvas.crop_height * canvas.width / canvas.height
    exact_height = canvas.crop_width * canvas.height / canvas.width
    assert min(abs(canvas.crop_width - exact_width), abs(canvas.crop_height - exact_height)) < 1

    as_asked = (width, height) == native_size(canvas) == box_size(canvas)
    assert bool(notes) != as_asked
