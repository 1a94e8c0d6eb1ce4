"""The `local` API against its document."""

import json
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
from videoworker.request import VideoRequest

NAME = "local"
API = APIS[NAME]
EXAMPLE = VideoRequest(
    api=NAME,
    prompt="A serene lake at sunset with mountains in the background",
    width=512,
    height=512,
    num_frames=48,
    fps=24,
    seed=42,
)


def of_form(form: dict[str, Any]) -> VideoRequest:
    return API.parse(API.read_form(form))


def test_the_documents_example_becomes_its_request_from_json() -> None:
    assert (
        API.parse(
            {
                "prompt": "A serene lake at sunset with mountains in the background",
                "fps": 24,
                "num_frames": 48,
                "width": 512,
                "height": 512,
                "seed": 42,
                "low_vram": False,
                "lawful_use_consent": True,
            }
        )
        == EXAMPLE
    )


def test_the_documents_example_becomes_the_same_request_from_a_form() -> None:
    assert (
        of_form(
            {
                "prompt": "A serene lake at sunset with mountains in the background",
                "fps": "24",
                "num_frames": "48",
                "width": "512",
                "height": "512",
                "seed": "42",
                "low_vram": "false",
                "lawful_use_consent": "true",
            }
        )
        == EXAMPLE
    )


def test_the_defaults_are_the_documents() -> None:
    assert parse(NAME) == VideoRequest(
        api=NAME, prompt="A cat", width=720, height=720, num_frames=64, fps=24, seed=None, low_vram=False
    )


def test_a_form_field_that_was_not_filled_in_is_not_given() -> None:
    optional = ["image", "fps", "num_frames", "width", "height", "seed", "prefer_backend", "low_vram"]
    form = {"prompt": "A cat", "lawful_use_consent": "true"} | dict.fromkeys(optional, "")
    assert of_form(form) == parse(NAME)


@pytest.mark.parametrize(
    ("field", "text", "meant"),
    [
        ("low_vram", "true", True),
        ("low_vram", "True", True),
        ("low_vram", "on", True),
        ("low_vram", "false", False),
        ("seed", "4294967295", 2**32 - 1),
        ("fps", "60", 60),
    ],
)
def test_a_form_value_is_read_from_its_text(field: str, text: Any, meant: Any) -> None:
    assert getattr(of_form({"prompt": "A cat", "lawful_use_consent": "true", field: text}), field) == meant


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("fps", "24.5"),
        ("fps", "61"),
        ("fps", "many"),
        ("seed", "null"),
        ("seed", "9" * 5000),
        ("seed", "\ud800"),
        ("low_vram", "maybe"),
        ("width", "513"),
        ("colour", "red"),
    ],
)
def test_a_form_value_that_means_nothing_is_refused(field: str, text: Any) -> None:
    with pytest.raises(JobError) as caught:
        of_form({"prompt": "A cat", "lawful_use_consent": "true", field: text})
    assert [problem.field for problem in caught.value.fields] == [field]
    json.dumps(API.error(caught.value, "job-1"), ensure_ascii=False).encode()


@pytest.mark.parametrize("consent", ["", "false", "0", "perhaps"])
def test_a_form_without_consent_is_refused(consent: Any) -> None:
    with pytest.raises(JobError) as caught:
        of_form({"prompt": "A cat", "lawful_use_consent": consent})
    assert caught.value.code is Code.CONSENT_MISSING


NO_CONSENT: list[object] = [False, None, 1, "true", "yes", []]


@pytest.mark.parametrize(
    "consent",
    [{}, *({"lawful_use_consent": value} for value in NO_CONSENT)],
)
def test_nothing_but_true_is_consent(consent: Any) -> None:
    error = refusal(NAME, {"prompt": "A cat"} | consent)
    assert error.code is Code.CONSENT_MISSING
    assert [problem.field for problem in error.fields] == ["lawful_use_consent"]
    assert API.error(error, "job-1")["status_code"] == 403


@pytest.mark.parametrize("other", [{"fps": 0}, {"unknown": 1}])
def test_missing_consent_is_one_problem_among_others(other: dict[str, Any]) -> None:
    error = refusal(NAME, {"prompt": "A cat"} | other)
    assert error.code is Code.INVALID_FIELD
    assert {problem.field for problem in error.fields} == {"lawful_use_consent", *other}


@pytest.mark.parametrize("length", [3, 1000])
def test_a_prompt_may_have_3_to_1000_characters(length: int) -> None:
    assert len(parse(NAME, prompt="x" * length).prompt) == length


@pytest.mark.parametrize("length", [0, 2, 1001])
def test_any_other_prompt_is_refused(length: int) -> None:
    assert refusal(NAME, SMALLEST[NAME] | {"prompt": "x" * length}).code is Code.INVALID_PROMPT


@pytest.mark.parametrize(
    ("field", "least", "most", "grid"),
    [
        ("fps", 1, 60, 1),
        ("num_frames", 8, 240, 1),
        ("width", 256, 1920, 8),
        ("height", 256, 1080, 8),
        ("seed", 0, 2**32 - 1, 1),
    ],
)
def test_an_integer_at_its_limits_is_kept_and_beyond_them_refused(field: str, least: Any, most: Any, grid: int) -> None:
    assert getattr(parse(NAME, **{field: least}), field) == least
    assert getattr(parse(NAME, **{field: most}), field) == most
    for beyond in (least - 1, least - grid, most + 1, most + grid):
        assert refused_fields(NAME, **{field: beyond}) == [field]


@pytest.mark.parametrize("field", ["width", "height"])
@pytest.mark.parametrize("size", [257, 263, 516])
def test_a_size_off_the_grid_of_8_is_refused(field: str, size: Any) -> None:
    assert refused_fields(NAME, **{field: size}) == [field]


@pytest.mark.parametrize(
    ("backend", "model"), [("opensora", "open-sora"), ("mochi", "mochi"), ("auto", None), ("", None), (None, None)]
)
def test_a_backend_is_a_model_and_an_empty_one_the_workers_choice(backend: Any, model: Any) -> None:
    assert parse(NAME, prefer_backend=backend).model == model


@pytest.mark.parametrize("backend", ["open-sora", "sketch", "Mochi", 1])
def test_any_other_backend_is_refused(backend: Any) -> None:
    assert refused_fields(NAME, prefer_backend=backend) == ["prefer_backend"]


@pytest.mark.parametrize("image", ["https://example.org/a.png", "data:image/png;base64,iVBORw0KGgo=", "iVBORw0KGgo="])
def test_an_image_is_passed_on_as_it_was_given(image: Any) -> None:
    assert parse(NAME, image=image).image == image


def test_an_image_may_have_30_million_characters() -> None:
    assert parse(NAME, image="A" * 30_000_000).image is not None


@pytest.mark.parametrize("image", ["A" * 30_000_001, "", 5, ["iVBORw0KGgo="], "\ud800"], ids=lambda _: "image")
def test_any_other_image_is_refused(image: Any) -> None:
    error = refusal(NAME, SMALLEST[NAME] | {"image": image})
    assert [problem.field for problem in error.fields] == ["image"]
    assert "30000000 characters" in error.message
    assert len(error.message) < 300


def test_the_answer_is_the_documents_success() -> None:
    answer = API.answer(result(parse(NAME), model="mochi"))
    video = answer.pop("video")
    assert answer.pop("timings")["total"] == 127.45
    assert answer == {
        "success": True,
        "video_url": "file:///srv/outputs/a%20lake.mp4",
        "mp4_path": "video.mp4",
        "frames": 48,
        "fps": 24,
        "width": 512,
        "height": 384,
        "seed": 42,
        "backend": "mochi",
        "elapsed_time": 127.45,
        "error": None,
    }
    assert set(video) == VIDEO_KEYS


@pytest.mark.parametrize(("model", "backend"), [("open-sora", "opensora"), ("mochi", "mochi"), ("sketch", "sketch")])
def test_the_backend_is_the_documents_name_of_the_model(model: Any, backend: Any) -> None:
    assert API.answer(result(parse(NAME), model=model))["backend"] == backend


def test_progress_is_a_fraction_below_one() -> None:
    report = API.progress(progress(1.0))
    assert set(report) == {"status", "progress", "elapsed_time"} | PROGRESS_KEYS
    assert report["progress"] < 1


def test_an_error_is_the_documents() -> None:
    error = API.error(JobError(Code.OUT_OF_MEMORY, "Insufficient memory."), "job-1")
    assert set(error) == {"success", "video_url", "error"} | ERROR_KEYS
    assert (error["success"], error["video_url"], error["error"]) == (False, None, "Insufficient memory.")
    assert (error["status_code"], error["retryable"]) == (503, True)
