"""Where a finished video's bytes come from, where they are kept, how callers get them, and how they go."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from bench.servers.endpoint import PATIENCE, eventually
from bench.servers.fault_proxy import Fault, FaultProxy
from bench.servers.store import Store, new_bucket
from bench.servers.worker import VIDEO, FakeWorker, delivered_as
from tests.gateway.conftest import Start
from tests.gateway.running_gateway import FaultyEndpoint, GatewayHere, delivered, put

API = "hunyuanvideo"


def submitted(gateway: GatewayHere) -> str:
    job_id: str = gateway.post("/api/generate", {"prompt": "a cat"}).json()["job_id"]
    return job_id


def test_url(start: Start, endpoint: FaultyEndpoint, worker: FakeWorker, tmp_path: Path) -> None:
    """Without the bucket's key the video is copied, so it outlives its link. It goes with its job."""
    gateway = start(API)
    job_id = submitted(gateway)
    job = worker.take()
    worker.finish(job, delivered(endpoint, job))
    gateway.until(f"/api/status/{job_id}", status="completed")
    (endpoint.files / delivered_as(job) / "video.mp4").unlink()
    assert gateway.get(f"/api/videos/{job_id}.mp4").content == VIDEO
    (kept,) = (tmp_path / "gateway").iterdir()
    gateway.delete(f"/api/jobs/{job_id}")
    eventually(lambda: is_gone(kept))


def is_gone(path: Path) -> None:
    assert not path.exists()


def test_bytes_that_are_not_there_yet(shared: Start, endpoint: FaultyEndpoint, worker: FakeWorker) -> None:
    """The job is not "completed" before all of them are: not if there is no file, nor if it is another."""
    gateway = shared(API)
    job_id = submitted(gateway)
    job = worker.take()
    url = delivered(endpoint, job, b"a part")
    worker.finish(job, url)
    assert gateway.until(f"/api/status/{job_id}", status="processing")["video_url"] is None
    file = endpoint.files / delivered_as(job) / "video.mp4"
    file.unlink()
    assert gateway.get(f"/api/status/{job_id}").json()["status"] == "processing"
    file.write_bytes(VIDEO)
    gateway.until(f"/api/status/{job_id}", status="completed")
    assert gateway.get(f"/api/videos/{job_id}.mp4").content == VIDEO


def test_no_url(shared: Start, worker: FakeWorker) -> None:
    """A worker that delivers to its own disk."""
    gateway = shared(API)
    job_id = submitted(gateway)
    worker.finish(worker.take(), "file:///outputs/video.mp4")
    failed = gateway.until(f"/api/status/{job_id}", status="failed")
    assert failed["error"] == "The video was made, but the endpoint gives no URL for it."


@pytest.mark.needs_swift
def test_bucket(start: Start, worker: FakeWorker, s3_port: int, tmp_path: Path) -> None:
    """With its key nothing is copied. Links are signed anew for each request, and deleting removes the objects."""
    store = new_bucket(s3_port)
    gateway = start(API, bucket=store.settings(tmp_path))
    job_id = submitted(gateway)
    job = worker.take()
    put(store, job)
    worker.finish(job, "https://store.example/a-link-that-has-expired")
    gateway.until(f"/api/status/{job_id}", status="completed")
    path = f"/api/videos/{job_id}.mp4"
    whole = gateway.get(path)
    assert (whole.content, whole.headers["Content-Type"], whole.history) == (VIDEO, "video/mp4", [])
    head = gateway.head(path)
    assert (head.status_code, head.headers["Content-Length"]) == (200, str(len(VIDEO)))
    part = gateway.get(path, headers={"Range": "bytes=5-9"})
    assert (part.status_code, part.content) == (206, VIDEO[5:10])
    assert gateway.get(path, headers={"Range": "bytes=999999999-"}).status_code == 416
    assert gateway.get(path, headers={"If-None-Match": whole.headers["ETag"]}).status_code == 304
    assert list((tmp_path / "gateway").iterdir()) == []
    gateway.delete(f"/api/jobs/{job_id}")
    eventually(lambda: is_empty(store))


@pytest.mark.needs_swift
def test_bucket_and_a_cancelled_job(start: Start, worker: FakeWorker, s3_port: int, tmp_path: Path) -> None:
    """What was made of it goes: nobody could get it."""
    store = new_bucket(s3_port)
    gateway = start(API, bucket=store.settings(tmp_path))
    job_id = submitted(gateway)
    put(store, worker.take())
    gateway.post(f"/ui/jobs/{job_id}/cancel").raise_for_status()
    eventually(lambda: is_empty(store))


@pytest.mark.needs_swift
@pytest.mark.parametrize("end", ["deleted", "cancelled there", "cancelled, with a twin"])
def test_bucket_and_a_late_worker(
    start: Start, endpoint: FaultyEndpoint, worker: FakeWorker, s3_port: int, tmp_path: Path, end: str
) -> None:
    """A worker delivers after the job's end: it hears late of it. That goes too, and a restart changes nothing. So it
    is if the endpoint has the job under another id, of which the gateway never heard."""
    store = new_bucket(s3_port)
    gateway = start(API, bucket=store.settings(tmp_path))
    job_id = submitted(gateway)
    job = worker.take()
    if end == "cancelled, with a twin":
        endpoint.run(job["input"])
        job = worker.take(runs_nothing=False)
    if end == "cancelled there":
        endpoint.post(f"cancel/{job['id']}")
        gateway.until(f"/api/status/{job_id}", status="failed")
    else:
        act = {"deleted": ("DELETE", "")}.get(end, ("POST", "/cancel"))
        requests.request(act[0], f"{gateway.url}/ui/jobs/{job_id}{act[1]}", timeout=PATIENCE).raise_for_status()
    database = tmp_path / "gateway.db"
    eventually(lambda: is_settled(database))
    gateway.stop()
    put(store, job)
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE gateway_leftovers SET due_at = 0")  # its next turn has come
    start(API, bucket=store.settings(tmp_path))
    eventually(lambda: is_empty(store))


def is_settled(database: Path) -> None:
    """Nothing is to be done with any job now."""
    with sqlite3.connect(database) as connection:
        wanted = "SELECT * FROM gateway_jobs WHERE state IN ('queued', 'running') OR to_cancel OR deleted"
        assert connection.execute(wanted).fetchall() == []


@pytest.mark.needs_swift
def test_bucket_and_a_post(start: Start, worker: FakeWorker, s3_port: int, tmp_path: Path) -> None:
    """The video is the answer to the request that made it."""
    store = new_bucket(s3_port)
    headers = {"Authorization": "Bearer a-token", "Range": "bytes=0-1"}
    gateway = start("cogvideox", cogvideox_tokens="a-token", bucket=store.settings(tmp_path))
    with ThreadPoolExecutor(1) as caller:
        call = caller.submit(gateway.post, "/generate", {"prompt": "a cat"}, headers=headers)
        job = worker.take()
        put(store, job)
        worker.finish(job, "https://store.example/a-link-that-has-expired")
        assert (call.result().status_code, call.result().content) == (200, VIDEO)


@pytest.mark.needs_swift
def test_bucket_that_is_away(start: Start, worker: FakeWorker, s3_port: int, tmp_path: Path) -> None:
    """The job waits for it. A finished one's video is a 503 meanwhile."""
    store = new_bucket(s3_port)
    with FaultProxy(s3_port) as proxy:
        gateway = start(API, bucket=store.settings(tmp_path, bucket_endpoint_url=proxy.url))
        job_id = submitted(gateway)
        job = worker.take()
        put(store, job)
        proxy.fail_always(Fault(status=503))
        before = proxy.connections
        worker.finish(job, "https://store.example/link")
        eventually(lambda: was_asked(proxy, before))
        assert gateway.get(f"/api/status/{job_id}").json()["status"] != "completed"
        proxy.fail_always(None)
        gateway.until(f"/api/status/{job_id}", status="completed")
        proxy.fail_always(Fault(status=503))
        refused = gateway.get(f"/api/videos/{job_id}.mp4")
        assert (refused.status_code, refused.json()) == (503, {"detail": "The video's bytes cannot be had now."})
        proxy.fail_always(None)
        assert gateway.get(f"/api/videos/{job_id}.mp4").content == VIDEO


def is_empty(store: Store) -> None:
    assert store.keys() == []


def was_asked(proxy: FaultProxy, before: int) -> None:
    assert proxy.connections > before
