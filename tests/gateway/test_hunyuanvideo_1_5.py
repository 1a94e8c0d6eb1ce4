"""The `hunyuanvideo-1.5` API over HTTP: every answer of its document."""

from typing import Any

import pytest

from bench.servers.worker import VIDEO, FakeWorker
from tests.gateway.conftest import Start
from tests.gateway.running_gateway import GatewayHere
from videoworker.errors import Code, JobError

PROMPT = "Professional training video about data privacy"


@pytest.fixture
def gateway(shared: Start) -> GatewayHere:
    return shared("hunyuanvideo-1.5")


def generate(gateway: GatewayHere, **fields: Any) -> str:
    answer = gateway.post("/generate", {"prompt": PROMPT} | fields)
    assert answer.status_code == 202
    told: dict[str, Any] = answer.json()
    assert told == {"task_id": told["task_id"], "status": "processing", "estimated_time": told["estimated_time"]}
    assert isinstance(told["estimated_time"], int)
    task_id: str = told["task_id"]
    return task_id


def test_whole_task(gateway: GatewayHere, worker: FakeWorker) -> None:
    """It is "processing" while it waits too. Its URL is fetched as it is."""
    task_id = generate(gateway, duration=10, resolution="1080p", model="HunyuanVideo-1.5")
    at = f"/status/{task_id}"
    waiting = gateway.get(at).json()
    assert (waiting["task_id"], waiting["status"], waiting["progress"]) == (task_id, "processing", 0)
    assert type(waiting["progress"]) is type(waiting["elapsed_time"]) is int
    job = worker.take()
    assert job["input"]["api"] == "hunyuanvideo-1.5"
    worker.tell(job, 0.65)
    assert type(gateway.until(at, progress=65)["progress"]) is int
    worker.finish(job)
    done = gateway.until(at, status="completed")
    assert (done["duration"], done["resolution"], done["file_size"]) == (10, "1080p", len(VIDEO))
    assert done["video_url"] == f"{gateway.url}/videos/{task_id}.mp4"
    assert gateway.get(f"/videos/{task_id}.mp4").content == VIDEO
    assert gateway.head(f"/videos/{task_id}.mp4").headers["Content-Type"] == "video/mp4"


def test_failure(gateway: GatewayHere, worker: FakeWorker) -> None:
    task_id = generate(gateway)
    worker.fail(worker.take(), JobError(Code.OUT_OF_MEMORY, "Out of memory"))
    failed = gateway.until(f"/status/{task_id}", status="failed")
    assert (failed["task_id"], failed["error"], failed["error_code"]) == (task_id, "Out of memory", "OOM_ERROR")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"prompt": ""}, "INVALID_PROMPT"),
        ({"prompt": "x" * 501}, "INVALID_PROMPT"),
        ({"duration": 11}, "INVALID_DURATION"),
        ({"resolution": "4k"}, "INVALID_PARAMETER"),
        ({"unheard": 1}, "INVALID_PARAMETER"),
    ],
)
def test_invalid_request(gateway: GatewayHere, fields: dict[str, Any], code: str) -> None:
    answer = gateway.post("/generate", {"prompt": PROMPT} | fields)
    assert answer.status_code == 400
    told = answer.json()
    assert (told["task_id"], told["status"], told["error_code"]) == (None, "failed", code) and told["error"]


def test_body_that_is_no_json(gateway: GatewayHere) -> None:
    answer = gateway.post("/generate", data="{")
    assert answer.status_code == 400
    assert (answer.json()["status"], answer.json()["error_code"]) == ("failed", "INVALID_REQUEST")


def test_unknown(gateway: GatewayHere) -> None:
    """The literal id of the document's examples, and a file that is none."""
    for path in ("/status/uuid-1234-5678", "/videos/uuid-1234-5678.mp4", "/nothing"):
        answer = gateway.get(path)
        assert answer.status_code == 404
        assert (answer.json()["task_id"], answer.json()["error_code"]) == (None, "TASK_NOT_FOUND")
        assert answer.json()["status"] == "failed"


def test_full_queue(start: Start, worker: FakeWorker) -> None:
    """Jobs that run do not count."""
    gateway = start("hunyuanvideo-1.5", hunyuan_max_queue_size=2)
    running = generate(gateway)
    worker.tell(worker.take(), 0.5)
    gateway.until(f"/status/{running}", progress=50)
    for _ in range(2):
        generate(gateway)
    refused = gateway.post("/generate", {"prompt": PROMPT})
    assert (refused.status_code, refused.json()["error_code"]) == (503, "QUEUE_FULL")
    assert int(refused.headers["Retry-After"]) > 0


def test_no_endpoint(start: Start) -> None:
    gateway = start("hunyuanvideo-1.5", endpoint_url="http://127.0.0.1:1/v2/none")
    refused = gateway.post("/generate", {"prompt": PROMPT})
    assert (refused.status_code, refused.json()["error_code"]) == (503, "MODEL_NOT_LOADED")
    health = gateway.get("/health").json()
    assert (health["status"], health["model_loaded"]) == ("unhealthy", False)


def test_health(gateway: GatewayHere) -> None:
    assert gateway.get("/health").json().keys() >= {"status", "model_loaded", "gpu_available", "vram_free", "version"}


@pytest.mark.parametrize(
    ("host", "base"),
    [("evil.example", None), ("127.0.0.1:1234", "http://127.0.0.1:1234"), ("[::1]:80", "http://[::1]:80")],
)
def test_host(gateway: GatewayHere, worker: FakeWorker, host: str, base: str | None) -> None:
    """A link has the name by which the gateway was called if that is an address. It never has another's name."""
    task_id = generate(gateway)
    worker.finish(worker.take())
    gateway.until(f"/status/{task_id}", status="completed")
    told = gateway.get(f"/status/{task_id}", headers={"Host": host, "X-Forwarded-Host": "evil.example"}).json()
    assert told["video_url"] == f"{base or gateway.url}/videos/{task_id}.mp4"


@pytest.mark.parametrize(("trusted", "scheme"), [(None, "http"), ("10.0.0.1", "http"), ("127.0.0.1,10.0.0.1", "https")])
def test_proxy(shared: Start, worker: FakeWorker, trusted: str | None, scheme: str) -> None:
    """What a proxy says of the caller is believed only if it is one of ours."""
    gateway = shared("hunyuanvideo-1.5", forwarded_allow_ips=trusted)
    task_id = generate(gateway)
    worker.finish(worker.take())
    gateway.until(f"/status/{task_id}", status="completed")
    told = gateway.get(f"/status/{task_id}", headers={"X-Forwarded-Proto": "https"}).json()
    assert told["video_url"].startswith(f"{scheme}://127.0.0.1:")


def test_under_a_prefix(start: Start, worker: FakeWorker) -> None:
    """Absolute links have the prefix, paths do not: their clients put it before them."""
    gateway = start("hunyuanvideo", "hunyuanvideo-1.5", public_base_url="https://video.example/")
    assert gateway.get("/").json()["apis"] == {
        "hunyuanvideo": "/hunyuanvideo/",
        "hunyuanvideo-1.5": "/hunyuanvideo-1.5/",
    }
    task_id = gateway.post("/hunyuanvideo-1.5/generate", {"prompt": PROMPT}).json()["task_id"]
    job_id = gateway.post("/hunyuanvideo/api/generate", {"prompt": PROMPT}).json()["job_id"]
    for _ in range(2):
        worker.finish(worker.take())
    task = gateway.until(f"/hunyuanvideo-1.5/status/{task_id}", status="completed")
    assert task["video_url"] == f"https://video.example/hunyuanvideo-1.5/videos/{task_id}.mp4"
    job = gateway.until(f"/hunyuanvideo/api/status/{job_id}", status="completed")
    assert job["video_url"] == f"/api/videos/{job_id}.mp4"
    assert gateway.get(f"/hunyuanvideo/api/status/{task_id}").status_code == 404  # another API's
