"""From a request and a model to what will be made: frames, segments, steps, guidance, and what is said about it."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videoworker.errors import Code, FieldProblem, JobError
from videoworker.models import MODELS
from videoworker.models.cogvideox import COGVIDEOX
from videoworker.models.hunyuanvideo import HUNYUANVIDEO
from videoworker.models.hunyuanvideo_1_5 import (
    HUNYUANVIDEO_1_5,
    HUNYUANVIDEO_1_5_480P_I2V,
    HUNYUANVIDEO_1_5_720P_I2V,
)
from videoworker.models.ltx import LTX
from videoworker.models.mochi import MOCHI
from videoworker.models.sketch import SKETCH as SHIPPED
from videoworker.models.video_model import VideoModel
from videoworker.planning.plan import Plan, Segment, plan_clip
from videoworker.request import VideoRequest

# The sizes that the cases below work out by hand; what ships may be trained for others.
SKETCH = replace(SHIPPED, max_area=256 * 256, min_side=128, max_side=320)


def planned(model: VideoModel = SKETCH, **asked: Any) -> Plan:
    return plan_clip(VideoRequest(api="native", prompt="a red circle", **asked), model)


def refused(model: VideoModel, **asked: Any) -> JobError:
    with pytest.raises(JobError) as caught:
        planned(model, **asked)
    return caught.value


def kept(plan: Plan) -> int:
    return sum(segment.kept for segment in plan.segments)


def check_segments(plan: Plan) -> None:
    """Every segment is a run that the model can make, holds what is kept of it, and only the first begins anew."""
    model = plan.model
    assert plan.segments[0].overlap == 0
    assert all(segment.overlap == model.continued_from for segment in plan.segments[1:])
    for segment in plan.segments:
        assert (segment.num_frames - 1) % model.frame_step == 0
        assert model.min_frames <= segment.num_frames <= model.max_frames
        assert 1 <= segment.kept <= segment.num_frames - segment.overlap
    # a segment can only be continued from its last frames, so nothing of it may be thrown away
    assert all(segment.overlap + segment.kept == segment.num_frames for segment in plan.segments[:-1])


@pytest.mark.parametrize("num_frames", [*range(1, 9), *range(13, 130), 137, 240, 241, 360, 720, 1000])
def test_sketch_makes_any_number_of_frames_exactly(num_frames: int) -> None:
    plan = planned(num_frames=num_frames)
    assert plan.num_frames == kept(plan) == num_frames
    check_segments(plan)


@pytest.mark.parametrize("num_frames", range(13, 130))
def test_hunyuanvideo_makes_every_documented_length_in_one_part(num_frames: int) -> None:
    plan = planned(HUNYUANVIDEO, num_frames=num_frames)
    assert (len(plan.segments), kept(plan)) == (1, num_frames)
    check_segments(plan)


@pytest.mark.parametrize("model", [SKETCH, COGVIDEOX])
def test_cogvideox_is_only_asked_for_clips_of_an_odd_number_of_latents(model: VideoModel) -> None:
    """Its autoencoder decodes an even number of latents into a multiple of four frames, without the one more."""
    for num_frames in range(1, model.max_frames + 1):
        made = planned(model, num_frames=num_frames).segments[0].num_frames
        assert ((made - 1) // 4 + 1) % 2 == 1


def test_a_longer_clip_continues_from_the_last_frames_of_the_segment_before() -> None:
    plan = planned(num_frames=61)
    assert plan.segments == (Segment(25, 0, 25), Segment(25, 5, 20), Segment(25, 5, 16))
    assert "Made in 3 segments of at most 25 frames; each continues from the last 5 frames of the one before." in (
        plan.notes
    )


def test_a_length_off_the_models_steps_keeps_the_first_frames_and_says_so() -> None:
    plan = planned(COGVIDEOX, num_frames=42)
    assert plan.segments == (Segment(49, 0, 42),)
    assert "Made 49 frames and kept the first 42." in plan.notes


def test_a_clip_shorter_than_the_shortest_is_cut_from_the_shortest() -> None:
    assert planned(num_frames=8).segments == (Segment(25, 0, 8),)
    assert planned(COGVIDEOX, num_frames=2).segments == (Segment(9, 0, 2),)


def test_nothing_asked_for_means_the_models_defaults_and_no_note() -> None:
    plan = planned()
    assert (plan.canvas.width, plan.canvas.height) == (256, 256)
    assert (plan.num_frames, plan.fps, plan.sampling.steps, plan.sampling.guidance_scale) == (25, 12, 20, 2.0)
    assert plan.segments == (Segment(25, 0, 25),)
    assert plan.notes == ()


def test_what_is_asked_for_goes_before_the_models_defaults() -> None:
    plan = planned(width=128, height=192, num_frames=25, fps=60, num_inference_steps=1, guidance_scale=0.0)
    assert (plan.canvas.width, plan.canvas.height) == (128, 192)
    assert (plan.fps, plan.sampling.steps, plan.sampling.guidance_scale) == (60, 1, 0.0)


@pytest.mark.parametrize(
    ("duration", "fps", "num_frames"),
    [(5, 24, 120), (10, 24, 240), (1, None, 12), (30.0, None, 360), (2.04, 25, 51), (0.1, 1, 1), (1.05, 10, 10)],
)
def test_a_duration_becomes_the_nearest_number_of_frames(duration: float, fps: int | None, num_frames: int) -> None:
    plan = planned(duration=duration, fps=fps)
    assert plan.num_frames == kept(plan) == num_frames


def test_a_duration_that_is_no_whole_number_of_frames_is_noted() -> None:
    assert "0.99 s at 12 fps became 12 frames." in planned(duration=0.99).notes
    assert not any("became" in note for note in planned(duration=5, fps=24).notes)


def test_a_model_that_cannot_continue_refuses_a_longer_clip_and_says_how_long_it_may_be() -> None:
    error = refused(COGVIDEOX, num_frames=100, fps=8)
    assert error.code is Code.INVALID_FIELD
    assert [(problem.field, problem.given, problem.allowed) for problem in error.fields] == [
        ("num_frames", 100, "at most 49 frames (6.125 s) with cogvideox")
    ]
    assert planned(COGVIDEOX, num_frames=49, fps=8).num_frames == 49


def test_a_duration_that_is_too_long_is_refused_under_its_own_name_and_code() -> None:
    error = refused(HUNYUANVIDEO_1_5, duration=10.0)
    assert error.code is Code.INVALID_DURATION
    assert [(problem.field, problem.given) for problem in error.fields] == [("duration", 10.0)]
    assert planned(HUNYUANVIDEO_1_5, duration=5.0).num_frames == 120


def test_a_default_of_the_model_is_never_refused() -> None:
    for model in MODELS.values():
        plan = planned(model)
        assert plan.segments == (Segment(model.default_frames, 0, model.default_frames),)
        assert (plan.canvas.width, plan.canvas.height) == (model.default_width, model.default_height)


def test_pictures_that_a_model_cannot_take_are_refused_all_at_once() -> None:
    error = refused(COGVIDEOX, image="x", last_image="y")
    assert error.code is Code.INVALID_FIELD
    assert [problem.field for problem in error.fields] == ["image", "last_image"]
    assert "cogvideox makes video from text only" in error.message


def test_sketch_takes_a_first_picture_and_no_last_one() -> None:
    assert planned(image="x").notes == ()
    assert [problem.field for problem in refused(SKETCH, image="x", last_image="y").fields] == ["last_image"]


def test_a_shift_of_a_schedule_that_is_fixed_is_refused() -> None:
    error = refused(MOCHI, flow_shift=7.0)
    assert error.code is Code.INVALID_FIELD
    assert error.message == "flow_shift: no shift: mochi was trained for one course of noise levels"
    assert error.fields == (
        FieldProblem("flow_shift", 7.0, "no shift: mochi was trained for one course of noise levels"),
    )
    assert planned(MOCHI).sampling.flow_shift is None


def test_the_frame_rate_reaches_the_sampler() -> None:
    assert (planned(LTX).sampling.fps, planned(LTX, fps=12).sampling.fps) == (LTX.fps, 12)


@pytest.mark.parametrize(
    ("asked", "note"),
    [
        ({"flow_shift": 7.0}, "flow_shift has no effect with sketch."),
        ({"embedded_guidance_scale": 6.0}, "embedded_guidance_scale has no effect with sketch."),
        (
            {"negative_prompt": "blur", "guidance_scale": 1.0},
            "negative_prompt has no effect at a guidance_scale of 1 or less.",
        ),
        ({"guidance_scale": 0.5}, "A guidance_scale below 1 does the same as 1."),
        ({"low_vram": True}, "low_vram has no effect: sketch needs no GPU."),
    ],
)
def test_what_has_no_effect_is_said(asked: dict[str, Any], note: str) -> None:
    assert planned(**asked).notes == (note,)


@pytest.mark.parametrize(
    ("model", "asked"),
    [
        (HUNYUANVIDEO, {"flow_shift": 7.0, "embedded_guidance_scale": 6.0, "low_vram": True}),
        (SKETCH, {"negative_prompt": "blur"}),
        (SKETCH, {"negative_prompt": "", "guidance_scale": 1.0}),
    ],
)
def test_what_has_its_effect_is_not_noted(model: VideoModel, asked: dict[str, Any]) -> None:
    assert not any("no effect" in note for note in planned(model, **asked).notes)


def test_a_models_own_notes_stand_in_every_plan() -> None:
    assert set(HUNYUANVIDEO.checkpoint.notes) <= set(planned(HUNYUANVIDEO).notes)


@given(width=st.integers(16, 3840), height=st.integers(16, 3840), num_frames=st.integers(1, 1000))
def test_the_segments_of_any_clip_add_up(width: int, height: int, num_frames: int) -> None:
    plan = planned(width=width, height=height, num_frames=num_frames)
    assert plan.num_frames == kept(plan) == num_frames
    check_segments(plan)


@given(model=st.sampled_from(list(MODELS.values())), num_frames=st.integers(1, 1000))
def test_any_model_makes_a_clip_exactly_or_refuses_it_for_its_length(model: VideoModel, num_frames: int) -> None:
    if num_frames <= model.max_frames or model.continued_from:
        plan = planned(model, num_frames=num_frames)
        assert kept(plan) == num_frames
        check_segments(plan)
    else:
        assert f"at most {model.max_frames} frames" in refused(model, num_frames=num_frames).fields[0].allowed


def test_a_clip_too_long_for_a_text_variant_is_continued_by_its_image_variant() -> None:
    request = VideoRequest(api="native", prompt="a cat", duration=10.0, width=1920, height=1080)
    plan = plan_clip(request, HUNYUANVIDEO_1_5, HUNYUANVIDEO_1_5_720P_I2V)
    assert plan.continuing is HUNYUANVIDEO_1_5_720P_I2V
    assert plan.segments == (Segment(121, 0, 121), Segment(121, 1, 119))
    assert (
        "Made in 2 segments of at most 121 frames; each continues from the last frame of the one before, and is made "
        "by the variant 720p-i2v." in plan.notes
    )
    assert plan_clip(replace(request, duration=5.0), HUNYUANVIDEO_1_5, HUNYUANVIDEO_1_5_720P_I2V).continuing is None


@pytest.mark.parametrize("continuing", [None, HUNYUANVIDEO_1_5_480P_I2V], ids=["absent", "of another size"])
def test_without_a_variant_that_continues_it_a_long_clip_is_refused_with_the_longest_one(
    continuing: VideoModel | None,
) -> None:
    request = VideoRequest(api="native", prompt="a cat", duration=10.0)
    with pytest.raises(JobError) as caught:
        plan_clip(request, HUNYUANVIDEO_1_5, continuing)
    assert caught.value.code is Code.INVALID_DURATION
    assert "its variant 720p-i2v would go on" in caught.value.message.lower()
    assert caught.value.fields[0].allowed.startswith("at most 121 frames (5.0")
