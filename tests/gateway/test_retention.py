"""How long a gateway keeps what it has."""

from pathlib import Path

import pytest

from bench.servers.endpoint import eventually
from bench.servers.store import new_bucket
from bench.servers.worker import VIDEO, FakeWorker, delivered_as
from tests.gateway.conftest import Start
from tests.gateway.running_gateway import put
from videoworker.errors import Code, JobError

BODY = {"prompt": "a star"}


def test_keep_days(start: Start, worker: FakeWorker, tmp_path: Path) -> None:
    """What has ended is deleted whole when its time is over. What is open stays, however old it is."""
    files = tmp_path / "gateway"
    gateway = start("hunyuanvideo")
    made, failed, open_one = [gateway.post("/api/generate", BODY).json()["job_id"] for _ in range(3)]
    worker.finish(worker.take())
    worker.fail(worker.take(), JobError(Code.OUT_OF_MEMORY, "No."))
    gateway.until(f"/api/status/{made}", status="completed")
    gateway.until(f"/api/status/{failed}", status="failed")
    gateway.stop()

    gateway = start("hunyuanvideo")  # without a limit, for ever
    assert gateway.get("/api/jobs").json()["total"] == 3
    gateway.stop()

    gateway = start("hunyuanvideo", keep_days=30)
    assert gateway.get(f"/api/videos/{made}.mp4").status_code == 200
    gateway.stop()

    gateway = start("hunyuanvideo", keep_days=1e-6)

    def only_the_open_one() -> None:
        listed = gateway.get("/api/jobs").json()["jobs"]
        assert [job["job_id"] for job in listed] == [open_one] and not list(files.glob("*.mp4"))

    eventually(only_the_open_one)
    assert gateway.get(f"/api/videos/{made}.mp4").status_code == 404
    worker.finish(worker.take())
    gateway.until(f"/api/status/{open_one}", status="completed")


@pytest.mark.needs_swift
def test_keep_days_in_a_bucket(start: Start, worker: FakeWorker, s3_port: int, tmp_path: Path) -> None:
    """Its objects go with the job, and no others: not what a worker has just delivered, nor what is not of a job."""
    store = new_bucket(s3_port)
    bucket = store.settings(tmp_path)
    store.client.put_object(Bucket=store.name, Key="made/here/other.mp4", Body=VIDEO)
    gateway = start("hunyuanvideo", bucket=bucket)
    made, open_one = [gateway.post("/api/generate", BODY).json()["job_id"] for _ in range(2)]
    job = worker.take()
    put(store, job)
    worker.finish(job, "https://store.example/link")
    gateway.until(f"/api/status/{made}", status="completed")
    job = worker.take()
    put(store, job)
    all_there = store.keys()
    gateway.stop()

    gateway = start("hunyuanvideo", bucket=bucket, keep_days=30)
    assert gateway.get(f"/api/videos/{made}.mp4").content == VIDEO
    gateway.stop()
    assert store.keys() == all_there

    gateway = start("hunyuanvideo", bucket=bucket, keep_days=1e-6)

    def only_the_others() -> None:
        left = {key for key in all_there if key.startswith(f"made/here/{delivered_as(job)}/")}
        assert set(store.keys()) == left | {"made/here/other.mp4"}

    eventually(only_the_others)
    assert gateway.get(f"/api/videos/{made}.mp4").status_code == 404
    worker.finish(job, "https://store.example/link")
    gateway.until(f"/api/status/{open_one}", status="completed")
    assert gateway.get(f"/api/videos/{open_one}.mp4").content == VIDEO
