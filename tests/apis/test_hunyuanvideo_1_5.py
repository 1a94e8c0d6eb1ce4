"""The `hunyuanvideo-1.5` API against its document."""

from typing import Any

import pytest

from tests.apis.samples import ERROR_KEYS, PROGRESS_KEYS, VIDEO_KEYS, parse, progress, refusal, refused_fields, result
from videoworker.apis import APIS
from videoworker.errors import Code, JobError
from videoworker.models import MODELS
from videoworker.request import VideoRequest

NAME = "hunyuanvideo-1.5"
API = APIS[NAME]


def test_the_documents_example_becomes_its_request() -> None:
    example = {
        "prompt": "Professional educational video about data privacy principles",
        "duration": 10,
        "resolution": "1080p",
        "model": "HunyuanVideo-1.5",
    }
    expected = VideoRequest(
        api=NAME,
        prompt="Professional educational video about data privacy principles",
        model="hunyuanvideo-1.5",
        width=1920,
        height=1080,
        duration=10,
    )
    assert API.parse(example) == expected
    assert API.parse({"prompt": example["prompt"]}) == expected  # all of it is default but the prompt


@pytest.mark.parametrize("length", [10, 500])
def test_a_prompt_may_have_10_to_500_characters(length: int) -> None:
    assert len(parse(NAME, prompt="x" * length).prompt) == length


@pytest.mark.parametrize("length", [0, 9, 501])
def test_any_other_prompt_is_refused(length: int) -> None:
    error = refusal(NAME, {"prompt": "x" * length})
    assert (error.code, error.message) == (Code.INVALID_PROMPT, "Prompt must be 10-500 characters")


@pytest.mark.parametrize("duration", [5, 10, 5.0])
def test_a_duration_may_be_5_to_10_whole_seconds(duration: Any) -> None:
    assert parse(NAME, duration=duration).duration == duration


@pytest.mark.parametrize("duration", [4, 11, 7.5, 5.5, "5", True])
def test_any_other_duration_is_refused(duration: Any) -> None:
    error = refusal(NAME, {"prompt": "A cat on the grass", "duration": duration})
    assert error.code is Code.INVALID_DURATION
    assert API.error(error, "job-1")["error_code"] == "INVALID_DURATION"


@pytest.mark.parametrize(("resolution", "size"), [("720p", (1280, 720)), ("1080p", (1920, 1080))])
def test_a_resolution_is_a_16_to_9_picture(resolution: Any, size: Any) -> None:
    request = parse(NAME, resolution=resolution)
    assert (request.width, request.height) == size


@pytest.mark.parametrize("resolution", ["480p", "1080", 1080, "1080P", ""])
def test_any_other_resolution_is_refused(resolution: Any) -> None:
    assert refused_fields(NAME, resolution=resolution) == ["resolution"]


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("HunyuanVideo-1.5", "hunyuanvideo-1.5"),
        ("HunyuanVideo", "hunyuanvideo"),
        ("sketch", "sketch"),
        ("MOCHI", "mochi"),
    ],
)
def test_a_model_is_named_in_upper_or_lower_case(name: Any, model: Any) -> None:
    assert parse(NAME, model=name).model == model


@pytest.mark.parametrize("name", ["HunyuanVideo-2", "", 1.5, "foley", "../weights"])
def test_any_other_model_is_refused_with_the_list(name: Any) -> None:
    error = refusal(NAME, {"prompt": "A cat on the grass", "model": name})
    assert [problem.field for problem in error.fields] == ["model"]
    assert ", ".join(MODELS) in error.message


def test_the_answer_is_the_documents_completed_form() -> None:
    answer = API.answer(result(parse(NAME, duration=7, resolution="720p")))
    video, timings = answer.pop("video"), answer.pop("timings")
    assert answer == {
        "task_id": "job-1",
        "status": "completed",
        "progress": 100,
        "video_url": "file:///srv/outputs/a%20lake.mp4",
        "duration": 7,
        "resolution": "720p",
        "file_size": 15728640,
    }
    assert isinstance(answer["duration"], int)
    assert set(video) == VIDEO_KEYS
    assert timings["total"] == 127.45


@pytest.mark.parametrize(("fraction", "percent"), [(0.0, 0), (0.29, 29), (0.65, 65), (0.996, 99), (1.0, 99)])
def test_progress_is_a_whole_percentage_below_100_until_the_answer(fraction: float, percent: int) -> None:
    report = API.progress(progress(fraction))
    assert set(report) == {"task_id", "status", "progress", "elapsed_time"} | PROGRESS_KEYS
    assert (report["task_id"], report["status"], report["elapsed_time"]) == ("job-1", "processing", 30)
    assert report["progress"] == percent
    assert isinstance(report["progress"], int)


@pytest.mark.parametrize(
    ("code", "word"),
    [
        (Code.INVALID_PROMPT, "INVALID_PROMPT"),
        (Code.OUT_OF_MEMORY, "OOM_ERROR"),
        (Code.MODEL_NOT_LOADED, "MODEL_NOT_LOADED"),
        (Code.GENERATION_FAILED, "GENERATION_FAILED"),
    ],
)
def test_an_error_is_the_documents_failed_form_with_its_error_code(code: Code, word: str) -> None:
    error = API.error(JobError(code, "It did not work."), "job-1")
    assert set(error) == {"task_id", "status", "error", "error_code"} | ERROR_KEYS
    assert (error["task_id"], error["status"], error["error"]) == ("job-1", "failed", "It did not work.")
    assert (error["error_code"], error["code"]) == (word, code.value)


@pytest.mark.parametrize("code", Code)
def test_every_code_has_an_error_code_in_the_documents_style(code: Code) -> None:
    error = API.error(JobError(code, "It did not work."), "job-1")
    assert error["error_code"].isupper()
