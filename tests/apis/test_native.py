"""The `native` API: all that can be asked for."""

from dataclasses import fields
from typing import Any

import pytest

from tests.apis.samples import ERROR_KEYS, PROGRESS_KEYS, VIDEO_KEYS, parse, progress, refusal, refused_fields, result
from videoworker.apis import APIS
from videoworker.apis.text import LONGEST_TEXT
from videoworker.errors import Code, JobError
from videoworker.request import AudioRequest, VideoRequest

NAME = "native"
API = APIS[NAME]


def test_everything_at_once_becomes_its_request() -> None:
    assert API.parse(
        {
            "prompt": "A cat",
            "negative_prompt": "dogs",
            "model": "cogvideox",
            "width": 640,
            "height": 480,
            "duration": 2.5,
            "fps": 30,
            "seed": 7,
            "num_inference_steps": 20,
            "guidance_scale": 5,
            "embedded_guidance_scale": 4.5,
            "flow_shift": 3,
            "image": "https://example.org/first.png",
            "last_image": "https://example.org/last.png",
            "audio": {
                "prompt": "a purr",
                "negative_prompt": "a bark",
                "guidance_scale": 4,
                "num_inference_steps": 25,
                "seed": 8,
            },
            "effort": "fast",
            "low_vram": True,
            "container": "webm",
            "quality": "high",
            "crf": 60,
            "embed_prompt": True,
        }
    ) == VideoRequest(
        api=NAME,
        prompt="A cat",
        negative_prompt="dogs",
        model="cogvideox",
        width=640,
        height=480,
        duration=2.5,
        fps=30,
        seed=7,
        num_inference_steps=20,
        guidance_scale=5.0,
        embedded_guidance_scale=4.5,
        flow_shift=3.0,
        image="https://example.org/first.png",
        last_image="https://example.org/last.png",
        audio=AudioRequest("a purr", "a bark", 4.0, 25, 8),
        effort="fast",
        low_vram=True,
        container="webm",
        quality="high",
        crf=60,
        embed_prompt=True,
    )


def test_a_prompt_alone_leaves_everything_to_the_model() -> None:
    assert parse(NAME) == VideoRequest(api=NAME, prompt="A cat", model="sketch")


def test_every_part_of_a_request_but_the_workers_own_limit_can_be_said() -> None:
    of_request = {field.name for field in fields(VideoRequest)} - {"api", "max_file_size"}
    assert of_request <= set(API.schema.model_fields)


INTEGERS = [
    ("num_frames", 1, 1000),
    ("fps", 1, 60),
    ("seed", 0, 2**63 - 1),
    ("num_inference_steps", 1, 100),
    ("crf", 0, 51),
]
NUMBERS = [
    ("duration", 0.1, 60.0),
    ("guidance_scale", 0.0, 20.0),
    ("embedded_guidance_scale", 0.0, 20.0),
    ("flow_shift", 0.0, 20.0),
]


@pytest.mark.parametrize(("field", "least", "most"), INTEGERS)
def test_an_integer_at_its_limits_is_kept_and_beyond_them_refused(field: str, least: Any, most: Any) -> None:
    assert getattr(parse(NAME, **{field: least}), field) == least
    assert getattr(parse(NAME, **{field: most}), field) == most
    assert refused_fields(NAME, **{field: least - 1}) == [field]
    assert refused_fields(NAME, **{field: most + 1}) == [field]


@pytest.mark.parametrize(("field", "least", "most"), NUMBERS)
def test_a_number_at_its_limits_is_kept_and_beyond_them_refused(field: str, least: Any, most: Any) -> None:
    assert getattr(parse(NAME, **{field: least}), field) == least
    assert getattr(parse(NAME, **{field: most}), field) == most
    assert refused_fields(NAME, **{field: least - 0.01}) == [field]
    assert refused_fields(NAME, **{field: most + 0.01}) == [field]


def test_a_size_may_be_64_to_3840_pixels_each_way() -> None:
    assert parse(NAME, width=64, height=3840).height == 3840
    assert refused_fields(NAME, width=63, height=3841) == ["width", "height"]


@pytest.mark.parametrize(("given", "lacking"), [("width", "height"), ("height", "width")])
def test_one_side_of_a_picture_needs_the_other(given: str, lacking: str) -> None:
    assert refused_fields(NAME, **{given: 512}) == [lacking]


def test_a_resolution_stands_for_width_and_height() -> None:
    request = parse(NAME, resolution="480p")
    assert (request.width, request.height) == (854, 480)


@pytest.mark.parametrize("size", [{"width": 640}, {"height": 480}, {"width": 640, "height": 480}])
def test_a_resolution_and_a_size_are_refused_together(size: Any) -> None:
    assert refused_fields(NAME, resolution="720p", **size) == ["resolution"]


def test_frames_and_duration_are_refused_together() -> None:
    error = refusal(NAME, {"prompt": "A cat", "num_frames": 25, "duration": 1})
    assert (error.code, [problem.field for problem in error.fields]) == (Code.INVALID_FIELD, ["num_frames"])


def test_a_conflict_is_told_beside_the_problems_of_single_fields() -> None:
    assert set(refused_fields(NAME, num_frames=25, duration=1, fps=0, width=64, prmpt="x")) == {
        "num_frames",
        "fps",
        "height",
        "prmpt",
    }


def test_a_given_video_has_its_picture() -> None:
    """It needs a sound, and takes nothing that would say how to make a picture. Defaults that are told count too."""
    clip = {"video": "https://example.com/clip.mp4"}
    request = parse(NAME, **clip | {"prompt": None, "audio": {}, "seed": 3})
    assert (request.video, request.prompt, request.audio, request.seed) == (clip["video"], "", AudioRequest(), 3)
    error = refusal(NAME, clip | {"prompt": "A cat", "num_frames": 25, "duration": 1, "container": "mp4"})
    assert {problem.field for problem in error.fields} == {"prompt", "num_frames", "duration", "container", "audio"}
    assert error.message == "Prompt must be absent if video is given, because its picture stays as it is"
    assert [problem.field for problem in refusal(NAME, clip | {"audio": {}, "model": "sketch"}).fields] == ["model"]
    error = refusal(NAME, {"audio": {}})
    assert (error.code, error.message) == (Code.INVALID_PROMPT, f"Prompt must be 1-{LONGEST_TEXT} characters")


@pytest.mark.parametrize(("container", "most"), [("mp4", 51), ("webm", 63)])
def test_the_largest_crf_is_the_codecs(container: str, most: Any) -> None:
    assert parse(NAME, container=container, crf=most).crf == most
    assert refused_fields(NAME, container=container, crf=most + 1) == ["crf"]


def test_an_empty_negative_prompt_is_kept_to_set_aside_the_models_own() -> None:
    assert parse(NAME, negative_prompt="").negative_prompt == ""


def test_an_empty_audio_object_asks_for_sound() -> None:
    assert parse(NAME, audio={}).audio == AudioRequest()
    assert parse(NAME, audio=None).audio is None


def test_null_within_audio_is_the_same_as_not_given() -> None:
    assert parse(NAME, audio={"prompt": None, "seed": None}).audio == AudioRequest()


def test_problems_within_audio_have_dotted_names() -> None:
    error = refusal(
        NAME,
        {"prompt": "A cat", "audio": {"seed": True, "num_inference_steps": 0, "promt": "x", "\udc00": 1}},
    )
    assert [problem.field for problem in error.fields] == [
        "audio.num_inference_steps",
        "audio.seed",
        "audio.promt",
        "audio.?",
    ]
    assert "did you mean prompt?" in error.fields[2].allowed


def test_an_audio_prompt_has_at_most_1000_characters() -> None:
    assert parse(NAME, audio={"prompt": "x" * 1000}).audio == AudioRequest("x" * 1000)
    error = refusal(NAME, {"prompt": "A cat", "audio": {"prompt": "x" * 1001}})
    assert (error.code, error.message) == (Code.INVALID_PROMPT, "Audio prompt must be 1-1000 characters")


@pytest.mark.parametrize("audio", [True, "a purr", [], 5])
def test_audio_is_an_object(audio: Any) -> None:
    assert refused_fields(NAME, audio=audio) == ["audio"]


def test_the_answer_has_the_files_url_and_the_two_objects() -> None:
    answer = API.answer(result(parse(NAME)))
    assert set(answer) == {"job_id", "status", "video_url", "video", "timings"}
    assert set(answer["video"]) == VIDEO_KEYS
    assert answer["video"]["notes"] == ["made at 256x192 and scaled up"]


def test_progress_is_a_fraction_below_one() -> None:
    report = API.progress(progress(1.0))
    assert set(report) == {"job_id", "status", "progress"} | PROGRESS_KEYS
    assert report["progress"] < 1


def test_an_error_has_its_code_and_text() -> None:
    error = API.error(JobError(Code.GENERATION_FAILED, "It did not work."), "job-1")
    assert set(error) == {"job_id", "status"} | ERROR_KEYS
    assert (error["code"], error["message"], error["fields"]) == ("GENERATION_FAILED", "It did not work.", [])
    assert (error["retryable"], error["status_code"]) == (True, 500)
