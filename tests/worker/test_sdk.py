"""What the worker leans on inside the SDK. Where a test here fails, the SDK has changed: read how it does now what is
named, and follow it."""

import ast
import asyncio
import inspect
import textwrap
from collections.abc import Callable
from typing import Any

import pytest
import runpod
from runpod.serverless import worker
from runpod.serverless.modules import rp_fitness, rp_job, rp_progress, rp_scale

from videoworker.worker import scaler


def calls(function: Callable[..., Any]) -> set[str]:
    """What the function's source calls or reads, as `self.name` or `module.name`."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    return {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def test_it_is_the_version_that_was_read() -> None:
    assert runpod.__version__ == "1.12.0"


def test_the_loop_is_made_of_the_parts_that_ours_is_made_of() -> None:
    original = inspect.getmodule(scaler.Scaler.__mro__[1])
    assert original is rp_scale and scaler.Scaler.__mro__[1].__name__ == "JobScaler"
    base: Any = scaler.Scaler.__mro__[1]
    parts = {"self.get_jobs", "self.run_jobs", "self.monitor_stop_signals"}
    assert parts <= calls(base.run)
    for part in ("get_jobs", "run_jobs", "monitor_stop_signals"):
        assert list(inspect.signature(getattr(base, part)).parameters) == ["self", "session"]
        assert inspect.iscoroutinefunction(getattr(base, part)) and "self.is_alive" in calls(getattr(base, part))


def test_a_signal_ends_the_loop_through_what_ours_replaces() -> None:
    base: Any = scaler.Scaler.__mro__[1]
    assert "self.kill_worker" in calls(base.handle_shutdown)
    assert {"signal.SIGTERM", "signal.SIGINT", "self.handle_shutdown", "self.run"} <= calls(base.start)
    assert "self._shutdown_event.is_set" in calls(base.is_alive)


def test_a_job_that_is_done_leaves_the_queue_and_a_flag_set_meanwhile_ends_the_worker() -> None:
    base: Any = scaler.Scaler.__mro__[1]
    assert {"self.jobs_queue.task_done", "self.kill_worker", "self.config.get"} <= calls(base.handle_job)


def test_the_start_looks_the_loop_up_where_ours_is_put(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rp_scale, "JobScaler", rp_scale.JobScaler)
    scaler.install()
    assert rp_scale.JobScaler is scaler.Scaler
    assert "rp_scale.JobScaler" in calls(worker.run_worker)


def test_the_configuration_is_one_object_that_the_loop_reads_after_each_job() -> None:
    config: dict[str, Any] = {"refresh_worker": False}
    assert scaler.Scaler(config).config is config
    assert runpod.serverless._set_config_args(config) is config


@pytest.mark.parametrize("refresh", [True, False])
def test_a_flag_set_by_a_job_goes_out_beside_its_error(monkeypatch: pytest.MonkeyPatch, refresh: bool) -> None:
    posted = []

    async def send_result(session: object, result: object, job: object, is_stream: bool = False) -> None:
        posted.append(result)

    async def handler(job: object) -> dict[str, str]:
        config["refresh_worker"] = refresh
        return {"error": "broken"}

    config: dict[str, Any] = {"handler": handler, "refresh_worker": False, "rp_args": {}}
    monkeypatch.setattr(rp_job, "send_result", send_result)
    asyncio.run(rp_job.handle_job(None, config, {"id": "a", "input": {}}))
    assert posted == [{"error": "broken"} | ({"stopPod": True} if refresh else {})]


def test_fitness_checks_are_named_and_run_before_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rp_fitness, "_fitness_checks", [])

    def disk() -> None:
        """A check."""

    runpod.serverless.register_fitness_check(disk)
    assert rp_fitness._fitness_checks == [disk]
    source = inspect.getsource(worker.run_worker)
    assert source.index("run_fitness_checks()") < source.index("rp_scale.JobScaler(")
    assert "check_func.__name__" in calls(rp_fitness.run_fitness_checks)


def test_progress_goes_where_results_go(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = []

    async def send_result(session: object, data: object, job: object, is_stream: bool = False) -> None:
        sent.append((data, job))

    monkeypatch.setattr(rp_progress, "send_result", send_result)
    assert list(inspect.signature(rp_progress._async_progress_update).parameters) == ["session", "job", "progress"]
    asyncio.run(rp_progress._async_progress_update(None, {"id": "a"}, {"step": 1}))
    assert sent == [({"status": "IN_PROGRESS", "output": {"step": 1}}, {"id": "a"})]
