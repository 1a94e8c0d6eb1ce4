"""What a clip takes without a GPU grows as its operations do."""

import pytest

from videoworker.models.hunyuanvideo import HUNYUANVIDEO
from videoworker.models.hunyuanvideo_1_5 import HUNYUANVIDEO_1_5
from videoworker.models.mochi import MOCHI
from videoworker.planning.plan import plan_clip
from videoworker.planning.processor_seconds import operations, processor_seconds
from videoworker.request import VideoRequest


def counted(**asked: int) -> dict[str, float]:
    found = operations(plan_clip(VideoRequest("native", "a cat", **asked), HUNYUANVIDEO))  # type: ignore[arg-type]
    assert found is not None
    return {stage: count for stage, count in found.items()}


def test_a_prediction_of_the_default_clip_takes_what_its_networks_compute() -> None:
    """1.62e15 multiplications and additions of layers, which torch counts on the published network, and attention's:
    queries by keys and weights by values, of 60 blocks with 3072 channels and 45 * 80 * 33 tokens."""
    one = counted(num_inference_steps=1)["denoise"]
    assert one == pytest.approx(1.62e15 + 60 * 2 * 2 * 3072 * (45 * 80 * 33) ** 2, rel=0.01)


def test_a_token_takes_what_torch_counts() -> None:
    """Of HunyuanVideo-1.5's published network: in two clips, whose text has equally many tokens."""
    smaller, larger = (16 * 16 * 5, 14_012_775_399_424), (30 * 23 * 9, 40_812_004_245_504)
    flops = HUNYUANVIDEO_1_5.flops
    assert flops is not None
    assert flops.token == pytest.approx((larger[1] - smaller[1]) / (larger[0] - smaller[0]), rel=0.001)


def test_seconds_grow_with_steps_pixels_and_squares_of_tokens() -> None:
    clip = counted(width=480, height=368, num_frames=61, num_inference_steps=25)
    assert counted(width=480, height=368, num_frames=61, num_inference_steps=50)["denoise"] == 2 * clip["denoise"]
    larger = counted(width=960, height=368, num_frames=61, num_inference_steps=25)
    assert larger["decode"] == 2 * clip["decode"] and 2 * clip["denoise"] < larger["denoise"] < 4 * clip["denoise"]


def test_a_processor_of_twice_the_speed_takes_half_as_long() -> None:
    plan = plan_clip(VideoRequest("native", "a cat"), HUNYUANVIDEO)
    slow, fast = processor_seconds(plan, 1e11), processor_seconds(plan, 2e11)
    assert slow is not None and fast is not None
    assert all(slow[stage] == 2 * fast[stage] > 0 for stage in ("denoise", "decode"))


def test_what_nobody_counted_is_not_known() -> None:
    assert processor_seconds(plan_clip(VideoRequest("native", "a cat"), MOCHI), 1e11) is None
