"""Which API an input is read by."""

import json
from typing import Any

import pytest

from videoworker.apis import APIS, select
from videoworker.errors import Code, JobError


def test_there_are_the_six_documented_apis() -> None:
    assert set(APIS) == {"hunyuanvideo-foley", "hunyuanvideo", "hunyuanvideo-1.5", "local", "cogvideox", "native"}
    assert all(name == api.name for name, api in APIS.items())


@pytest.mark.parametrize("name", APIS)
def test_the_input_names_its_api(name: Any) -> None:
    assert select({"api": name}, "cogvideox") is APIS[name]


@pytest.mark.parametrize("job_input", [{}, {"api": None}])
def test_the_default_is_for_an_input_that_names_none(job_input: Any) -> None:
    assert select(job_input, "local") is APIS["local"]


@pytest.mark.parametrize("default", [None, ""])
def test_native_is_for_when_nobody_names_one(default: Any) -> None:
    assert select({}, default) is APIS["native"]


def test_an_unknown_api_is_refused_with_the_nearest_and_all_names() -> None:
    with pytest.raises(JobError) as caught:
        select({"api": "HunyuanVideo-Folley"}, None)
    (problem,) = caught.value.fields
    assert (caught.value.code, problem.field, problem.given) == (Code.INVALID_FIELD, "api", "HunyuanVideo-Folley")
    assert "did you mean hunyuanvideo-foley?" in problem.allowed
    assert all(name in problem.allowed for name in APIS)


@pytest.mark.parametrize("name", ["", 5, True, [], {}, {"local": 1}, "\ud800", "x" * 10**6])
def test_a_name_that_is_no_name_is_refused_with_an_error_that_can_be_answered(name: Any) -> None:
    with pytest.raises(JobError) as caught:
        select({"api": name}, None)
    assert [problem.field for problem in caught.value.fields] == ["api"]
    json.dumps(APIS["native"].error(caught.value, "job-1"), ensure_ascii=False, allow_nan=False).encode()


def test_a_wrong_default_is_said_to_be_the_workers_not_the_callers() -> None:
    with pytest.raises(JobError, match="API \\(the worker's setting\\)"):
        select({}, "hunyuan")


@pytest.mark.parametrize("job_input", [None, [], "text", 5, float("nan"), True, ["api", "local"]])
def test_an_input_that_is_no_object_is_refused(job_input: Any) -> None:
    with pytest.raises(JobError) as caught:
        select(job_input, "local")
    assert caught.value.code is Code.INVALID_FIELD
    assert [problem.field for problem in caught.value.fields] == ["input"]
    json.dumps(APIS["native"].error(caught.value, "job-1"), allow_nan=False)
