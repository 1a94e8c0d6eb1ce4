"""RunPod's own client and RunPod's own worker, both unmodified, meeting on the endpoint."""

from collections.abc import Iterator

import pytest

from bench.servers.endpoint import PATIENCE, eventually
from tests.databases import on_sqlite
from tests.endpoint.conftest import Start
from tests.endpoint.running_endpoint import EndpointHere

pytestmark = on_sqlite


@pytest.fixture(scope="module")
def served(shared: EndpointHere) -> Iterator[EndpointHere]:
    """With two of the SDK's workers."""
    with shared.worker("sdk-1"), shared.worker("sdk-2"):
        yield shared


def is_running(endpoint: EndpointHere, job_id: str, least_step: int = 1) -> None:
    state = endpoint.status(job_id)
    assert state["status"] == "IN_PROGRESS" and state.get("output", {}).get("step", 0) >= least_step


def test_output(served: EndpointHere) -> None:
    job = served.client.run({"prompt": "p"})
    assert job.output(timeout=int(PATIENCE))["echo"] == {"prompt": "p"}
    assert job.status() == "COMPLETED"
    assert served.client.run_sync({"input": {"n": 1}}, timeout=int(PATIENCE))["echo"] == {"n": 1}


def test_progress_and_cancel(served: EndpointHere) -> None:
    """Progress grows until the client cancels. The worker then goes on with the next job."""
    jobs = [served.client.run({"do": "run for ever"}) for _ in range(2)]
    for job in jobs:
        eventually(lambda job=job: is_running(served, job.job_id))  # type: ignore[misc]
    states = [served.status(job.job_id) for job in jobs]
    assert {state["workerId"] for state in states} == {"sdk-1", "sdk-2"}  # they share the queue
    for job, state in zip(jobs, states, strict=True):
        eventually(lambda job=job, step=state["output"]["step"]: is_running(served, job.job_id, step + 2))  # type: ignore[misc]
    waiting = served.client.run({"n": 3})
    health = served.client.health()
    assert (health["jobs"]["inProgress"], health["jobs"]["inQueue"]) == (2, 1)
    assert health["workers"]["running"] == 2

    assert waiting.cancel() == {"id": waiting.job_id, "status": "CANCELLED"}
    following = served.client.run({"n": 4})
    for job in jobs:
        assert job.cancel()["status"] == "CANCELLED"
    assert following.output(timeout=int(PATIENCE))["echo"] == {"n": 4}
    assert {served.status(job.job_id)["status"] for job in (*jobs, waiting)} == {"CANCELLED"}


def test_retry(served: EndpointHere) -> None:
    job = served.client.run({"do": "fail once"})
    assert served.final(job.job_id)["error"] == "asked to fail once"
    with served.worker("sdk-3"):  # whichever worker takes it: each fails a job once
        while (state := served.final(job.job_id))["status"] == "FAILED":
            assert served.post(f"retry/{job.job_id}").json()["id"] == job.job_id
    assert state["status"] == "COMPLETED" and "error" not in state


def test_execution_timeout(served: EndpointHere) -> None:
    """A job that runs too long is stopped. The worker goes on with the next job."""
    jobs = [served.run({"do": "run for ever"}, policy={"executionTimeout": 5_000}) for _ in range(2)]
    for job_id in jobs:
        eventually(lambda job_id=job_id: is_running(served, job_id))  # type: ignore[misc]
    served.advance(6)
    assert {served.status(job_id)["status"] for job_id in jobs} == {"TIMED_OUT"}
    assert served.final(served.run({"n": 1}))["status"] == "COMPLETED"


def test_result_never_sent(served: EndpointHere) -> None:
    """The SDK drops what JSON cannot hold without a word; it is noticed when the worker asks for the next job."""
    state = served.final(served.run({"do": "give what JSON cannot hold"}))
    assert state["status"] == "FAILED" and "3 times" in state["error"]


def test_stream(start: Start) -> None:
    """The client gets each value that the worker's generator yields."""
    endpoint = start()
    with endpoint.worker("sdk-1", STREAM="yes"):
        chunks = list(endpoint.client.run({"chunks": 5}).stream())
    assert chunks == [{"n": number} for number in range(5)]
