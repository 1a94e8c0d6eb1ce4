"""The `local` API over HTTP: every answer of its document."""

import base64
import io
import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import requests
from PIL import Image

from bench.servers.endpoint import PATIENCE, eventually
from bench.servers.worker import VIDEO, FakeWorker, asked
from tests.gateway.conftest import Start
from tests.gateway.running_gateway import FaultyEndpoint, GatewayHere
from videoworker.errors import Code, JobError
from videoworker.gateway.apis import long_answer

FORM = {"prompt": "A serene lake at sunset", "lawful_use_consent": "true"}
NAME = re.compile(r"/outputs/\d{8}_\d{6}_serene_lake(_[0-9a-f]{4})?\.mp4")

PYTHON = """
import requests
url = "http://localhost:8000"
fields = {"prompt": "A cat", "num_frames": 48, "low_vram": "false", "lawful_use_consent": "true"}
result = requests.post(f"{url}/generate", data=fields, files={}).json()
assert result["success"], result["error"]
open("my_generated_video.mp4", "wb").write(requests.get(url + result["video_url"]).content)
"""
NODE = """
const form = new FormData();
form.append("prompt", "A beautiful sunset over the ocean");
form.append("lawful_use_consent", "true");
fetch("http://localhost:8000/generate", {method: "POST", body: form}).then(answer => answer.json())
    .then(result => console.log("generated:", result.success && result.video_url));
"""
FACTS = {
    "model": "open-sora t2v",
    "gpu": {"name": "A GPU", "total_bytes": 24 * 2**30, "free_bytes": 37 * 2**29},
    "cpu_percent": 15.2,
    "memory": {"total_bytes": 2**36, "free_bytes": 2**35},
}
SYSTEM = {
    "cuda_available": True,
    "device_name": "A GPU",
    "total_vram_gb": 24.0,
    "free_vram_gb": 18.5,
    "used_vram_gb": 5.5,
    "cpu_percent": 15.2,
    "ram_available_gb": 32.0,
    "ram_total_gb": 64.0,
    "backend": "opensora",
}


@pytest.fixture
def gateway(shared: Start) -> GatewayHere:
    return shared("local")


@pytest.fixture
def aside() -> Iterator[ThreadPoolExecutor]:
    """For callers, which wait while the test is the worker."""
    threads = ThreadPoolExecutor()
    yield threads
    threads.shutdown(wait=False)


def generate(gateway: GatewayHere, **options: Any) -> requests.Response:
    return gateway.post("/generate", data=FORM, **options)


def refused(answer: requests.Response, status: int) -> dict[str, Any]:
    """What an error's body says. Clients read `success` of each."""
    assert answer.status_code == status, answer.text
    told: dict[str, Any] = answer.json()
    assert (told["success"], told["video_url"]) == (False, None) and told["error"]
    return told


def test_generate(gateway: GatewayHere, worker: FakeWorker, aside: ThreadPoolExecutor) -> None:
    """Two that are alike at once, so that their files' names would be the same."""
    calls: list[Future[requests.Response]] = [aside.submit(generate, gateway) for _ in range(2)]
    for _ in calls:
        job = worker.take()
        assert asked(job) == {"api": "local", "prompt": FORM["prompt"], "lawful_use_consent": True}
        worker.finish(job)
    answers = [call.result(PATIENCE) for call in calls]
    paths = set()
    for answer in answers:
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
        told = answer.json()
        assert (told["success"], told["error"], told["frames"], told["seed"]) == (True, None, 8, 7)
        assert isinstance(told["elapsed_time"], float) and told["backend"] == "sketch"
        assert NAME.fullmatch(told["video_url"]) and told["mp4_path"] == told["video_url"][1:]
        paths.add(told["video_url"])
        assert gateway.get(told["video_url"]).content == VIDEO
        assert gateway.head(told["video_url"]).headers["Content-Length"] == str(len(VIDEO))
        part = gateway.get(told["video_url"], headers={"Range": "bytes=5-8"})
        assert (part.status_code, part.content) == (206, VIDEO[5:9])
    assert len(paths) == 2


def test_python(gateway: GatewayHere, worker: FakeWorker, aside: ThreadPoolExecutor, tmp_path: Path) -> None:
    """It sends a form that is not multipart."""
    program = PYTHON.replace("http://localhost:8000", gateway.url)
    call = aside.submit(run, [sys.executable, "-c", program], tmp_path)
    job = worker.take()
    assert (job["input"]["num_frames"], job["input"]["low_vram"]) == (48, False)
    worker.finish(job)
    call.result(PATIENCE)
    assert (tmp_path / "my_generated_video.mp4").read_bytes() == VIDEO


def test_javascript(
    gateway: GatewayHere,
    worker: FakeWorker,
    aside: ThreadPoolExecutor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With spaces before the answer, as for a long job."""
    monkeypatch.setattr(long_answer, "SPACE_SECONDS", 0.05)
    program = NODE.replace("http://localhost:8000", gateway.url)
    call = aside.submit(run, ["node", "-e", program], tmp_path)
    worker.finish(worker.take())
    assert "beautiful_sunset.mp4" in call.result(PATIENCE)


def run(command: list[str], folder: Path) -> str:
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=PATIENCE).stdout


def test_spaces(
    gateway: GatewayHere, worker: FakeWorker, aside: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The headers come long before the answer. A failure that shows after that has only its body."""
    monkeypatch.setattr(long_answer, "SPACE_SECONDS", 0.05)
    answer = generate(gateway, stream=True)
    assert answer.status_code == 200
    body = answer.iter_content(1)
    assert [next(body) for _ in range(3)] == [b" "] * 3
    worker.fail(worker.take(), JobError(Code.OUT_OF_MEMORY, "Insufficient VRAM"))
    told = json.loads(b"".join(body))
    assert (told["success"], told["video_url"], told["error"]) == (False, None, "Insufficient VRAM")


@pytest.mark.parametrize(("code", "status"), [(Code.OUT_OF_MEMORY, 503), (Code.GENERATION_TIMEOUT, 500)])
def test_failure(gateway: GatewayHere, worker: FakeWorker, aside: ThreadPoolExecutor, code: Code, status: int) -> None:
    call = aside.submit(generate, gateway)
    worker.fail(worker.take(), JobError(code, "It went wrong."))
    assert refused(call.result(PATIENCE), status)["error"] == "It went wrong."


INVALID: list[tuple[dict[str, Any], int, str]] = [
    ({"prompt": "ab"}, 400, "prompt"),
    ({"prompt": None}, 400, "prompt"),
    ({"lawful_use_consent": "false"}, 403, "lawful_use_consent"),
    ({"lawful_use_consent": None}, 403, "lawful_use_consent"),
    ({"width": "513"}, 400, "width"),
    ({"height": "1088"}, 400, "height"),
    ({"num_frames": "many"}, 400, "num_frames"),
    ({"seed": str(2**32)}, 400, "seed"),
    ({"prefer_backend": "sora"}, 400, "prefer_backend"),
    ({"colour": "red"}, 400, "colour"),
]


def test_invalid_field(gateway: GatewayHere, endpoint: FaultyEndpoint) -> None:
    """Each is named, in a form of either kind. The endpoint hears of none."""
    for change, status, field in INVALID:
        form = FORM | change
        parts = [(name, (None, value)) for name, value in form.items() if value]
        for answer in (gateway.post("/generate", data=form), gateway.post("/generate", files=parts)):
            assert field in refused(answer, status)["error"].lower().replace(" ", "_")
    assert endpoint.faults.count("POST run") == 0


def test_other_bodies(gateway: GatewayHere, endpoint: FaultyEndpoint) -> None:
    refused(gateway.post("/generate", FORM), 400)  # JSON
    refused(gateway.post("/generate", data="prompt=abc&prompt=abd", headers=as_form()), 400)
    refused(gateway.post("/generate", data=b"--x", headers={"Content-Type": "multipart/form-data"}), 400)
    refused(gateway.post("/generate", data=b"--x\r\n?", headers=as_form("multipart/form-data; boundary=y")), 400)
    refused(gateway.post("/generate", data={"prompt": "x" * 21_000_000}), 413)
    refused(gateway.get("/generate"), 405)
    refused(gateway.get("/outputs/none.mp4"), 404)
    for name in ("..%2f..%2fetc%2fpasswd", "%00", "a" * 5000):
        refused(gateway.get(f"/outputs/{name}"), 404)
    assert endpoint.faults.count("POST run") == 0


def as_form(kind: str = "application/x-www-form-urlencoded") -> dict[str, str]:
    return {"Content-Type": kind}


def test_browser_form(gateway: GatewayHere, worker: FakeWorker, aside: ThreadPoolExecutor) -> None:
    """A browser sends every field, and a file part where no file was chosen."""
    empty = dict.fromkeys(["seed", "fps", "num_frames", "prefer_backend"], (None, ""))
    parts = {name: (None, value) for name, value in FORM.items()} | empty | {"image": ("", b"")}
    call = aside.submit(gateway.post, "/generate", files=parts)
    job = worker.take()
    assert asked(job).keys() == {"api", "prompt", "lawful_use_consent"}
    worker.finish(job)
    assert call.result(PATIENCE).json()["success"]


def test_picture(gateway: GatewayHere, worker: FakeWorker, aside: ThreadPoolExecutor) -> None:
    """It is carried as it is."""
    data = encoded(64, 64)
    call = aside.submit(generate, gateway, files={"image": ("a.png", data)})
    job = worker.take()
    assert job["input"]["image"] == f"data:image/png;base64,{base64.b64encode(data).decode()}"
    worker.finish(job)
    assert call.result(PATIENCE).json()["success"]


def test_large_picture(gateway: GatewayHere, worker: FakeWorker, aside: ThreadPoolExecutor) -> None:
    """RunPod would not take it, so it is scaled down to what covers the video."""
    data = encoded(2000, 1500)
    assert 8_000_000 < len(data) < 20_000_000
    call = aside.submit(gateway.post, "/generate", data=FORM | {"height": "512"}, files={"image": ("a.png", data)})
    job = worker.take()
    kind, _, text = job["input"]["image"].partition(",")
    picture = Image.open(io.BytesIO(base64.b64decode(text)))
    assert (kind, picture.size) == ("data:image/jpeg;base64", (720, 540))
    worker.finish(job)
    assert call.result(PATIENCE).json()["success"]


def test_invalid_picture(gateway: GatewayHere, endpoint: FaultyEndpoint) -> None:
    """What is no picture, what is cut off, and what is too large."""
    for data in (b"not a picture", encoded(2000, 1500)[:-500_000], b"\xff\xd8\xff" + bytes(20_000_000)):
        assert "image" in refused(generate(gateway, files={"image": ("a.png", data)}), 400)["error"]
    refused(generate(gateway, files={"image": ("a.png", bytes(21_000_000))}), 413)
    assert endpoint.faults.count("POST run") == 0


def encoded(width: int, height: int) -> bytes:
    """Noise, which no format makes much smaller."""
    pixels = np.random.default_rng(7).integers(0, 256, (height, width, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


@pytest.mark.parametrize("is_cancelled", [True, False])
def test_caller_hangs_up(shared: Start, worker: FakeWorker, endpoint: FaultyEndpoint, is_cancelled: bool) -> None:
    """Then nobody waits for the video: its job is cancelled, unless that is switched off."""
    gateway = shared("local", cancel_on_disconnect=is_cancelled)
    with calling(gateway):
        job = worker.take()
    if is_cancelled:
        assert endpoint.final(job["id"])["status"] == "CANCELLED"
    else:
        worker.finish(job)
        assert endpoint.final(job["id"])["status"] == "COMPLETED"


@contextmanager
def calling(gateway: GatewayHere) -> Iterator[None]:
    """Somebody waits for a video, and hangs up at the end of the block."""
    address = urlsplit(gateway.url)
    body = b"prompt=A+serene+lake&lawful_use_consent=true"
    with socket.create_connection((address.hostname, address.port)) as caller:
        caller.sendall(
            b"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            + f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        yield


def test_gateway_that_ends(
    start: Start, worker: FakeWorker, endpoint: FaultyEndpoint, aside: ThreadPoolExecutor
) -> None:
    """Whoever waits is told so at once. The job is cancelled by the next one at the latest."""
    gateway = start("local")
    call = aside.submit(generate, gateway)
    job = worker.take()
    gateway.stop()
    assert refused(call.result(PATIENCE), 503)["error"].startswith("The service is about to end.")
    start("local")
    assert endpoint.final(job["id"])["status"] == "CANCELLED"


def test_caller_of_an_earlier_process(start: Start, worker: FakeWorker, endpoint: FaultyEndpoint) -> None:
    """Its connection has ended with the process. A job of the page is for whoever has its URL, and goes on."""
    killed = start("local", cancel_on_disconnect=False)  # one that is killed cancels nothing either
    with calling(killed):
        job = worker.take()
        of_the_page = killed.post("/ui/jobs", {"prompt": "A tree", "lawful_use_consent": True}).json()["id"]
    killed.stop()
    gateway = start("local")
    assert endpoint.final(job["id"])["status"] == "CANCELLED"
    worker.finish(worker.take())
    gateway.until(f"/ui/jobs/{of_the_page}", state="completed")


def test_no_endpoint(start: Start) -> None:
    gateway = start("local", endpoint_url="http://127.0.0.1:1/v2/none")
    assert "Retry-After" in generate(gateway).headers
    refused(generate(gateway), 503)
    assert gateway.get("/health").json()["status"] == "unhealthy"


def test_health(start: Start, worker: FakeWorker, aside: ThreadPoolExecutor) -> None:
    """Nothing is made up while no worker has told it."""
    gateway = start("local", probe_seconds=1000)
    assert gateway.get("/health").json() == {
        "status": "degraded",
        "backend": None,
        "cuda_available": None,
        "message": "No worker has its model loaded; one starts when there is a job",
    }
    unknown = gateway.get("/system-info").json()
    assert set(unknown.values()) == {None, False} and unknown.keys() >= SYSTEM.keys()

    def answer_probe() -> None:
        worker.done(worker.take()["id"], {"output": FACTS})

    probed = aside.submit(answer_probe)

    def is_told() -> None:
        told = gateway.get("/system-info").json()
        assert {name: told[name] for name in SYSTEM} == SYSTEM

    eventually(is_told)
    probed.result(PATIENCE)
    assert gateway.get("/health").json() == {
        "status": "healthy",
        "backend": "opensora",
        "cuda_available": True,
        "message": "Service operational with opensora backend",
    }


def test_health_of_sound_alone(start: Start, worker: FakeWorker, aside: ThreadPoolExecutor) -> None:
    """A worker that makes no videos is no backend."""
    gateway = start("local", probe_seconds=1000)
    probed = aside.submit(lambda: worker.done(worker.take()["id"], {"output": FACTS | {"model": "foley xl"}}))

    def is_told() -> None:
        told = gateway.get("/system-info").json()
        assert {name: told[name] for name in SYSTEM} == SYSTEM | {"backend": None}

    eventually(is_told)
    probed.result(PATIENCE)
    assert gateway.get("/health").json()["backend"] is None


def test_other_sites_page(gateway: GatewayHere) -> None:
    """The document's JavaScript may run in any page."""
    answer = gateway.post("/generate", data={}, headers={"Origin": "https://a.page"})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
