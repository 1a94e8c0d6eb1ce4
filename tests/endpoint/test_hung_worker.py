"""Workers whose heartbeats go on although they hang. Time is advanced, not waited for.

`killed` stands for their supervisor. Without it, they are workers that somebody else started."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import structlog

from bench.servers.endpoint import eventually
from bench.servers.worker import Worker
from tests.databases import on_sqlite
from tests.endpoint.conftest import Start
from tests.endpoint.running_endpoint import EndpointHere

pytestmark = on_sqlite

HANG_SECONDS = 60  # the default


@pytest.fixture
def endpoint(start: Start) -> EndpointHere:
    return start()


@pytest.fixture
def worker(endpoint: EndpointHere) -> Worker:
    return Worker(endpoint, "w1")


@pytest.fixture
def killed(endpoint: EndpointHere) -> dict[str, str]:
    """The workers that were killed, and why."""
    killed: dict[str, str] = {}

    def kill(worker_id: str, reason: str) -> bool:
        killed[worker_id] = reason
        return True

    endpoint.queue.on_failure = kill
    return killed


def pass_with_pings(worker: Worker, endpoint: EndpointHere, seconds: int, *job_ids: str) -> None:
    """Lets time pass. The worker's heartbeats name the jobs."""
    for _ in range(seconds // 10):
        endpoint.advance(10)
        worker.ping(*job_ids)
    endpoint.advance(0)


def test_job_that_is_over(endpoint: EndpointHere, worker: Worker, killed: dict[str, str]) -> None:
    """A worker that goes on naming a cancelled job is killed, whatever else it runs and asks for."""
    over, other = endpoint.run(1), endpoint.run(2)
    worker.take()
    worker.take(runs_nothing=False)
    endpoint.post(f"cancel/{over}")
    pass_with_pings(worker, endpoint, HANG_SECONDS - 10, over, other)
    assert not killed
    pass_with_pings(worker, endpoint, 20, over, other)
    assert killed == {"w1": "still runs a job that is over"}


def test_job_that_is_stopped_in_time(endpoint: EndpointHere, worker: Worker, killed: dict[str, str]) -> None:
    jobs = [endpoint.run(number) for number in range(4)]
    for number, job_id in enumerate(jobs):
        assert worker.take(runs_nothing=number == 0)["id"] == job_id
    for number in range(3):  # one after the other: never one for too long
        endpoint.post(f"cancel/{jobs[number]}")
        pass_with_pings(worker, endpoint, HANG_SECONDS - 10, *jobs[number:])
    assert not killed


def test_no_job_and_no_poll(endpoint: EndpointHere, worker: Worker, killed: dict[str, str]) -> None:
    job_id = endpoint.run(1)
    worker.take()
    worker.done(job_id, {"output": 1})
    pass_with_pings(worker, endpoint, HANG_SECONDS - 10)
    assert not killed
    pass_with_pings(worker, endpoint, 20)
    assert killed == {"w1": "has no job and asks for none"}


def test_deaf_in_a_job(endpoint: EndpointHere, worker: Worker, killed: dict[str, str]) -> None:
    """A worker that was started here asks for jobs to stop while it runs one."""
    endpoint.queue.workers.started("w1")
    running, other = [endpoint.run(number, policy={"executionTimeout": 3_600_000}) for number in range(2)]
    worker.take()
    worker.take(runs_nothing=False)
    with ThreadPoolExecutor() as pool:
        listening = pool.submit(worker.stops)
        eventually(lambda: assert_listening(endpoint))
        pass_with_pings(worker, endpoint, 300, running, other)
        endpoint.post(f"cancel/{other}")
        assert listening.result() == [other]
    pass_with_pings(worker, endpoint, HANG_SECONDS - 10, running)
    assert not killed
    pass_with_pings(worker, endpoint, 20, running)
    assert killed == {"w1": "no longer asks for jobs to stop"}


def assert_listening(endpoint: EndpointHere) -> None:
    assert endpoint.queue.workers.heard_from("w1").open_stop_polls == 1


def test_silent_without_a_job(endpoint: EndpointHere, worker: Worker, killed: dict[str, str]) -> None:
    worker.ping()
    endpoint.advance(31)
    assert killed == {"w1": "no heartbeat"}


def long_job(endpoint: EndpointHere, worker: Worker) -> None:
    """It asks for nothing meanwhile. Somebody else started it."""
    job_id = endpoint.run(1, policy={"executionTimeout": 3_600_000})
    worker.take()
    pass_with_pings(worker, endpoint, 300, job_id)


def long_poll(endpoint: EndpointHere, worker: Worker) -> None:
    with ThreadPoolExecutor() as pool:
        polling = pool.submit(worker.take)
        eventually(lambda: assert_idle(endpoint))
        pass_with_pings(worker, endpoint, 300)
        endpoint.run(1)
        polling.result()


def drain(endpoint: EndpointHere, worker: Worker) -> None:
    """It was told to end, and finishes its job."""
    job_id = endpoint.run(1, policy={"executionTimeout": 3_600_000})
    worker.take()
    endpoint.queue.retire("w1")
    pass_with_pings(worker, endpoint, 300, job_id)
    worker.done(job_id, {"output": 1})


def start_slowly(endpoint: EndpointHere, worker: Worker) -> None:
    """Nothing is heard of it while it loads weights."""
    endpoint.queue.workers.started("w1")
    endpoint.advance(3600)
    worker.ping()


def assert_idle(endpoint: EndpointHere) -> None:
    assert endpoint.get("health").json()["workers"]["idle"] == 1


@pytest.mark.parametrize("live", [long_job, long_poll, drain, start_slowly])
def test_worker_that_does_not_hang(
    endpoint: EndpointHere, worker: Worker, killed: dict[str, str], live: Callable[[EndpointHere, Worker], None]
) -> None:
    live(endpoint, worker)
    endpoint.advance(HANG_SECONDS / 3)
    assert not killed


def test_told_to_end(endpoint: EndpointHere, worker: Worker, killed: dict[str, str]) -> None:
    """It does not end, though its last job is over."""
    drain(endpoint, worker)
    pass_with_pings(worker, endpoint, HANG_SECONDS + 10)
    assert killed == {"w1": "was told to end"}


def test_worker_of_somebody_else(endpoint: EndpointHere, worker: Worker) -> None:
    """It cannot be killed. Its jobs go to others, and it gets none until it no longer hangs. One line is logged."""
    over, other = endpoint.run(1), endpoint.run(2)
    worker.take()
    worker.take(runs_nothing=False)
    endpoint.post(f"cancel/{over}")
    with structlog.testing.capture_logs() as log:
        pass_with_pings(worker, endpoint, HANG_SECONDS + 30, over, other)
    assert [entry["event"] for entry in log if entry.get("worker") == "w1"] == [
        "attempt lost",
        "worker gets no jobs; it was not started here",
    ]
    assert worker.poll(runs_nothing=False).status_code == 429
    assert Worker(endpoint, "w2").take()["id"] == other
    following = endpoint.run(3)
    assert worker.poll(runs_nothing=False).status_code == 429
    assert worker.take()["id"] == following


def test_the_same_job_again(endpoint: EndpointHere, worker: Worker) -> None:
    """A worker that lost a job and gets it again is not told to stop it."""
    job_id, following = endpoint.run(1), endpoint.run(2)
    worker.take()
    endpoint.advance(31)
    worker.ping(job_id)
    assert worker.take()["id"] == job_id
    assert worker.take(runs_nothing=False)["id"] == following
    endpoint.post(f"cancel/{following}")
    assert worker.stops() == [following]


def test_replacement_of_a_worker_of_somebody_else(endpoint: EndpointHere, worker: Worker) -> None:
    """A result that asks for a fresh worker is kept, though nobody here can replace this one."""
    job_id = endpoint.run(1)
    worker.take()
    assert worker.done(job_id, {"output": 1, "stopPod": True}) == 200
