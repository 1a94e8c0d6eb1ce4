"""That an accepted job is submitted once and ends, whatever happens on the way."""

from pathlib import Path
from typing import Any

import pytest
import requests

from bench.servers.endpoint import PATIENCE, eventually
from bench.servers.worker import VIDEO, FakeWorker
from tests.gateway.conftest import Start
from tests.gateway.running_gateway import FaultyEndpoint, GatewayHere, delivered

API = "hunyuanvideo"


def generate(gateway: GatewayHere, **fields: Any) -> str:
    job_id: str = gateway.post("/api/generate", {"prompt": "a cat"} | fields).json()["job_id"]
    return job_id


def waiting(endpoint: FaultyEndpoint) -> int:
    """How many jobs the endpoint has that no worker has taken."""
    count: int = endpoint.get("health").json()["jobs"]["inQueue"]
    return count


def are_asked(endpoint: FaultyEndpoint, call: str, count: int) -> None:
    def check() -> None:
        assert endpoint.faults.count(call) >= count

    eventually(check)


def test_lost_answer(shared: Start, endpoint: FaultyEndpoint, worker: FakeWorker) -> None:
    """The endpoint has the job, and the gateway did not hear so. It is one job all the same."""
    gateway = shared(API)
    endpoint.faults.lost = 2
    job_id = generate(gateway)
    are_asked(endpoint, "POST run", 3)
    assert waiting(endpoint) == 1
    worker.finish(worker.take())
    gateway.until(f"/api/status/{job_id}", status="completed")


def test_restart(start: Start, endpoint: FaultyEndpoint, worker: FakeWorker) -> None:
    """A gateway that ended while a job waited, or before the endpoint had it, goes on with it. Jobs that ended stay."""
    first = start(API)
    done = generate(first)
    worker.finish(worker.take())
    first.until(f"/api/status/{done}", status="completed")
    submitted = generate(first)
    endpoint.faults.status = 429
    unsubmitted = generate(first)
    first.stop()
    endpoint.faults.status = None
    job = worker.take()
    worker.finish(job)
    second = start(API)
    second.until(f"/api/status/{submitted}", status="completed")
    worker.finish(worker.take())
    second.until(f"/api/status/{unsubmitted}", status="completed")
    assert second.get(f"/api/videos/{done}.mp4").content == VIDEO
    assert waiting(endpoint) == 0


def test_throttled(shared: Start, endpoint: FaultyEndpoint, worker: FakeWorker) -> None:
    """RunPod's 429 holds a job back and loses none."""
    gateway = shared(API)
    endpoint.faults.status = 429
    job_ids = [generate(gateway, seed=number) for number in range(3)]
    assert {gateway.get(f"/api/status/{job_id}").json()["status"] for job_id in job_ids} == {"queued"}
    endpoint.faults.status = None
    for _ in job_ids:
        eventually(lambda: worker.finish(worker.take()))
    for job_id in job_ids:
        gateway.until(f"/api/status/{job_id}", status="completed")


def test_without_webhooks(start: Start, worker: FakeWorker) -> None:
    """Results are learnt by asking."""
    gateway = start(API, webhook_base_url="http://127.0.0.1:1")
    job_id = generate(gateway)
    worker.finish(worker.take())
    gateway.until(f"/api/status/{job_id}", status="completed")


def test_webhook_of_a_stranger(shared: Start, endpoint: FaultyEndpoint, worker: FakeWorker) -> None:
    """Who does not know a job's token cannot say anything about it."""
    gateway = shared(API)
    generate(gateway)
    for token in ("", "x" * 43, "%00", "../x"):
        assert gateway.post(f"/webhooks/{token}", {"id": "x", "status": "COMPLETED"}).status_code in (404, 405)


def test_twin(shared: Start, endpoint: FaultyEndpoint, worker: FakeWorker) -> None:
    """An endpoint that knows no keys has a job twice if its answer was lost. The one that shows second is cancelled."""
    gateway = shared(API)
    job_id = generate(gateway)
    job = worker.take()
    twin = endpoint.run(job["input"])
    requests.post(job["webhook"], json={"id": twin, "status": "COMPLETED"}, timeout=10).raise_for_status()
    assert endpoint.final(twin)["status"] == "CANCELLED"
    worker.finish(job)
    gateway.until(f"/api/status/{job_id}", status="completed")


def test_job_that_the_endpoint_cancelled(shared: Start, endpoint: FaultyEndpoint, worker: FakeWorker) -> None:
    gateway = shared(API)
    job_id = generate(gateway)
    endpoint.post(f"cancel/{worker.take()['id']}")
    assert gateway.until(f"/api/status/{job_id}", status="failed")["error"] == "The job was cancelled."


def test_cancelled_after_a_lost_answer(shared: Start, endpoint: FaultyEndpoint, worker: FakeWorker) -> None:
    """The gateway does not know the endpoint's id of the job. It is cancelled there all the same."""
    gateway = shared(API)
    endpoint.faults.lost = 1
    job_id = generate(gateway)
    assert waiting(endpoint) == 1
    endpoint.faults.status = 429
    gateway.delete(f"/api/jobs/{job_id}").raise_for_status()
    endpoint.faults.status = None
    eventually(lambda: is_cancelled(endpoint))


def is_cancelled(endpoint: FaultyEndpoint) -> None:
    assert waiting(endpoint) == 0 and endpoint.faults.count("POST cancel") >= 1  # the first may have got a 429


@pytest.mark.parametrize(("method", "path"), [("DELETE", "/v1/videos/{}"), ("POST", "/ui/jobs/{}/cancel")])
def test_unwanted_while_its_video_comes(
    start: Start, endpoint: FaultyEndpoint, worker: FakeWorker, tmp_path: Path, method: str, path: str
) -> None:
    """What comes after that is removed."""
    gateway = start("openai")
    video_id = gateway.post("/v1/videos", {"prompt": "a cat"}).json()["id"]
    job = worker.take()
    endpoint.faults.held.add("GET video.mp4")
    worker.finish(job, delivered(endpoint, job))
    are_asked(endpoint, "GET video.mp4", 1)
    requests.request(method, f"{gateway.url}{path.format(video_id)}", timeout=PATIENCE).raise_for_status()
    endpoint.faults.held.clear()
    are_asked(endpoint, "POST cancel", 1)
    eventually(lambda: is_empty(tmp_path / "gateway"))


def is_empty(folder: Path) -> None:
    assert list(folder.iterdir()) == []


def test_answer_that_is_no_workers(shared: Start, worker: FakeWorker) -> None:
    gateway = shared(API)
    outputs: list[Any] = [None, [], {"video": {}}, {"video": {"url": None}, "timings": {}}, "text"]
    for output in outputs:
        job_id = generate(gateway)
        worker.done(worker.take()["id"], {"output": output})
        failed = gateway.until(f"/api/status/{job_id}", status="failed")
        assert failed["error"] == "The worker's answer cannot be read."


def test_on_each_database(start: Start, database_url: str, worker: FakeWorker) -> None:
    """The whole way of a job, a list, and a deletion."""
    gateway = start(API, gateway_database_url=database_url)
    job_id = generate(gateway)
    worker.finish(worker.take())
    gateway.until(f"/api/status/{job_id}", status="completed")
    assert [job["job_id"] for job in gateway.get("/api/jobs?status=completed").json()["jobs"]] == [job_id]
    assert gateway.get("/api/status/%00").status_code == 404
    gateway.delete(f"/api/jobs/{job_id}").raise_for_status()
    assert gateway.get(f"/api/status/{job_id}").status_code == 404
