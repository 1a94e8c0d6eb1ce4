"""The `cogvideox` API against its document."""

from typing import Any

import pytest

from tests.apis.samples import ERROR_KEYS, PROGRESS_KEYS, VIDEO_KEYS, parse, progress, refusal, refused_fields, result
from videoworker.apis import APIS
from videoworker.errors import Code, JobError
from videoworker.request import VideoRequest

NAME = "cogvideox"
API = APIS[NAME]


def test_the_documents_example_becomes_its_request() -> None:
    example = {
        "prompt": "A serene sunset over the ocean with birds flying in the sky.",
        "num_frames": 49,
        "fps": 24,
        "guidance_scale": 7.5,
        "num_inference_steps": 50,
    }
    assert API.parse(example) == VideoRequest(
        api=NAME,
        prompt="A serene sunset over the ocean with birds flying in the sky.",
        model="cogvideox",
        num_frames=49,
        fps=24,
        guidance_scale=7.5,
        num_inference_steps=50,
    )


def test_the_defaults_are_those_of_the_documents_info() -> None:
    request = parse(NAME)
    assert (request.num_frames, request.fps) == (49, 24)
    assert (request.guidance_scale, request.num_inference_steps) == (6.0, 50)


@pytest.mark.parametrize(
    ("field", "least", "most"), [("num_frames", 8, 100), ("fps", 1, 60), ("num_inference_steps", 1, 100)]
)
def test_an_integer_at_its_limits_is_kept_and_beyond_them_refused(field: str, least: Any, most: Any) -> None:
    assert getattr(parse(NAME, **{field: least}), field) == least
    assert getattr(parse(NAME, **{field: most}), field) == most
    assert refused_fields(NAME, **{field: least - 1}) == [field]
    assert refused_fields(NAME, **{field: most + 1}) == [field]


@pytest.mark.parametrize("scale", [1.0, 20.0])
def test_a_guidance_scale_may_be_1_to_20(scale: float) -> None:
    assert parse(NAME, guidance_scale=scale).guidance_scale == scale


@pytest.mark.parametrize("scale", [0.99, 20.01, -1])
def test_any_other_guidance_scale_is_refused(scale: float) -> None:
    assert refused_fields(NAME, guidance_scale=scale) == ["guidance_scale"]


@pytest.mark.parametrize("prompt", ["", "x" * 10_001])
def test_a_prompt_without_text_or_with_too_much_is_refused(prompt: Any) -> None:
    assert refusal(NAME, {"prompt": prompt}).code is Code.INVALID_PROMPT


def test_the_answer_has_the_files_url() -> None:
    answer = API.answer(result(parse(NAME)))
    assert set(answer) == {"status", "video_url", "video", "timings"}
    assert (answer["status"], answer["video_url"]) == ("completed", "file:///srv/outputs/a%20lake.mp4")
    assert set(answer["video"]) == VIDEO_KEYS


def test_progress_is_a_fraction_below_one() -> None:
    report = API.progress(progress(1.0))
    assert set(report) == {"status", "progress"} | PROGRESS_KEYS
    assert report["progress"] < 1


def test_an_error_has_its_text_and_code() -> None:
    error = API.error(JobError(Code.CANCELLED, "The job was cancelled."), "job-1")
    assert set(error) == {"status", "error"} | ERROR_KEYS
    assert (error["error"], error["code"]) == ("The job was cancelled.", "CANCELLED")
