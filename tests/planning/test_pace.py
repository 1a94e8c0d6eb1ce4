"""What is said of a job's length beforehand, from the jobs before it."""

import random
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import pytest

from videoworker.models.hunyuanvideo import HUNYUANVIDEO
from videoworker.models.sketch import SKETCH
from videoworker.models.sketch_foley import SKETCH_FOLEY
from videoworker.models.video_model import VideoModel
from videoworker.planning.pace import KEPT, Measured, Pace, measured
from videoworker.planning.plan import Plan, plan_clip
from videoworker.planning.sound import plan_sound
from videoworker.planning.work import Part, Work, sound_work, video_work
from videoworker.request import AudioRequest, VideoRequest

TOOK = {"encode_prompt": 1.0, "denoise": 40.0, "decode": 6.0, "encode": 2.0, "deliver": 9.0, "total": 58.0}
SMALL: dict[str, Any] = {"num_inference_steps": 10, "guidance_scale": 1.0, "num_frames": 25}


def planned(model: VideoModel = SKETCH, **asked: Any) -> Plan:
    return plan_clip(VideoRequest(api="native", prompt="x", **asked), model)


def work(**asked: Any) -> Work:
    return video_work(planned(**asked), "mp4", "resident")


def pace(*jobs: tuple[Work, Mapping[Any, float]]) -> Pace:
    known = dict[str, list[Measured]]()
    for done, timings in jobs:
        for name, one in measured(done, timings).items():
            known.setdefault(name, []).append(one)
    return Pace(known)


def seconds(known: Pace, asked: Work) -> float:
    expected = known.expected(asked)
    assert expected is not None
    return sum(expected.values())


def law(part: Part) -> float:
    """A large model's seconds: attention takes most of them."""
    amounts = part.amounts
    rates: dict[str, Sequence[float]] = {
        "denoise": (0.02, 0.004, 0.03, 1.5),
        "decode": (0.6, 0.3),
        "encode": (0.02, 0.15),
        "encode_prompt": (0.4,),
        "deliver": (0.02, 0.01),
    }
    return sum(rate * amount for rate, amount in zip(rates[part.stage], amounts, strict=True))


SIZES = list(product((640, 848, 960, 1280), (360, 480, 720), (33, 61, 97, 129), (20, 30, 50)))


@pytest.mark.parametrize("seed", range(8))
def test_ten_jobs_tell_how_long_another_size_takes(seed: int) -> None:
    """Their seconds scatter by a twentieth, and one of them was held up by something else."""
    drawn = random.Random(seed)
    jobs = [
        video_work(
            planned(HUNYUANVIDEO, width=width, height=height, num_frames=num_frames, num_inference_steps=steps), "mp4"
        )
        for width, height, num_frames, steps in drawn.sample(SIZES, 11)
    ]
    held_up = drawn.randrange(10)
    known = pace(
        *(
            (job, {part.stage: law(part) * drawn.gauss(1, 0.05) * (3 if index == held_up else 1) for part in job})
            for index, job in enumerate(jobs[:-1])
        )
    )
    assert seconds(known, jobs[-1]) == pytest.approx(sum(map(law, jobs[-1])), rel=0.2)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, 58.0),
        ({"num_inference_steps": 20}, 98.0),
        ({"num_inference_steps": 5}, 38.0),
        ({"guidance_scale": 2.0}, 98.0),
        ({"guidance_scale": 2.0, "num_inference_steps": 40}, 338.0),
        ({"effort": "fast"}, 46.0),
    ],
    ids=["the same", "more steps", "fewer steps", "guidance", "both", "fast"],
)
def test_one_job_tells_of_others(asked: dict[str, Any], expected: float) -> None:
    """Denoising grows with predictions, and nothing else does."""
    assert seconds(pace((work(**SMALL), TOOK)), work(**SMALL | asked)) == pytest.approx(expected)


def test_all_segments_count() -> None:
    one, three = planned(**SMALL), planned(**SMALL | {"num_frames": 60})
    assert len(three.segments) == 3 and len(one.segments) == 1
    expected = pace((work(**SMALL), TOOK)).expected(video_work(three, "mp4", "resident"))
    assert expected is not None and expected["denoise"] == pytest.approx(120.0)
    assert expected["decode"] == pytest.approx(18.0)


@pytest.mark.parametrize(
    "other",
    [
        work(**SMALL | {"num_inference_steps": 101}),
        video_work(planned(**SMALL), "mp4", "fp8"),
        video_work(planned(HUNYUANVIDEO), "mp4", "resident"),
        (),
    ],
    ids=["much more", "another placement", "another model", "nothing"],
)
def test_nothing_is_said_of_what_nothing_like_it_was_made(other: Work) -> None:
    assert pace((work(**SMALL), TOOK)).expected(other) is None


def test_weights_that_are_to_be_loaded() -> None:
    loading = video_work(planned(**SMALL), "mp4", "resident", loads=True)
    known = pace((loading, TOOK | {"load": 30.0}))
    assert seconds(known, loading) == pytest.approx(88.0)
    assert seconds(known, work(**SMALL)) == pytest.approx(58.0)


def test_sound() -> None:
    """A longer one takes longer, in proportion, before more is known."""
    plan = plan_sound(AudioRequest(), SKETCH_FOLEY, 2.0)
    known = pace((sound_work(plan, 2.0), {"sound": 3.0}))
    assert seconds(known, sound_work(plan, 8.0)) == pytest.approx(12.0)


def test_many_jobs() -> None:
    """What takes no time is no obstacle."""
    known = pace(*((work(**SMALL), TOOK | {"encode_prompt": took, "decode": 0.0}) for took in [0.0, 1.0] * (KEPT // 2)))
    assert 49.0 < seconds(known, work(**SMALL)) < 53.0
