"""The endpoint and its workers as one program.

Workers that die are replaced. When the endpoint is told to end, they finish their jobs. None is ever left behind.
"""

import hashlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil
import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from bench.servers.endpoint import PATIENCE, EndpointProcess, eventually
from bench.servers.processes import VIDEOWORKER, environment

SERVE_NULL = [sys.executable, str(Path(__file__).with_name("serve_null.py"))]


def children(endpoint: EndpointProcess) -> list[psutil.Process]:
    assert endpoint.process is not None
    found: list[psutil.Process] = psutil.Process(endpoint.process.pid).children(recursive=True)
    return found


def handlers(endpoint: EndpointProcess) -> list[psutil.Process]:
    """The workers and their heartbeats' processes."""
    found = []
    for process in children(endpoint):
        with suppress(psutil.NoSuchProcess):
            if "null_handler.py" in " ".join(process.cmdline()):
                found.append(process)
    return found


def are_gone(processes: list[psutil.Process]) -> None:
    assert not [process for process in processes if process.is_running() and process.status() != "zombie"]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EndpointProcess]:
    settings = {
        "HEARTBEAT_TIMEOUT_SECONDS": "3",
        "HANG_TIMEOUT_SECONDS": "5",
        "database_url": "sqlite:///jobs.db",
        "WEBHOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    }
    with EndpointProcess(tmp_path_factory.mktemp("program"), SERVE_NULL, **settings) as program:
        yield program


@pytest.fixture
def endpoint(program: EndpointProcess) -> EndpointProcess:
    """It runs and has two workers, whatever an earlier test did to it."""
    assert program.process is not None
    if program.process.poll() is not None:
        program.start()
    return program


def worker_of(endpoint: EndpointProcess, job_id: str) -> str:
    state = endpoint.status(job_id)
    assert state["status"] == "IN_PROGRESS" and state.get("output", {}).get("step", 0) > 0
    worker: str = state["workerId"]
    return worker


def test_what_a_worker_inherits(endpoint: EndpointProcess) -> None:
    """Its environment holds a token of its own, and nothing of the endpoint's. No URL in it holds a secret."""

    def known() -> dict[str, dict[str, str]]:
        found = [process.environ() for process in handlers(endpoint)]
        assert len(found) >= 2
        return {worker["RUNPOD_POD_ID"]: worker for worker in found}

    workers = eventually(known)
    tokens = {worker_id: worker["RUNPOD_AI_API_KEY"] for worker_id, worker in workers.items()}
    assert len(set(tokens.values())) == 2
    for worker_id, worker in workers.items():
        assert not {"API_KEYS", "database_url", "WEBHOOK_SECRET", "WORKER_TOKEN"} & worker.keys()
        assert not [value for value in worker.values() if value.startswith("http") and tokens[worker_id] in value]
        for other, token in tokens.items():
            answer = endpoint.get(f"job-stop/{worker_id}x", headers={"Authorization": token})
            assert answer.status_code == 401  # an id that nobody has
            answer = endpoint.get(f"ping/{worker_id}", headers={"Authorization": token})
            assert answer.status_code == (200 if other == worker_id else 401)


def test_dead_worker(endpoint: EndpointProcess) -> None:
    """It is replaced, and another worker does its job."""
    job_id = endpoint.run({"do": "run for ever"})
    first = eventually(lambda: worker_of(endpoint, job_id))
    killed = handlers(endpoint)
    for process in killed:
        if process.is_running():
            process.send_signal(signal.SIGKILL)

    def taken_by_another() -> None:
        assert worker_of(endpoint, job_id) != first

    eventually(taken_by_another)
    are_gone(killed)
    endpoint.post(f"cancel/{job_id}")


def test_silent_worker(endpoint: EndpointProcess) -> None:
    """It is killed before another worker does its job."""
    job_id = endpoint.run({"do": "run for ever"})
    first = eventually(lambda: worker_of(endpoint, job_id))
    silent = [process for process in handlers(endpoint) if process.environ().get("RUNPOD_POD_ID") == first]
    for process in silent:
        process.suspend()

    def taken_by_another() -> None:
        assert worker_of(endpoint, job_id) != first

    eventually(taken_by_another)
    are_gone(silent)
    endpoint.post(f"cancel/{job_id}")


def test_hung_workers(endpoint: EndpointProcess) -> None:
    """Both hang in their jobs, while their heartbeats go on, and one job is cancelled. Both are killed with their
    heartbeats. Another worker does the other job."""
    job_ids = [endpoint.run({"do": "run for ever"}) for _ in range(2)]
    hung = {eventually(partial(worker_of, endpoint, job_id)) for job_id in job_ids}
    assert len(hung) == 2
    before = handlers(endpoint)
    assert endpoint.process is not None and len(before) == 4
    for process in before:
        if process.ppid() == endpoint.process.pid:  # not a heartbeat
            process.suspend()
    cancelled, other = job_ids
    assert endpoint.post(f"cancel/{cancelled}").json()["status"] == "CANCELLED"

    def taken_by_another() -> None:
        assert worker_of(endpoint, other) not in hung

    eventually(taken_by_another)
    eventually(lambda: are_gone(before))
    assert endpoint.final(endpoint.run({"n": 1}))["status"] == "COMPLETED"
    endpoint.post(f"cancel/{other}")


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
    endpoint.post(f"cancel/{job_id}")


def test_kill(endpoint: EndpointProcess) -> None:
    """After kill -9 no worker is left."""
    job_id = endpoint.run({"do": "run for ever"})
    eventually(lambda: worker_of(endpoint, job_id))

    def are_complete() -> None:
        assert len(handlers(endpoint)) == 4  # two workers, each with its heartbeat

    eventually(are_complete)
    left = children(endpoint)
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
        ([], {"DATABASE_URL": "postgresql://root:a@secret@127.0.0.1:1/db"}, "DATABASE_URL"),
        ([], {"DATABASE_URL": "postgresql://root:a:secret/db"}, "DATABASE_URL"),
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


@pytest.fixture(scope="module")
def metrics_port() -> int:
    return two_free_ports()


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, metrics_port: int) -> Iterator[EndpointProcess]:
    """`videoworker serve` with two workers that make videos with the shipped model."""
    folder, command = tmp_path_factory.mktemp("real"), [*VIDEOWORKER, "serve", "--workers", "2"]
    with EndpointProcess(folder, command, OMP_NUM_THREADS="1", METRICS_PORT=str(metrics_port)) as endpoint:
        yield endpoint
        assert endpoint.kill(signal.SIGTERM) == 0


def test_video(real: EndpointProcess) -> None:
    """A video of the shipped model is made, and fetched from the endpoint."""
    job = {"prompt": "a red circle", "width": 64, "height": 64, "num_frames": 1, "num_inference_steps": 1}
    state = real.final(real.run(job))
    assert state["status"] == "COMPLETED", state
    video = state["output"]["video"]
    assert video["url"].startswith(f"{real.url.removesuffix('/v2/local')}/files/{state['id']}/video.")
    content = requests.get(video["url"], timeout=60).content
    assert hashlib.sha256(content).hexdigest() == video["sha256"]
    assert [path.name for path in real.folder.rglob("video.*")] == [os.path.basename(video["url"])]


def test_written_files(real: EndpointProcess) -> None:
    """Only their user can read them: the database and all that belongs to it, videos and their folders."""
    (video,) = real.folder.rglob("video.*")
    written = [video, *real.folder.glob("jobs.db*")]
    assert {path.name for path in written} >= {"jobs.db", "jobs.db-wal", "jobs.db-shm"}
    assert {path.stat().st_mode & 0o777 for path in written} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in (video.parent, video.parent.parent)} == {0o700}


def metrics(port: int) -> dict[str, float]:
    scraped = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE).text
    return {
        sample.name: sample.value for family in text_string_to_metric_families(scraped) for sample in family.samples
    }


def test_address_of_metrics(real: EndpointProcess, metrics_port: int) -> None:
    """They are on the endpoint's address alone: here this machine's own, of which 127.0.0.2 is another."""
    eventually(lambda: socket.create_connection(("127.0.0.1", metrics_port)).close())
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", metrics_port))


def test_metrics(real: EndpointProcess, metrics_port: int) -> None:
    """Each worker has metrics of its own. Those of the worker that took a job hold the job's wait."""
    ports = (metrics_port, metrics_port + 1)
    before = [eventually(partial(metrics, port)) for port in ports]
    state = real.final(real.run({"prompt": 5}))  # refused by the worker that takes it
    after = [metrics(port) for port in ports]
    assert state["status"] == "FAILED"
    grown = [
        [
            new[f"videoworker_queue_wait_seconds_{name}"] - old[f"videoworker_queue_wait_seconds_{name}"]
            for name in ("count", "sum")
        ]
        for old, new in zip(before, after, strict=True)
    ]
    assert sorted(count for count, _ in grown) == [0, 1]
    assert sum(waited for _, waited in grown) == pytest.approx(state["delayTime"] / 1000)
