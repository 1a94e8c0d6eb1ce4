"""When a worker asks for a fresh process."""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import torch

from tests.worker.answers import error_of, result
from videoworker.errors import Code, JobError
from videoworker.request import Result, VideoRequest
from videoworker.settings import Settings
from videoworker.watch import Watch
from videoworker.worker.handler import Handler

OUT_OF_MEMORY = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
REFUSED = JobError(Code.INVALID_IMAGE, "The image cannot be read.")


def run(settings: Settings, *outcomes: Exception | None) -> tuple[list[bool], list[dict[str, Any]]]:
    """Whether a fresh worker is asked for after each of these jobs, and their answers."""
    remaining: Iterator[Exception | None] = iter(outcomes)

    def corridor(job: Mapping[str, Any], request: VideoRequest, watch: Watch) -> Result:
        if (exception := next(remaining)) is not None:
            raise exception
        return result(job, request)

    async def jobs() -> tuple[list[bool], list[dict[str, Any]]]:
        handler = Handler(settings, corridor)
        asked, answers = list[bool](), list[dict[str, Any]]()
        for number in range(len(outcomes)):
            answers.append(await handler.handle({"id": str(number), "input": {"prompt": "x"}}))
            asked.append(handler.config["refresh_worker"])
        return asked, answers

    return asyncio.run(jobs())


@pytest.mark.parametrize(
    ("outcomes", "asked"),
    [
        ([None, None, REFUSED, RuntimeError("shapes differ")], [False, False, False, False]),
        ([OUT_OF_MEMORY, OUT_OF_MEMORY], [False, True]),
        ([OUT_OF_MEMORY, None, OUT_OF_MEMORY], [False, False, False]),
        ([torch.AcceleratorError("CUDA error: an illegal memory access was encountered")], [True]),
        ([RuntimeError("CUDA error: device-side assert triggered")], [True]),
        ([RuntimeError("could not create a primitive")], [True]),
        ([JobError(Code.OUT_OF_MEMORY, "Nothing smaller is left.", refresh_worker=True)], [True]),
    ],
    ids=[
        "faults of jobs",
        "no memory twice",
        "no memory, but not in a row",
        "access",
        "assert",
        "oneDNN",
        "the error says so",
    ],
)
def test_a_fresh_worker_is_asked_for_where_this_one_cannot_go_on(
    settings: Settings, outcomes: list[Exception | None], asked: list[bool]
) -> None:
    assert run(settings, *outcomes)[0] == asked


def test_a_broken_device_is_told_as_such_and_worth_another_try(settings: Settings) -> None:
    _, (answer,) = run(settings, torch.AcceleratorError("CUDA error: an illegal memory access was encountered"))
    error = error_of(answer)
    assert (error["code"], error["retryable"]) == ("GPU_UNAVAILABLE", True)


def test_a_worker_can_be_refreshed_after_so_many_jobs(settings: Settings) -> None:
    few = settings.model_copy(update={"refresh_worker_after_jobs": 3})
    assert run(few, None, REFUSED, None)[0] == [False, False, True]
