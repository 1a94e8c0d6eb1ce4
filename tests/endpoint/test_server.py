"""The endpoint and its workers as one program: replaced when they die, finished when it is told to end, never left."""

import hashlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.commands.command_line import VIDEOWORKER
from tests.endpoint.running_endpoint import PATIENCE, EndpointProcess, eventually
from tests.handler_process import environment

SERVE_NULL = [sys.executable, str(Path(__file__).with_name("serve_null.py"))]


def children(endpoint: EndpointProcess) -> list[psutil.Process]:
    assert endpoint.process is not None
    return psutil.Process(endpoint.process.pid).children(recursive=True)


def are_gone(processes: list[psutil.Process]) -> None:
    assert not [process for process in processes if process.is_running() and process.status() != "zombie"]


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[EndpointProcess]:
    with EndpointProcess(tmp_path, SERVE_NULL, HEARTBEAT_TIMEOUT_SECONDS="3") as endpoint:
        yield endpoint


def worker_of(endpoint: EndpointProcess, job_id: str) -> str:
    state = endpoint.status(job_id)
    assert state["status"] == "IN_PROGRESS" and state.get("output", {}).get("step", 0) > 0
    worker: str = state["workerId"]
    return worker


def test_dead_worker(endpoint: EndpointProcess) -> None:
    """It is replaced, and another worker does its job."""
    job_id = endpoint.run({"do": "run for ever"})
    first = eventually(lambda: worker_of(endpoint, job_id))
    handlers = [process for process in children(endpoint) if "null_handler.py" in " ".join(process.cmdline())]
    for process in handlers:
        if process.is_running():
            process.send_signal(signal.SIGKILL)

    def taken_by_another() -> None:
        assert worker_of(endpoint, job_id) != first

    eventually(taken_by_another)
    are_gone(handlers)
    endpoint.post(f"cancel/{job_id}")


def test_silent_worker(endpoint: EndpointProcess) -> None:
    """It is killed before another worker does its job."""
    job_id = endpoint.run({"do": "run for ever"})
    first = eventually(lambda: worker_of(endpoint, job_id))
    handlers = [process for process in children(endpoint) if process.environ().get("RUNPOD_POD_ID") == first]
    for process in handlers:
        process.suspend()

    def taken_by_another() -> None:
        assert worker_of(endpoint, job_id) != first

    eventually(taken_by_another)
    are_gone(handlers)
    endpoint.post(f"cancel/{job_id}")


def test_fresh_worker(endpoint: EndpointProcess) -> None:
    """A worker that asks to be replaced gets no more jobs."""
    before = endpoint.final(endpoint.run({"do": "ask for a fresh worker"}))["workerId"]
    fresh = {endpoint.final(endpoint.run({"n": number}))["workerId"] for number in range(4)}
    assert before not in fresh


def test_first_signal(endpoint: EndpointProcess) -> None:
    """Its workers finish their jobs, and none is left."""
    job_id = endpoint.run({"do": "run a while"})
    eventually(lambda: worker_of(endpoint, job_id))
    left = children(endpoint)
    assert endpoint.kill(signal.SIGTERM) == 0
    are_gone(left)
    endpoint.start()
    assert endpoint.status(job_id)["status"] == "COMPLETED"


def test_second_signal(endpoint: EndpointProcess) -> None:
    """It ends at once. The job is done after the next start."""
    job_id = endpoint.run({"do": "run for ever"})
    first = eventually(lambda: worker_of(endpoint, job_id))
    left = children(endpoint)
    assert endpoint.process is not None
    endpoint.process.send_signal(signal.SIGINT)
    assert endpoint.kill(signal.SIGTERM) == 0  # another one: two of a kind can arrive as one
    are_gone(left)
    endpoint.start()
    assert eventually(lambda: worker_of(endpoint, job_id)) != first


def test_kill(endpoint: EndpointProcess) -> None:
    """After kill -9 no worker is left."""
    job_id = endpoint.run({"do": "run for ever"})
    eventually(lambda: worker_of(endpoint, job_id))
    left = children(endpoint)
    assert len(left) >= 4  # two workers, each with its heartbeat
    endpoint.kill()
    eventually(lambda: are_gone(left))


@pytest.mark.parametrize(
    ("options", "settings", "told"),
    [
        (["--host", "0.0.0.0"], {}, "API_KEYS"),
        (["--api", "unknown"], {}, "unknown"),
        ([], {"DATABASE_URL": "mysql://root:secret@host/db"}, "DATABASE_URL"),
        ([], {"DATABASE_URL": "sqlite:////dev/null/jobs.db"}, "DATABASE_URL"),
        ([], {"DATABASE_URL": "postgresql://root:secret@127.0.0.1:1/db"}, "DATABASE_URL"),
        ([], {"WEBHOOK_SECRET": "whsec_"}, "WEBHOOK_SECRET"),
        (["--workers", "2"], {"METRICS_PORT": "65535"}, "METRICS_PORT"),
    ],
)
def test_unusable_settings(tmp_path: Path, options: list[str], settings: dict[str, str], told: str) -> None:
    """It ends at once, with one line that names the setting."""
    command = [*VIDEOWORKER, "serve", "--workers", "0", "--port", "0", *options]
    ended = subprocess.run(
        command, cwd=tmp_path, env=environment(**settings), capture_output=True, text=True, timeout=PATIENCE
    )
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert told in line and "secret" not in line


def test_video(tmp_path: Path) -> None:
    """A video of the shipped model is made, and fetched from the endpoint."""
    with EndpointProcess(tmp_path, [*VIDEOWORKER, "serve", "--workers", "1"], OMP_NUM_THREADS="1") as endpoint:
        job = {"prompt": "a red circle", "width": 64, "height": 64, "num_frames": 1, "num_inference_steps": 1}
        state = endpoint.final(endpoint.run(job))
        assert state["status"] == "COMPLETED", state
        video = state["output"]["video"]
        assert video["url"].startswith(f"{endpoint.url.removesuffix('/v2/local')}/files/{state['id']}/video.")
        content = requests.get(video["url"], timeout=60).content
        assert hashlib.sha256(content).hexdigest() == video["sha256"]
        assert endpoint.kill(signal.SIGTERM) == 0
    assert [path.name for path in tmp_path.rglob("video.*")] == [os.path.basename(video["url"])]


def two_free_ports() -> int:
    """The first of two that follow one another."""
    while True:
        with socket.create_server(("", 0)) as first, socket.socket() as second:
            port: int = first.getsockname()[1]
            try:
                second.bind(("", port + 1))
            except (OSError, OverflowError):  # taken, or there is none
                continue
            return port


def metrics(port: int) -> dict[str, float]:
    scraped = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE).text
    return {
        sample.name: sample.value for family in text_string_to_metric_families(scraped) for sample in family.samples
    }


def test_metrics(tmp_path: Path) -> None:
    """Each worker has metrics of its own. Those of the worker that took a job hold the job's wait."""
    port = two_free_ports()
    command = [*VIDEOWORKER, "serve", "--workers", "2"]
    with EndpointProcess(tmp_path, command, OMP_NUM_THREADS="1", METRICS_PORT=str(port)) as endpoint:
        state = endpoint.final(endpoint.run({"prompt": 5}))  # refused by the worker that takes it
        both = [eventually(lambda port=port: metrics(port)) for port in (port, port + 1)]  # type: ignore[misc]
        assert endpoint.kill(signal.SIGTERM) == 0
    assert state["status"] == "FAILED"
    assert sorted(one["videoworker_queue_wait_seconds_count"] for one in both) == [0, 1]
    waited = sum(one["videoworker_queue_wait_seconds_sum"] for one in both)
    assert waited == pytest.approx(state["delayTime"] / 1000) and waited > 0
