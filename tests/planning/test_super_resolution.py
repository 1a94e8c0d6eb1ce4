"""When a clip is brought to a larger size by networks, to which, and what is said of it."""

from dataclasses import replace

import pytest

from videoworker.canvas import Canvas
from videoworker.models.checkpoint import Checkpoint
from videoworker.models.hunyuanvideo_1_5 import (
    HUNYUANVIDEO_1_5,
    HUNYUANVIDEO_1_5_480P_T2V,
    HUNYUANVIDEO_1_5_720P_I2V,
    SR_720P,
    SR_1080P,
)
from videoworker.models.video_model import VideoModel
from videoworker.planning.machine import Machine
from videoworker.planning.placement import activations, default_activations
from videoworker.planning.plan import Plan, make_plan
from videoworker.planning.super_resolution import sizes, super_resolution
from videoworker.request import VideoRequest

SR = {SR_720P.checkpoint, SR_1080P.checkpoint}
MODELS = {HUNYUANVIDEO_1_5.checkpoint, HUNYUANVIDEO_1_5_720P_I2V.checkpoint}


def planned(installed: set[Checkpoint], width: int = 1920, height: int = 1080, may_fetch: bool = False) -> Plan:
    machine = Machine(lambda checkpoint: checkpoint in installed, may_fetch, has_gpu=True)
    request = VideoRequest(api="native", prompt="a cat", model="hunyuanvideo-1.5", width=width, height=height)
    return make_plan(request, machine)


def larger(model: VideoModel, native: tuple[int, int], file: tuple[int, int]) -> tuple[int, int] | None:
    made = super_resolution(model, Canvas.centred(file, native, native))
    return None if made is None else (made.canvas.native_width, made.canvas.native_height)


def test_weights_are_there() -> None:
    plan = planned(MODELS | SR)
    assert plan.super_resolution is not None and plan.super_resolution.upscaler is SR_1080P
    assert (plan.canvas.native_width, plan.canvas.native_height) == (1280, 720)
    assert plan.decoded == Canvas(1920, 1080, 1904, 1072, 0, 0, 1904, 1072)
    sampling = plan.courses[1][1]
    assert (sampling.steps, sampling.predictions, sampling.flow_shift) == (8, 8, 2.0)
    assert "Scaled up by super-resolution, to 1904x1072 in 8 steps." in plan.notes
    assert not any("Lanczos" in note for note in plan.notes)


def test_weights_are_absent() -> None:
    plan = planned(MODELS)
    assert plan.super_resolution is None and plan.decoded == plan.canvas
    assert plan.notes[-1] == (
        "Scaled up with a Lanczos filter: the weights for super-resolution are not installed. To fetch them: "
        "videoworker fetch hunyuanvideo-1.5 --variant 1080p-sr"
    )
    assert planned(MODELS, may_fetch=True).super_resolution is not None


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (720, 1280), (640, 360), (2560, 720)])
def test_nothing_to_enlarge(width: int, height: int) -> None:
    """Pictures that the variant makes as large as they are asked for; and wide ones, which it makes much smaller than
    those that super-resolution was trained for."""
    assert planned(MODELS | SR, width, height).super_resolution is None


@pytest.mark.parametrize(
    ("model", "native", "file", "size"),
    [
        (HUNYUANVIDEO_1_5, (1280, 720), (1920, 1080), (1904, 1072)),
        (HUNYUANVIDEO_1_5, (720, 1280), (1080, 1920), (1072, 1904)),
        (HUNYUANVIDEO_1_5, (960, 960), (1080, 1080), (1440, 1440)),
        (HUNYUANVIDEO_1_5_480P_T2V, (848, 480), (1280, 720), (1280, 720)),
        (HUNYUANVIDEO_1_5_480P_T2V, (640, 640), (960, 960), (960, 960)),
        (replace(HUNYUANVIDEO_1_5, upscaler=None), (1280, 720), (1920, 1080), None),
    ],
)
def test_size(model: VideoModel, native: tuple[int, int], file: tuple[int, int], size: tuple[int, int] | None) -> None:
    """Of the published sizes, that with the nearest aspect."""
    assert larger(model, native, file) == size


@pytest.mark.parametrize("upscaler", [SR_720P, SR_1080P])
def test_sizes_are_the_largest(upscaler: object) -> None:
    assert isinstance(upscaler, type(SR_720P))
    for width, height in sizes(upscaler):
        assert width % 16 == height % 16 == 0 and max(width, height) <= 4 * min(width, height)
        assert width * height <= upscaler.max_area < (width + 16) * (height + 16)


def test_a_part_of_the_picture() -> None:
    """What is cropped stays the same part."""
    made = super_resolution(HUNYUANVIDEO_1_5, Canvas.centred((1440, 1080), (1104, 832), (1104, 828)))
    assert made is not None
    canvas = made.canvas
    assert (canvas.native_width, canvas.native_height) == (1648, 1248)
    assert (canvas.left, canvas.top, canvas.crop_width, canvas.crop_height) == (0, 3, 1648, 1242)


def test_memory() -> None:
    """The larger pictures count, while they are denoised and while they are decoded."""
    plan = planned(MODELS | SR)
    pixels = 1904 * 1072
    assert activations(plan) >= HUNYUANVIDEO_1_5.denoise_bytes * pixels * 121
    assert activations(plan) >= HUNYUANVIDEO_1_5.decode_bytes * pixels
    assert activations(planned(MODELS)) == default_activations(HUNYUANVIDEO_1_5)


def test_made_without_it() -> None:
    """For a clip that has too little memory, all else stays as it was planned."""
    plan = planned(MODELS | SR).without_super_resolution("there is no room.")
    expected = planned(MODELS)
    assert plan.notes == (*expected.notes[:-1], "Scaled up with a Lanczos filter: there is no room.")
    assert replace(plan, notes=expected.notes) == expected
