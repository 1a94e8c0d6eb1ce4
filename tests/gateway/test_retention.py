"""How long a gateway keeps what it has."""

from pathlib import Path

from bench.servers.endpoint import eventually
from bench.servers.worker import FakeWorker
from tests.gateway.conftest import Start
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
