"""The `hunyuanvideo-foley` API against its document."""

from typing import Any

import pytest

from tests.apis.samples import (
    ERROR_KEYS,
    PROGRESS_KEYS,
    SMALLEST,
    VIDEO_KEYS,
    parse,
    progress,
    refusal,
    refused_fields,
    result,
)
from videoworker.apis import APIS
from videoworker.errors import Code, JobError
from videoworker.request import AudioRequest, VideoRequest

NAME = "hunyuanvideo-foley"
API = APIS[NAME]


def test_the_documents_example_becomes_its_request() -> None:
    example = {
        "video_prompt": "A cat playing with yarn",
        "audio_prompt": "",
        "duration": 15,
        "quality": "medium",
        "output_format": "mp4",
    }
    assert API.parse(example) == VideoRequest(
        api=NAME,
        prompt="A cat playing with yarn",
        model="hunyuanvideo-1.5",
        width=1280,
        height=720,
        duration=15,
        audio=AudioRequest(),
        container="mp4",
        quality="medium",
        max_file_size=100_000_000,
    )


def test_the_defaults_are_the_documents() -> None:
    request = parse(NAME)
    assert (request.duration, request.quality, request.container) == (10, "medium", "mp4")


@pytest.mark.parametrize(("quality", "size"), [("low", (854, 480)), ("medium", (1280, 720)), ("high", (1920, 1080))])
def test_a_quality_is_a_picture_size_and_a_compression(quality: str, size: Any) -> None:
    request = parse(NAME, quality=quality)
    assert (request.width, request.height) == size
    assert request.quality == quality


def test_webm_can_be_asked_for() -> None:
    assert parse(NAME, output_format="webm").container == "webm"


def test_the_audio_prompt_is_the_sounds() -> None:
    assert parse(NAME, audio_prompt=" paws on\ngrass ").audio == AudioRequest(prompt="paws on grass")


@pytest.mark.parametrize("prompt", ["", "  ", "\n", None])
def test_an_empty_audio_prompt_is_none(prompt: Any) -> None:
    assert parse(NAME, audio_prompt=prompt).audio == AudioRequest(prompt=None)


@pytest.mark.parametrize("length", [1, 500])
def test_a_video_prompt_may_have_1_to_500_characters(length: int) -> None:
    assert len(parse(NAME, video_prompt="x" * length).prompt) == length


@pytest.mark.parametrize("prompt", ["", "x" * 501, 5])
def test_any_other_video_prompt_is_refused_in_the_documents_words(prompt: Any) -> None:
    error = API.error(refusal(NAME, {"video_prompt": prompt}), "job-1")
    assert {key: error[key] for key in ("error", "message", "code")} == {
        "error": "InvalidPromptError",
        "message": "Video prompt must be 1-500 characters",
        "code": 400,
    }


@pytest.mark.parametrize("length", [1, 200])
def test_an_audio_prompt_may_have_1_to_200_characters(length: int) -> None:
    assert parse(NAME, audio_prompt="x" * length).audio == AudioRequest("x" * length)


def test_a_longer_audio_prompt_is_refused() -> None:
    error = refusal(NAME, SMALLEST[NAME] | {"audio_prompt": "x" * 201})
    assert (error.code, error.message) == (Code.INVALID_PROMPT, "Audio prompt must be 1-200 characters")


@pytest.mark.parametrize("duration", [1, 1.0, 12.5, 30])
def test_a_duration_may_be_1_to_30_seconds(duration: Any) -> None:
    assert parse(NAME, duration=duration).duration == duration


@pytest.mark.parametrize("duration", [0, 0.999, 30.001, 31, "10", True, float("nan")])
def test_any_other_duration_is_refused(duration: Any) -> None:
    assert refusal(NAME, SMALLEST[NAME] | {"duration": duration}).code is Code.INVALID_DURATION


@pytest.mark.parametrize("other", [{"quality": "ultra"}, {"output_format": "avi"}, {"output_format": "MP4"}])
def test_any_other_choice_is_refused(other: dict[str, Any]) -> None:
    assert refused_fields(NAME, **other) == list(other)


def test_the_answer_is_the_documents_with_the_processing_time_as_duration() -> None:
    answer = API.answer(result(parse(NAME)))
    assert set(answer) == {"status", "message", "file_url", "duration", "file_size", "video", "timings"}
    assert answer["status"] == "success"
    assert answer["file_url"] == "file:///srv/outputs/a%20lake.mp4"
    assert answer["duration"] == 127.45
    assert answer["file_size"] == 15728640
    assert set(answer["video"]) == VIDEO_KEYS


def test_progress_is_a_status_and_a_fraction_below_one() -> None:
    report = API.progress(progress(1.0))
    assert set(report) == {"status", "progress"} | PROGRESS_KEYS
    assert report["status"] == "processing"
    assert report["progress"] < 1


def test_the_documents_code_is_a_number_so_ours_is_called_error_code() -> None:
    error = API.error(JobError(Code.GENERATION_TIMEOUT, "Video generation exceeded time limit (600 seconds)"), "job-1")
    assert set(error) == ERROR_KEYS | {"status", "error", "error_code"}
    assert (error["error"], error["code"], error["error_code"]) == ("GenerationTimeoutError", 408, "GENERATION_TIMEOUT")


@pytest.mark.parametrize("code", Code)
def test_every_code_has_a_name_in_the_documents_style(code: Code) -> None:
    error = API.error(JobError(code, "It did not work."), "job-1")
    assert error["error"].endswith("Error") and error["code"] == error["status_code"]
