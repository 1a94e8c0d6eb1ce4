"""The `hunyuanvideo` API over HTTP: every answer of its document."""

import re
from typing import Any

import pytest

from bench.servers.endpoint import eventually
from bench.servers.worker import VIDEO, FakeWorker, asked
from tests.gateway.conftest import Start
from tests.gateway.running_gateway import FaultyEndpoint, GatewayHere
from videoworker.errors import Code, JobError

UNKNOWN = "550e8400-e29b-41d4-a716-446655440000"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")

# The fields of the document's status.
STATUS = {"job_id", "status", "progress", "created_at", "updated_at", "video_url", "error", "estimated_time"}


@pytest.fixture
def gateway(shared: Start) -> GatewayHere:
    return shared("hunyuanvideo")


def heard_cancel(endpoint: FaultyEndpoint) -> None:
    assert endpoint.faults.count("POST cancel") == 1


def generate(gateway: GatewayHere, **fields: Any) -> str:
    answer = gateway.post("/api/generate", {"prompt": "a cat"} | fields)
    assert answer.status_code == 200
    job_id: str = answer.json()["job_id"]
    assert answer.json() == {
        "job_id": job_id,
        "status": "queued",
        "message": "Video generation job submitted successfully",
        "check_status_url": f"/api/status/{job_id}",
    }
    return job_id


def test_whole_job(start: Start, worker: FakeWorker) -> None:
    """Its progress is always a number that `bc` can read, and its times have no zone."""
    gateway = start("hunyuanvideo")
    job_id = generate(gateway, width=256, height=256, seed=None)
    at = f"/api/status/{job_id}"
    queued = gateway.get(at).json()
    assert queued.keys() >= STATUS
    assert (queued["status"], queued["progress"], queued["video_url"], queued["error"]) == ("queued", 0.0, None, None)
    assert queued["estimated_time"] == 600  # the document's, for 30 steps
    assert TIME.fullmatch(queued["created_at"]) and TIME.fullmatch(queued["updated_at"])

    job = worker.take()
    assert asked(job) == {"prompt": "a cat", "width": 256, "height": 256, "seed": None, "api": "hunyuanvideo"}
    worker.tell(job, 0.00001)
    running = gateway.until(at, status="processing")
    worker.tell(job, 0.5)
    running = gateway.until(at, progress=0.5)
    assert (running["stage"], running["step"], running["steps"], running["remaining"]) == ("denoise", 5, 10, 6.0)
    assert running["created_at"] == queued["created_at"]

    worker.finish(job)
    done = gateway.until(at, status="completed")
    assert done.keys() >= STATUS
    assert (done["progress"], done["error"], done["estimated_time"]) == (1.0, None, 12)
    assert done["video_url"] == f"/api/videos/{job_id}.mp4"
    assert gateway.get(done["video_url"]).content == VIDEO


def test_estimate(start: Start, worker: FakeWorker) -> None:
    """By what the last job took, whichever model made it."""
    gateway = start("hunyuanvideo")
    made = generate(gateway, num_inference_steps=10)
    worker.finish(worker.take())
    eventually(lambda: gateway.get(f"/api/videos/{made}.mp4").raise_for_status())
    asked = generate(gateway, num_inference_steps=20)
    assert gateway.get(f"/api/status/{asked}").json()["estimated_time"] == 20  # 18 of denoising, and 2 of decoding


def test_video(gateway: GatewayHere, worker: FakeWorker) -> None:
    """GET, HEAD, ranges and conditions."""
    job_id = generate(gateway)
    path = f"/api/videos/{job_id}.mp4"
    assert gateway.get(path).status_code == 404
    worker.finish(worker.take())
    gateway.until(f"/api/status/{job_id}", status="completed")
    whole = gateway.get(path)
    assert (whole.content, whole.headers["Content-Type"]) == (VIDEO, "video/mp4")
    assert f'filename="{job_id}.mp4"' in whole.headers["Content-Disposition"]
    head = gateway.head(path)
    assert (head.content, head.headers["Content-Length"]) == (b"", str(len(VIDEO)))
    for wanted, part in (("bytes=10-19", VIDEO[10:20]), ("bytes=-7", VIDEO[-7:]), ("bytes=40-", VIDEO[40:])):
        answer = gateway.get(path, headers={"Range": wanted})
        assert (answer.status_code, answer.content) == (206, part)
    assert gateway.get(path, headers={"Range": "bytes=999999999-"}).status_code == 416
    assert gateway.get(path, headers={"Range": "lines=1-2"}).content == VIDEO
    assert gateway.get(path, headers={"If-None-Match": whole.headers["ETag"]}).status_code == 304
    changed = {"Range": "bytes=1-2", "If-Range": '"another"'}
    assert gateway.get(path, headers=changed).content == VIDEO


def test_failure(gateway: GatewayHere, worker: FakeWorker) -> None:
    job_id = generate(gateway)
    worker.fail(worker.take(), JobError(Code.OUT_OF_MEMORY, "The video does not fit into memory."))
    failed = gateway.until(f"/api/status/{job_id}", status="failed")
    assert failed.keys() >= STATUS
    assert (failed["error"], failed["video_url"]) == ("The video does not fit into memory.", None)
    assert isinstance(failed["progress"], float) and isinstance(failed["estimated_time"], int)
    assert gateway.get(f"/api/videos/{job_id}.mp4").status_code == 404


def test_failure_in_another_programs_words(gateway: GatewayHere, worker: FakeWorker) -> None:
    """They may hold a path, so they are not repeated."""
    job_id = generate(gateway)
    worker.done(worker.take()["id"], {"error": "Traceback: /srv/secret.py"})
    assert gateway.until(f"/api/status/{job_id}", status="failed")["error"] == "Video generation failed."


def test_list(gateway: GatewayHere, worker: FakeWorker) -> None:
    """The newest first; `total` counts what is listed."""
    first, second, third = (generate(gateway, seed=number) for number in range(3))
    worker.finish(worker.take())
    gateway.until(f"/api/status/{first}", status="completed")

    def listed(query: str) -> list[str]:
        answer = gateway.get(f"/api/jobs{query}").json()
        assert answer["total"] == len(answer["jobs"])
        return [job["job_id"] for job in answer["jobs"]]

    assert listed("") == [third, second, first]
    assert listed("?limit=2") == [third, second]
    assert listed("?status=completed&limit=10") == [first]
    assert listed("?status=queued") == [third, second]
    assert listed("?status=unheard-of") == []
    for limit in ("0", "101", "many"):
        assert gateway.get(f"/api/jobs?limit={limit}").status_code == 422


def test_delete(gateway: GatewayHere, worker: FakeWorker, endpoint: FaultyEndpoint) -> None:
    """A job that waits is cancelled on the endpoint, one that runs is refused, a finished one goes with its video."""
    waiting, running = generate(gateway, seed=1), generate(gateway, seed=2)
    deleted = gateway.delete(f"/api/jobs/{waiting}")
    assert (deleted.status_code, deleted.json()) == (
        200,
        {"message": "Job deleted successfully", "job_id": waiting},
    )
    eventually(lambda: heard_cancel(endpoint))
    job = worker.take()
    assert job["input"]["seed"] == 2
    worker.tell(job, 0.1)
    gateway.until(f"/api/status/{running}", status="processing")
    refused = gateway.delete(f"/api/jobs/{running}")
    assert (refused.status_code, refused.json()) == (
        400,
        {"detail": "Cannot delete job that is currently processing"},
    )
    worker.finish(job)
    gateway.until(f"/api/status/{running}", status="completed")
    assert gateway.delete(f"/api/jobs/{running}").status_code == 200
    for path in (f"/api/status/{running}", f"/api/videos/{running}.mp4", f"/api/status/{waiting}"):
        assert gateway.get(path).status_code == 404
    assert gateway.get("/api/jobs").json() == {"total": 0, "jobs": []}


def test_unknown(gateway: GatewayHere) -> None:
    for job_id in (UNKNOWN, "x", "%00", "..%2f..%2fetc%2fpasswd", "a" * 5000):
        answer = gateway.get(f"/api/status/{job_id}")
        assert answer.status_code == 404 and answer.json()["detail"] in ("Job not found", "Not Found")
    assert gateway.get(f"/api/status/{UNKNOWN}").json() == {"detail": "Job not found"}
    assert gateway.get(f"/api/videos/{UNKNOWN}.mp4").json() == {"detail": "Video not found"}
    answer = gateway.delete(f"/api/jobs/{UNKNOWN}")
    assert (answer.status_code, answer.json()) == (404, {"detail": "Job not found"})


def test_invalid_request(gateway: GatewayHere, endpoint: FaultyEndpoint) -> None:
    """As FastAPI tells it, with each field that is wrong. The endpoint hears of none."""
    answer = gateway.post("/api/generate", {"width": 100, "seed": False})
    assert answer.status_code == 422
    wrong = {problem["loc"][-1] for problem in answer.json()["detail"]}
    assert wrong == {"prompt", "width", "seed"}
    for body in ("", "{", "[]", '{"prompt": NaN}'):
        refused = gateway.post("/api/generate", data=body)
        assert refused.status_code in (400, 422) and refused.json()["detail"]
    assert gateway.post("/api/generate", data="x" * 10_000_001).status_code == 413
    assert endpoint.faults.count("POST run") == 0


def test_no_endpoint(start: Start, worker: FakeWorker) -> None:
    gateway = start("hunyuanvideo", endpoint_url="http://127.0.0.1:1/v2/none")
    refused = gateway.post("/api/generate", {"prompt": "a cat"})
    assert (refused.status_code, refused.json()) == (
        503,
        {"detail": "Model not initialized yet. Please try again in a few moments."},
    )
    assert gateway.get("/api/jobs").json()["total"] == 0
    health = gateway.get("/health").json()
    assert health == {"status": "unhealthy", "model_loaded": False, "active_jobs": 0, "total_jobs": 0}


def test_information(start: Start) -> None:
    gateway = start("hunyuanvideo")
    generate(gateway)
    assert gateway.get("/health").json() == {
        "status": "healthy",
        "model_loaded": False,
        "active_jobs": 1,
        "total_jobs": 1,
    }
    root = gateway.get("/").json()
    assert (root["version"], root["status"]) == ("1.0.0", "running") and root["endpoints"]
    info = gateway.get("/api/info").json()
    assert (info["video_length"]["min_frames"], info["video_length"]["max_frames"]) == (13, 129)
    assert gateway.get("/docs").status_code == gateway.get("/redoc").status_code == 200
    allowed = gateway.get("/health", headers={"Origin": "https://a.page"}).headers
    assert allowed["Access-Control-Allow-Origin"] == "*"
