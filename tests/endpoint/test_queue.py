"""What time and silence do to jobs. Time is advanced, not waited for."""

import socket
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from bench.servers.endpoint import TOKEN
from bench.servers.worker import Worker
from tests.endpoint.conftest import Start
from tests.endpoint.running_endpoint import EndpointHere

DAY = 24 * 3600


@pytest.fixture
def worker(endpoint: EndpointHere) -> Worker:
    return Worker(endpoint, "w1")


def is_kept(endpoint: EndpointHere, job_id: str) -> bool:
    return endpoint.get(f"status/{job_id}").status_code == 200


@pytest.mark.parametrize(("policy", "seconds"), [({}, DAY), ({"ttl": 10_000}, 10), ({"ttl": 2 * DAY * 1000}, 2 * DAY)])
def test_ttl_of_a_waiting_job(endpoint: EndpointHere, worker: Worker, policy: dict[str, int], seconds: float) -> None:
    """A job that nobody took is dropped after its time to live."""
    job_id = endpoint.run(1, policy=policy)
    endpoint.advance(seconds - 2)
    assert endpoint.status(job_id)["status"] == "IN_QUEUE"
    endpoint.advance(3)
    assert not is_kept(endpoint, job_id)
    following = endpoint.run(2)
    assert worker.take()["id"] == following


def test_ttl_of_a_running_job(endpoint: EndpointHere, worker: Worker) -> None:
    """It is dropped after its time to live, and its worker is told to stop it."""
    job_id = endpoint.run(1, policy={"ttl": 10_000})
    worker.take()
    endpoint.advance(11)
    assert not is_kept(endpoint, job_id)
    assert worker.stops() == [job_id]
    assert worker.done(job_id, {"output": 1}) == 200


@pytest.mark.parametrize(
    ("policy", "seconds"), [(None, 600), ({}, 600), ({"executionTimeout": 5_000}, 5), ({"executionTimeout": 5e3}, 5)]
)
def test_execution_timeout(start: Start, policy: dict[str, float] | None, seconds: float) -> None:
    """A job that runs too long is TIMED_OUT, and its worker is told to stop it. It is told the time beforehand."""
    endpoint = start(execution_timeout_seconds=600)
    worker = Worker(endpoint, "w1")
    job_id = endpoint.run(1, policy=policy)
    endpoint.advance(seconds)  # what it waits does not count
    assert worker.take()["policy"]["executionTimeout"] == seconds * 1000
    for _ in range(int(seconds) // 20):
        endpoint.advance(20 - 0.1)
        worker.ping(job_id)
    assert endpoint.status(job_id)["status"] == "IN_PROGRESS"
    endpoint.advance(5)
    state = endpoint.status(job_id)
    assert state["status"] == "TIMED_OUT" and "execution timeout" in state["error"]
    assert worker.stops() == [job_id]
    assert worker.done(job_id, {"output": 1}) == 200
    assert endpoint.post(f"retry/{job_id}").json()["status"] == "IN_QUEUE"


def test_retention(endpoint: EndpointHere, worker: Worker) -> None:
    """Results are kept for half an hour, those of /runsync for a minute."""
    asynchronous = endpoint.run(1)
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(endpoint.post, "runsync", {"input": 2})
        for _ in range(2):
            worker.done(worker.take()["id"], {"output": 1})
        synchronous = answer.result().json()["id"]
    endpoint.advance(50)
    assert is_kept(endpoint, synchronous)
    endpoint.advance(11)
    assert not is_kept(endpoint, synchronous)
    endpoint.advance(1780 - 61)
    assert is_kept(endpoint, asynchronous)
    endpoint.advance(21)
    assert not is_kept(endpoint, asynchronous)


def test_limits_of_the_settings(start: Start) -> None:
    endpoint = start(ttl_seconds=5, execution_timeout_seconds=3, retention_seconds=2)
    worker = Worker(endpoint, "w1")
    slow, late = endpoint.run(1), endpoint.run(2)
    worker.take()
    endpoint.advance(4)
    assert endpoint.status(slow)["status"] == "TIMED_OUT"
    endpoint.advance(3)
    assert not is_kept(endpoint, slow) and not is_kept(endpoint, late)


def test_heartbeats(endpoint: EndpointHere, worker: Worker) -> None:
    """A job that heartbeats name stays with its worker. The worker should stop any other job that it names."""
    job_id = endpoint.run(1)
    worker.take()
    for _ in range(3):
        endpoint.advance(25)
        worker.ping("another", job_id)
    assert endpoint.status(job_id)["workerId"] == "w1"
    assert worker.stops() == ["another"]


def test_silent_worker(endpoint: EndpointHere, worker: Worker) -> None:
    """A silent worker loses its job to the next worker. Its late result is discarded."""
    job_id, following = endpoint.run(1), endpoint.run(2)
    worker.take()
    worker.progress(job_id, "half")
    worker.chunk(job_id, "of the lost attempt")
    endpoint.advance(31)
    assert endpoint.status(job_id) == {"id": job_id, "status": "IN_QUEUE"}
    assert worker.done(job_id, {"output": "too late"}) == 200

    other = Worker(endpoint, "w2")
    assert other.take()["id"] == job_id  # it had come first
    assert worker.done(job_id, {"output": "too late"}) == 200
    assert worker.progress(job_id, "too late") == 200
    worker.ping(job_id)
    assert worker.stops() == [job_id]
    assert endpoint.get(f"stream/{job_id}").json()["stream"] == []
    assert other.done(job_id, {"output": "in time"}) == 200
    assert endpoint.status(job_id)["output"] == "in time"
    assert endpoint.get("health").json()["jobs"]["retried"] == 1
    assert other.take()["id"] == following


def test_heartbeat_without_the_job(endpoint: EndpointHere, worker: Worker) -> None:
    """A worker lives but does not name its job: it loses the job."""
    job_id = endpoint.run(1)
    worker.take()
    endpoint.advance(20)
    worker.ping()
    endpoint.advance(20)
    assert endpoint.status(job_id)["status"] == "IN_QUEUE"


def test_dropped_job(endpoint: EndpointHere) -> None:
    """The SDK posts nothing for what it cannot encode, and an answer can be lost on its way to the worker."""
    job_id = endpoint.run(1)
    worker = Worker(endpoint, "w1")
    assert [worker.take()["id"] for _ in range(3)] == [job_id] * 3
    following = endpoint.run(2)
    assert worker.take()["id"] == following
    state = endpoint.status(job_id)
    assert state["status"] == "FAILED" and "3 times" in state["error"]


def test_take_while_running(endpoint: EndpointHere, worker: Worker) -> None:
    """A worker that runs a job keeps it when it takes another."""
    job_ids = [endpoint.run(number) for number in range(1, 3)]
    worker.take()
    worker.take(runs_nothing=False)
    assert [endpoint.status(job_id)["status"] for job_id in job_ids] == ["IN_PROGRESS"] * 2


def test_attempts_after_retry(endpoint: EndpointHere, worker: Worker) -> None:
    """A retry counts attempts anew."""
    job_id = endpoint.run(1)
    for _ in range(3):
        worker.take()
    endpoint.advance(31)
    assert endpoint.status(job_id)["status"] == "FAILED"
    endpoint.post(f"retry/{job_id}")
    worker.take()
    endpoint.advance(31)
    assert endpoint.status(job_id)["status"] == "IN_QUEUE"


def test_worker_hangs_up(endpoint: EndpointHere, worker: Worker) -> None:
    """It polls, and is gone before there is a job: the job must not go to a poll that nobody reads."""
    url = urlsplit(endpoint.url)
    with socket.create_connection((url.hostname, url.port)) as gone:
        gone.sendall(f"GET {url.path}/job-take/gone?job_in_progress=0 HTTP/1.1\r\n".encode())
        gone.sendall(f"Host: localhost\r\nAuthorization: {TOKEN}\r\n\r\n".encode())
        # the next request comes after the first has been seen: one thread serves both
        while endpoint.get("health").json()["workers"]["idle"] == 0:
            pass
    job_id = endpoint.run(1)
    assert worker.take()["id"] == job_id
