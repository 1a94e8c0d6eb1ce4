"""What is said of a job's length beforehand, from the jobs before it."""

from typing import Any

import pytest

from videoworker.models.sketch import SKETCH
from videoworker.planning.pace import Pace
from videoworker.planning.plan import Plan, plan_clip
from videoworker.request import VideoRequest

TOOK = {"encode_prompt": 1.0, "denoise": 40.0, "decode": 6.0, "encode": 2.0, "deliver": 9.0, "total": 58.0}


def planned(**asked: Any) -> Plan:
    return plan_clip(VideoRequest(api="native", prompt="x", **asked), SKETCH)


def learnt(**asked: Any) -> Pace:
    pace = Pace()
    pace.learn(planned(**asked), TOOK)
    return pace


SMALL: dict[str, Any] = {"num_inference_steps": 10, "guidance_scale": 1.0, "num_frames": 25}


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ({}, 48.0),
        ({"num_inference_steps": 20}, 88.0),
        ({"num_inference_steps": 5}, 28.0),
        ({"guidance_scale": 2.0}, 88.0),
        ({"guidance_scale": 2.0, "num_inference_steps": 40}, 328.0),
        ({"effort": "fast"}, 36.0),
    ],
    ids=["the same", "more steps", "fewer steps", "guidance", "both", "fast"],
)
def test_denoising_grows_with_steps_and_guidance_and_decoding_does_not(asked: dict[str, float], seconds: float) -> None:
    assert learnt(**SMALL).estimate(planned(**SMALL | asked)) == pytest.approx(seconds)


def test_both_grow_with_what_is_made_in_all_parts() -> None:
    one, three = planned(**SMALL), planned(**SMALL | {"num_frames": 60})
    frames = sum(part.num_frames for part in three.segments)
    assert len(three.segments) == 3 and len(one.segments) == 1
    assert learnt(**SMALL).estimate(three) == pytest.approx(48.0 * frames / one.segments[0].num_frames)


def test_nothing_is_said_of_what_nothing_like_it_was_made() -> None:
    assert Pace().estimate(planned()) is None
    assert learnt(**SMALL | {"num_inference_steps": 1}).estimate(planned(**SMALL | {"num_inference_steps": 11})) is None


def test_the_largest_job_counts_and_not_a_small_one_after_it() -> None:
    pace = learnt(**SMALL)
    pace.learn(planned(**SMALL | {"num_inference_steps": 1}), TOOK)
    assert pace.estimate(planned(**SMALL)) == pytest.approx(48.0)
    pace.learn(planned(**SMALL), TOOK | {"denoise": 10.0})
    assert pace.estimate(planned(**SMALL)) == pytest.approx(18.0)
