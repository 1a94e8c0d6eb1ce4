"""Rules that hold for every API's input."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from tests.apis.samples import ERROR_KEYS, SMALLEST, parse, refusal, refused_fields
from videoworker.apis import APIS
from videoworker.apis.schema_fields import schema_fields
from videoworker.errors import Code, JobError

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters()), inner, max_size=4),
    max_leaves=12,
)
FIELD_NAMES = sorted({name for api in APIS.values() for name in api.schema.model_fields})


@pytest.mark.parametrize("api", APIS)
def test_the_smallest_input_is_enough(api: str) -> None:
    assert APIS[api].parse(SMALLEST[api]).api == api


@pytest.mark.parametrize("api", APIS)
def test_the_name_of_the_api_is_no_field_of_it(api: str) -> None:
    assert APIS[api].parse(SMALLEST[api] | {"api": api}) == APIS[api].parse(SMALLEST[api])


@pytest.mark.parametrize("api", APIS)
def test_an_empty_input_lacks_its_prompt(api: str) -> None:
    assert refusal(api, {}).code is Code.INVALID_PROMPT


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("raw", [None, [], "prompt", 5, True])
def test_an_input_that_is_no_object_is_refused(api: str, raw: Any) -> None:
    assert [problem.field for problem in refusal(api, raw).fields] == ["input"]


@pytest.mark.parametrize("api", APIS)
def test_null_is_the_same_as_not_given_for_every_optional_field(api: str) -> None:
    optional = [
        name
        for name, field in APIS[api].schema.model_fields.items()
        if not field.is_required() and name not in SMALLEST[api]
    ]
    assert optional
    assert parse(api, **dict.fromkeys(optional)) == parse(api)


def integer_fields() -> list[tuple[str, str, int]]:
    """Each API's integer fields, with an allowed value."""
    found = []
    for name, api in APIS.items():
        schema: type[BaseModel] = api.schema
        for field in schema_fields(schema).values():
            if field.type == "integer" and "." not in field.name and field.name not in ("width", "height"):
                found.append((name, field.name, field.default or int(field.allowed.split()[3])))
    return found


@pytest.mark.parametrize(("api", "field", "value"), integer_fields())
def test_integral_number(api: str, field: str, value: int) -> None:
    """JSON has one kind of number: 49.0 is 49. 49.5 is none."""
    assert parse(api, **{field: float(value)}) == parse(api, **{field: value})
    assert field in refused_fields(api, **{field: value + 0.5})


def test_integral_numbers_together() -> None:
    request = parse("native", width=640.0, height=4.8e2, audio={"seed": 7.0, "num_inference_steps": 20.0})
    assert (request.width, request.height, request.audio and request.audio.seed) == (640, 480, 7)
    assert type(request.width) is int


@pytest.mark.parametrize("value", [1e300, -1e300, 2.0**63])
def test_large_number(value: float) -> None:
    assert refused_fields("native", seed=value) == ["seed"]


@pytest.mark.parametrize("api", APIS)
def test_null_is_no_prompt(api: str) -> None:
    prompt = "video_prompt" if api == "hunyuanvideo-foley" else "prompt"
    assert refusal(api, SMALLEST[api] | {prompt: None}).code is Code.INVALID_PROMPT


@pytest.mark.parametrize(
    ("api", "misspelt", "nearest"),
    [
        ("hunyuanvideo-foley", "promt", "video_prompt"),
        ("hunyuanvideo-foley", "video_promt", "video_prompt"),
        ("hunyuanvideo", "num_inference_step", "num_inference_steps"),
        ("hunyuanvideo", "Width", "width"),
        ("hunyuanvideo-1.5", "resolutoin", "resolution"),
        ("local", "lawful_consent", "lawful_use_consent"),
        ("cogvideox", "guidance", "guidance_scale"),
        ("native", "numframes", "num_frames"),
    ],
)
def test_an_unknown_field_is_refused_with_the_nearest_known_name(api: str, misspelt: str, nearest: str) -> None:
    error = refusal(api, SMALLEST[api] | {misspelt: 1})
    (problem,) = error.fields
    assert (error.code, problem.field, problem.given) == (Code.INVALID_FIELD, misspelt, 1)
    assert f"did you mean {nearest}?" in problem.allowed


def test_an_unknown_field_like_no_other_is_refused_with_all_known_names() -> None:
    (problem,) = refusal("cogvideox", {"prompt": "A cat", "zzz": 1}).fields
    assert "prompt, num_frames, fps, guidance_scale, num_inference_steps" in problem.allowed


def test_a_field_of_another_api_is_unknown() -> None:
    error = refusal("hunyuanvideo", {"prompt": "A cat", "negative_prompt": "dogs"})
    assert error.code is Code.INVALID_FIELD
    assert [problem.field for problem in error.fields] == ["negative_prompt"]


@pytest.mark.parametrize(("key", "name"), [(5, "5"), (None, "None"), (True, "True"), ("\ud800", "?"), ("", "")])
def test_a_key_that_is_no_name_is_an_unknown_field_and_hides_no_other_problem(key: Any, name: Any) -> None:
    error = refusal("cogvideox", {"prompt": "A cat", "fps": 0, key: 1})
    assert [problem.field for problem in error.fields] == ["fps", name]


@pytest.mark.parametrize("api", APIS)
def test_no_nesting_is_too_deep(api: str) -> None:
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"prompt": deep}
    names = list(APIS[api].schema.model_fields)
    assert set(refused_fields(api, **dict.fromkeys([*names, "unknown"], deep))) >= {*names, "unknown"} - {"audio"}


def test_a_hundred_thousand_unknown_fields_make_a_short_error() -> None:
    error = refusal("native", {"prompt": "A cat"} | {f"unknown field {index}": index for index in range(100_000)})
    assert "100000 unknown fields" in str(error.fields[-1])
    assert len(json.dumps(APIS["native"].error(error, "job-1"))) < 100_000


@pytest.mark.parametrize(
    "value",
    [
        True,
        False,
        512.5,
        "512",
        "",
        float("nan"),
        10**400,
        -(10**400),
        10**6000,
        [512],
        {"width": 512},
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_integer_is_an_integer_and_nothing_like_it(value: Any) -> None:
    assert refused_fields("hunyuanvideo", width=value) == ["width"]


@pytest.mark.parametrize(
    "value",
    [True, "7.5", "", float("nan"), float("inf"), float("-inf"), 10**400, [7.5], {}],
    ids=lambda value: type(value).__name__,
)
def test_a_number_is_a_finite_number_and_nothing_like_it(value: Any) -> None:
    assert refused_fields("cogvideox", guidance_scale=value) == ["guidance_scale"]


def test_an_integer_is_a_number() -> None:
    assert parse("cogvideox", guidance_scale=7).guidance_scale == 7.0


@pytest.mark.parametrize("value", [0, 1, "true", "", [], {}])
def test_a_boolean_is_true_or_false_and_nothing_like_it(value: Any) -> None:
    assert refused_fields("local", low_vram=value) == ["low_vram"]


@pytest.mark.parametrize("value", [5, True, 2.5, ["A cat on grass"], {"text": "A cat on grass"}, b"A cat on grass"])
def test_a_prompt_is_text_and_nothing_like_it(value: Any) -> None:
    assert refused_fields("hunyuanvideo-1.5", prompt=value) == ["prompt"]


@pytest.mark.parametrize("value", ["High", "", 1, [], {}, "\ud800"])
def test_a_choice_is_one_of_those_named(value: Any) -> None:
    error = refusal("hunyuanvideo-foley", {"video_prompt": "A cat", "quality": value})
    assert [problem.field for problem in error.fields] == ["quality"]
    assert "low, medium, high" in error.message


def test_all_problems_are_told_at_once_with_what_was_given_and_what_is_allowed() -> None:
    error = refusal(
        "hunyuanvideo",
        {"width": 255, "height": "480", "fps": 8.5, "seed": -1, "flow_shift": 11, "prompt": "A cat", "sed": 1},
    )
    assert error.code is Code.INVALID_FIELD
    told = {problem.field: (problem.given, problem.allowed) for problem in error.fields}
    assert told["width"] == (255, "an integer from 256 to 1280")
    assert told["height"] == ("480", "an integer from 256 to 1280")
    assert told["fps"] == (8.5, "an integer from 8 to 30")
    assert told["seed"] == (-1, "an integer from 0 to 2^63-1")
    assert told["flow_shift"] == (11, "a number from 0 to 10")
    assert told["sed"][0] == 1
    assert len(told) == 6
    assert 'height: an integer from 256 to 1280 (given: "480")' in error.message


def test_a_message_tells_the_first_three_problems_and_how_many_more() -> None:
    error = refusal(
        "hunyuanvideo", {"prompt": "A cat", "width": 1, "height": 2, "fps": 3, "seed": -4, "video_length": 5}
    )
    assert error.message == (
        "width: an integer from 256 to 1280 (given: 1); height: an integer from 256 to 1280 (given: 2); "
        "video_length: an integer from 13 to 129 (given: 5); and 2 more"
    )


def test_a_problem_of_the_prompt_gives_the_code_whatever_else_is_wrong() -> None:
    error = refusal("hunyuanvideo-1.5", {"prompt": "short", "duration": 11, "colour": "red"})
    assert error.code is Code.INVALID_PROMPT
    assert error.message == "Prompt must be 10-500 characters"
    assert [problem.field for problem in error.fields] == ["prompt", "duration", "colour"]


def test_a_problem_of_the_duration_gives_the_code_where_the_prompt_is_right() -> None:
    error = refusal("hunyuanvideo-1.5", {"prompt": "A cat on the grass", "duration": 11, "colour": "red"})
    assert error.code is Code.INVALID_DURATION
    assert error.message == "Duration must be an integer from 5 to 10"
    assert [problem.field for problem in error.fields] == ["duration", "colour"]


@given(raw=ANY_JSON)
@pytest.mark.parametrize("api", APIS)
def test_any_json_is_parsed_or_refused_with_an_error_that_json_and_utf8_can_carry(api: str, raw: Any) -> None:
    _parsed_or_answerable(api, raw)


@given(data=st.data())
@pytest.mark.parametrize("api", APIS)
def test_any_values_of_known_fields_are_parsed_or_refused_likewise(api: str, data: st.DataObject) -> None:
    names = st.sampled_from([*FIELD_NAMES, "api"])
    _parsed_or_answerable(api, SMALLEST[api] | data.draw(st.dictionaries(names, ANY_JSON, max_size=6)))


def _parsed_or_answerable(api: str, raw: Any) -> None:
    try:
        request = APIS[api].parse(raw)
    except JobError as error:
        answer = APIS[api].error(error, "job-1")
        assert set(answer) >= ERROR_KEYS
        assert error.fields
        json.dumps(answer, ensure_ascii=False, allow_nan=False).encode()
    else:
        assert request.api == api
        request.prompt.encode()
