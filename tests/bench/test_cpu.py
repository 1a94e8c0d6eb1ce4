"""The arithmetic of what HunyuanVideo takes without a GPU."""

import pytest

from bench.cpu import BLOCKS, ROWS, Pace
from videoworker.models.hunyuanvideo import HUNYUANVIDEO
from videoworker.planning.plan import plan_clip
from videoworker.planning.processor_seconds import operations
from videoworker.request import VideoRequest


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_at_one_operation_a_second_a_clip_takes_as_many_seconds_as_operations(row: tuple[int, int, int, int]) -> None:
    width, height, num_frames, steps = row
    request = VideoRequest(
        "native", "a cat", width=width, height=height, num_frames=num_frames, num_inference_steps=steps
    )
    plan, flops = plan_clip(request, HUNYUANVIDEO), HUNYUANVIDEO.flops
    assert flops is not None
    pace, counted = Pace(flops.token / BLOCKS, flops.pair / BLOCKS, flops.pixel), operations(plan)
    assert counted is not None
    assert pace.minutes(plan, 1) * 60 == pytest.approx(sum(counted.values()))
    assert pace.minutes(plan, 8) == pytest.approx(pace.minutes(plan, 1) / 8)
