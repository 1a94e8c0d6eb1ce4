"""The handler in this process, around corridors that make nothing."""

import asyncio
import gc
import json
import threading
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.apis.samples import SMALLEST
from tests.worker.answers import error_of, result
from videoworker.apis import APIS
from videoworker.errors import Code, JobError
from videoworker.request import Result, VideoRequest
from videoworker.settings import Settings
from videoworker.watch import Watch
from videoworker.worker import log
from videoworker.worker.handler import MAX_ANSWER_BYTES, Corridor, Handler

JOB = {"id": "a", "input": {"prompt": "a red circle"}}
PATIENCE = 60.0


def instant(job: Mapping[str, Any], request: VideoRequest, watch: Watch) -> Result:
    return result(job, request)


def raising(exception: Exception) -> Corridor:
    def corridor(job: Mapping[str, Any], request: VideoRequest, watch: Watch) -> Result:
        raise exception

    return corridor


def handled(settings: Settings, corridor: Corridor, job: Mapping[str, Any] = JOB) -> dict[str, Any]:
    return asyncio.run(Handler(settings, corridor).handle(job))


async def turns_of_the_loop() -> None:
    """Lets everything run that can run without news from another thread."""
    for _ in range(100):
        await asyncio.sleep(0)


def test_a_job_is_answered_in_the_form_of_its_api(settings: Settings) -> None:
    job = {"id": "a", "input": {"api": "hunyuanvideo", "prompt": "a red circle"}}
    answer = handled(settings, instant, job)
    assert (answer["job_id"], answer["progress"]) == ("a", 1.0)


def test_own_id(settings: Settings) -> None:
    """A job is known and delivered by its caller's id, and by the platform's if there is none."""
    named = {"id": "a", "input": {"prompt": "a red circle", "job_id": "mine"}}
    assert handled(settings, instant, named)["job_id"] == "mine"
    assert handled(settings, instant)["job_id"] == "a"


@pytest.mark.parametrize("job_id", ["", "../x", "a/b", ".a", "x" * 101, 7, [], {}])
def test_own_id_that_is_no_name(settings: Settings, job_id: Any) -> None:
    job = {"id": "a", "input": {"prompt": "a red circle", "job_id": job_id}}
    error = error_of(handled(settings, instant, job))
    assert [problem["field"] for problem in error["fields"]] == ["job_id"]


def test_the_setting_api_names_the_form_where_the_input_does_not(settings: Settings) -> None:
    hunyuanvideo = settings.model_copy(update={"api": "hunyuanvideo"})
    assert handled(hunyuanvideo, instant)["progress"] == 1.0
    assert "progress" not in handled(settings, instant)


@pytest.mark.parametrize("job_input", [None, [], {}, "text", 3, True, {"prompt": []}, {"prompt": "x", "fps": "5"}])
def test_junk_is_answered_with_an_error_that_names_a_field(settings: Settings, job_input: Any) -> None:
    error = error_of(handled(settings, instant, {"id": "a", "input": job_input}))
    assert error["code"].startswith("INVALID_")
    assert error["fields"][0]["field"]


def test_a_job_without_input_is_answered_with_an_error(settings: Settings) -> None:
    assert error_of(handled(settings, instant, {"id": "a"}))["fields"][0]["field"] == "input"


def test_the_error_of_an_unknown_api_comes_in_the_words_of_the_configured_one(settings: Settings) -> None:
    foley = settings.model_copy(update={"api": "hunyuanvideo-foley"})
    job = {"id": "a", "input": {"api": "hunyuanvidio"}}
    named = error_of(handled(foley, instant, job))
    native = error_of(handled(settings, instant, job))
    assert "hunyuanvideo" in str(named) and set(named) != set(native)


NASTY = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.sampled_from(["5", "", "\ud800", 10**500, -0.0, 1e308, "data:image/png;base64,", "http://", "file:///etc"])
)
JSON = st.recursive(
    NASTY,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters()), inner, max_size=3),
)


@st.composite
def nearly_good_inputs(draw: st.DrawFn) -> dict[str, Any]:
    """An API's smallest good input, some of its fields with something else in them."""
    name = draw(st.sampled_from(list(APIS)))
    fields = st.sampled_from([*APIS[name].schema.model_fields, "api"])
    return {"api": name} | SMALLEST[name] | draw(st.dictionaries(fields, JSON, max_size=4))


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(job_input=nearly_good_inputs() | JSON)
def test_any_input(settings: Settings, job_input: Any) -> None:
    """Whatever the input is, the answer is a result or one of the documents' errors, in JSON that UTF-8 can carry."""
    answer = handled(settings, instant, {"id": "a", "input": job_input})
    json.dumps(answer, allow_nan=False, ensure_ascii=False).encode()
    if "error" in answer and "video" not in answer:
        error = error_of(answer)
        assert error["message"] and error["status_code"] in (400, 403) and error["retryable"] is False
    else:
        assert answer["video"]["model"] == "none"


def test_an_error_of_the_corridor_keeps_its_code_and_message(settings: Settings) -> None:
    error = error_of(handled(settings, raising(JobError(Code.GPU_UNAVAILABLE, "No GPU is free."))))
    assert (error["code"], error["message"], error["retryable"]) == ("GPU_UNAVAILABLE", "No GPU is free.", True)


def test_an_exception_reaches_the_log_and_not_the_caller(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = handled(settings, raising(KeyError("/secret/path")))
    assert (error_of(answer)["code"], error_of(answer)["message"]) == ("GENERATION_FAILED", "Video generation failed.")
    assert "secret" not in answer["error"] and "Traceback" not in answer["error"]
    assert "/secret/path" in capsys.readouterr().out


def more_than_there_is() -> RuntimeError:
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**60)
    return raised.value


@pytest.mark.parametrize(
    "exception",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("could not create a primitive"),
        more_than_there_is(),
    ],
    ids=["python", "cuda", "onednn", "cpu"],
)
def test_lack_of_memory_is_out_of_memory(settings: Settings, exception: Exception) -> None:
    assert error_of(handled(settings, raising(exception)))["code"] == "OUT_OF_MEMORY"


def test_an_answer_above_the_platforms_size_is_an_error(settings: Settings) -> None:
    def noting(size: int) -> Corridor:
        return lambda job, request, watch: result(job, request, notes=["x" * size])

    assert error_of(handled(settings, noting(MAX_ANSWER_BYTES)))["code"] == "OUTPUT_TOO_LARGE"
    assert handled(settings, noting(MAX_ANSWER_BYTES - 10_000))["status"] == "completed"


def test_the_size_of_an_answer_counts_bytes_and_not_characters(settings: Settings) -> None:
    def corridor(job: Mapping[str, Any], request: VideoRequest, watch: Watch) -> Result:
        return result(job, request, notes=["€" * (MAX_ANSWER_BYTES // 3)])

    assert error_of(handled(settings, corridor))["code"] == "OUTPUT_TOO_LARGE"


def test_the_corridor_runs_on_one_and_the_same_other_thread(settings: Settings) -> None:
    threads = []

    def corridor(job: Mapping[str, Any], request: VideoRequest, watch: Watch) -> Result:
        threads.append(threading.current_thread())
        return result(job, request)

    async def jobs() -> None:
        handler = Handler(settings, corridor)
        await asyncio.gather(*(handler.handle({"id": str(n), "input": JOB["input"]}) for n in range(5)))

    asyncio.run(jobs())
    assert len(threads) == 5 and len(set(threads)) == 1
    assert threads[0] is not threading.current_thread()


def test_the_corridor_gets_a_job_id_that_is_safe_in_a_path(settings: Settings) -> None:
    seen: list[str] = []

    def corridor(job: Mapping[str, Any], request: VideoRequest, watch: Watch) -> Result:
        seen.append(job["id"])
        return result(job, request)

    answer = handled(settings, corridor, {"id": "../../etc/passwd", "input": JOB["input"]})
    assert seen == [answer["job_id"]]
    assert "/" not in seen[0] and not seen[0].startswith(".")


def test_a_cancelled_job_ends_when_its_thread_does_however_often_it_is_cancelled(settings: Settings) -> None:
    inside, may_look = threading.Event(), threading.Event()

    def corridor(job: Mapping[str, Any], request: VideoRequest, watch: Watch) -> Result:
        inside.set()
        assert may_look.wait(PATIENCE)
        watch.check()
        return result(job, request)

    unseen: list[dict[str, Any]] = []

    async def cancelled() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unseen.append(context))
        task = asyncio.create_task(Handler(settings, corridor).handle(JOB))
        await asyncio.to_thread(inside.wait, PATIENCE)
        for _ in range(3):
            task.cancel()
            await turns_of_the_loop()
            assert not task.done()
        may_look.set()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(asyncio.shield(task), PATIENCE)
        assert task.cancelled()
        del task
        gc.collect()  # asyncio tells of an exception that nobody has looked at when its future goes

    asyncio.run(cancelled())
    assert not unseen


def test_a_job_that_ends_well_although_it_was_cancelled_still_counts_as_cancelled(settings: Settings) -> None:
    inside, may_end = threading.Event(), threading.Event()

    def corridor(job: Mapping[str, Any], request: VideoRequest, watch: Watch) -> Result:
        inside.set()
        assert may_end.wait(PATIENCE)
        return result(job, request)

    async def cancelled() -> None:
        task = asyncio.create_task(Handler(settings, corridor).handle(JOB))
        await asyncio.to_thread(inside.wait, PATIENCE)
        task.cancel()
        await turns_of_the_loop()
        may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())


def test_a_job_whose_time_is_over_is_a_generation_timeout(settings: Settings) -> None:
    def corridor(job: Mapping[str, Any], request: VideoRequest, watch: Watch) -> Result:
        while True:
            watch.check()

    short = settings.model_copy(update={"job_timeout_seconds": 0.001})
    assert error_of(handled(short, corridor))["code"] == "GENERATION_TIMEOUT"


def test_the_jobs_own_time_limit_counts_where_it_is_shorter(settings: Settings) -> None:
    def corridor(job: Mapping[str, Any], request: VideoRequest, watch: Watch) -> Result:
        while True:
            watch.check()

    error = error_of(handled(settings, corridor, JOB | {"policy": {"executionTimeout": 1}}))
    assert (error["code"], error["message"]) == (
        "GENERATION_TIMEOUT",
        "Video generation exceeded time limit (0.001 seconds)",
    )


@pytest.mark.parametrize("on_platform", [True, False])
def test_prompts_are_not_in_the_log(settings: Settings, capsys: pytest.CaptureFixture[str], on_platform: bool) -> None:
    log.configure(on_platform)
    handled(settings, instant)
    handled(settings, raising(ValueError("broken")))
    handled(settings, instant, {"id": "a", "input": {"prompt": "a red circle", "nonsense": "a red circle"}})
    logged = capsys.readouterr().err
    assert "broken" in logged and "job failed" in logged
    assert "red circle" not in logged
