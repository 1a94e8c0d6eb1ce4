"""The `hunyuanvideo` API against its document."""

from dataclasses import replace
from typing import Any

import pytest

from tests.apis.samples import ERROR_KEYS, PROGRESS_KEYS, VIDEO_KEYS, parse, progress, refusal, refused_fields, result
from videoworker.apis import APIS
from videoworker.errors import Code, FieldProblem, JobError
from videoworker.models import MODELS
from videoworker.planning.plan import plan_clip
from videoworker.request import VideoRequest

NAME = "hunyuanvideo"
API = APIS[NAME]
STATUS_KEYS = {"job_id", "status", "progress", "created_at", "updated_at", "video_url", "error", "estimated_time"}


def test_the_documents_example_becomes_its_request() -> None:
    example = {
        "prompt": "A cat walks on the grass, realistic style.",
        "width": 640,
        "height": 480,
        "video_length": 61,
        "fps": 15,
        "seed": None,
        "num_inference_steps": 30,
        "guidance_scale": 1.0,
        "flow_shift": 7.0,
        "embedded_guidance_scale": 6.0,
    }
    expected = VideoRequest(
        api=NAME,
        prompt="A cat walks on the grass, realistic style.",
        model="hunyuanvideo",
        width=640,
        height=480,
        num_frames=61,
        fps=15,
        num_inference_steps=30,
        guidance_scale=1.0,
        flow_shift=7.0,
        embedded_guidance_scale=6.0,
    )
    assert API.parse(example) == expected
    # All of it is default but the prompt. What only some models have is left to the model where it is not asked for.
    assert API.parse({"prompt": example["prompt"]}) == replace(expected, flow_shift=None, embedded_guidance_scale=None)


def test_a_job_with_the_defaults_suits_a_model_that_has_no_shift() -> None:
    request = parse(NAME)
    assert plan_clip(request, MODELS["mochi"]).sampling.flow_shift is None
    with pytest.raises(JobError, match="flow_shift: no shift: mochi was trained for one course of noise levels"):
        plan_clip(parse(NAME, flow_shift=7.0), MODELS["mochi"])


@pytest.mark.parametrize(
    "settings",
    [
        {"width": 480, "height": 360, "video_length": 61, "fps": 15, "num_inference_steps": 25},
        {"width": 720, "height": 480, "video_length": 61, "fps": 15, "num_inference_steps": 40},
        {"width": 960, "height": 544, "video_length": 61, "num_inference_steps": 40},
    ],
)
def test_the_documents_recommended_settings_are_valid(settings: dict[str, Any]) -> None:
    assert parse(NAME, **settings).width == settings["width"]


INTEGERS = [
    ("width", "width", 256, 1280),
    ("height", "height", 256, 1280),
    ("video_length", "num_frames", 13, 129),
    ("fps", "fps", 8, 30),
    ("num_inference_steps", "num_inference_steps", 10, 50),
    ("seed", "seed", 0, 2**63 - 1),
]
NUMBERS = [
    ("guidance_scale", 1.0, 20.0),
    ("flow_shift", 0.0, 10.0),
    ("embedded_guidance_scale", 1.0, 20.0),
]


@pytest.mark.parametrize(("field", "meant", "least", "most"), INTEGERS)
def test_an_integer_at_its_limits_is_kept_and_beyond_them_refused(
    field: str, meant: Any, least: Any, most: Any
) -> None:
    assert getattr(parse(NAME, **{field: least}), meant) == least
    assert getattr(parse(NAME, **{field: most}), meant) == most
    assert refused_fields(NAME, **{field: least - 1}) == [field]
    assert refused_fields(NAME, **{field: most + 1}) == [field]


@pytest.mark.parametrize(("field", "least", "most"), NUMBERS)
def test_a_number_at_its_limits_is_kept_and_beyond_them_refused(field: str, least: Any, most: Any) -> None:
    assert getattr(parse(NAME, **{field: least}), field) == least
    assert getattr(parse(NAME, **{field: most}), field) == most
    assert refused_fields(NAME, **{field: least - 0.001}) == [field]
    assert refused_fields(NAME, **{field: most + 0.001}) == [field]


@pytest.mark.parametrize("length", [14, 62, 100, 128])
def test_a_length_off_the_models_grid_is_kept(length: int) -> None:
    assert parse(NAME, video_length=length).num_frames == length


@pytest.mark.parametrize("width", [257, 641, 1279])
def test_an_odd_width_is_kept(width: int) -> None:
    assert parse(NAME, width=width).width == width


def test_a_prompt_may_have_1_to_10000_characters() -> None:
    assert parse(NAME, prompt="x").prompt == "x"
    assert len(parse(NAME, prompt="x" * 10_000).prompt) == 10_000
    for prompt in ("", "x" * 10_001):
        error = refusal(NAME, {"prompt": prompt})
        assert (error.code, error.message) == (Code.INVALID_PROMPT, "Prompt must be 1-10000 characters")


def test_the_answer_is_the_documents_completed_form() -> None:
    answer = API.answer(result(parse(NAME)))
    assert set(answer) == STATUS_KEYS | {"video", "timings"}
    assert {key: answer[key] for key in STATUS_KEYS} == {
        "job_id": "job-1",
        "status": "completed",
        "progress": 1.0,
        "created_at": "2025-10-25T16:00:00",
        "updated_at": "2025-10-25T16:10:00",
        "video_url": "file:///srv/outputs/a%20lake.mp4",
        "error": None,
        "estimated_time": 127,
    }
    assert isinstance(answer["progress"], float)
    assert set(answer["video"]) == VIDEO_KEYS


def test_progress_is_the_documents_processing_form() -> None:
    report = API.progress(progress(0.5))
    assert set(report) == STATUS_KEYS | PROGRESS_KEYS
    assert {key: report[key] for key in STATUS_KEYS} == {
        "job_id": "job-1",
        "status": "processing",
        "progress": 0.5,
        "created_at": "2025-10-25T16:00:00",
        "updated_at": "2025-10-25T16:00:30",
        "video_url": None,
        "error": None,
        "estimated_time": 63,
    }
    assert (report["stage"], report["step"], report["steps"], report["remaining"]) == ("denoise", 12, 30, 33.3)


def test_progress_is_below_one_until_the_answer() -> None:
    assert API.progress(progress(1.0))["progress"] == 0.99


def test_an_error_is_both_of_the_documents_forms() -> None:
    error = API.error(JobError(Code.MODEL_NOT_LOADED, "The weights are absent."), "job-1")
    assert set(error) == STATUS_KEYS | ERROR_KEYS | {"detail"}
    assert (error["job_id"], error["status"], error["video_url"]) == ("job-1", "failed", None)
    assert error["error"] == error["detail"] == error["message"] == "The weights are absent."
    assert (error["code"], error["status_code"]) == ("MODEL_NOT_LOADED", 503)


def test_a_problem_found_after_parsing_is_told_under_the_documents_field_name() -> None:
    problem = FieldProblem("num_frames", 129, "at most 49 frames")
    answer = APIS[NAME].error(JobError(Code.INVALID_FIELD, "Too long.", (problem,)), "j")
    assert answer["fields"] == [{"field": "video_length", "given": 129, "allowed": "at most 49 frames"}]
