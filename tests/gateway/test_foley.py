"""The `hunyuanvideo-foley` API over HTTP: Gradio's client, the limits, and what is not open."""

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from gradio_client import Client
from gradio_client.client import Job
from gradio_client.exceptions import AppError

from bench.servers.endpoint import PATIENCE, eventually
from bench.servers.fault_proxy import Fault, FaultProxy
from bench.servers.store import Store, new_bucket
from bench.servers.worker import VIDEO, FakeWorker, asked
from tests.gateway.conftest import Start
from tests.gateway.running_gateway import FaultyEndpoint, GatewayHere, put
from tests.handler_process import ROOT
from videoworker.errors import Code, JobError
from videoworker.gateway.foley.rates import Rates, Standing

NAME = "hunyuanvideo-foley"
DOCUMENT = ROOT.parent / "shared" / "api" / f"{NAME}.md"
INPUTS = ["A cat playing with yarn", "", 15, "medium", "mp4"]
CALL = "/gradio_api/call/generate"

Connect = Callable[..., Client]


@pytest.fixture
def gateway(shared: Start) -> GatewayHere:
    """Its tests together ask for more videos than a caller may."""
    return shared(NAME, burst=100)


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Connect]:
    clients = []

    def connect_one(at: str) -> Client:
        clients.append(Client(at, download_files=str(tmp_path / "got"), verbose=False, analytics_enabled=False))
        return clients[-1]

    yield connect_one
    for client in clients:
        client.close()


def taken(worker: FakeWorker) -> dict[str, Any]:
    return eventually(worker.take)


def refused(job: Job) -> AppError:
    error = job.exception(PATIENCE)
    assert isinstance(error, AppError)
    return error


def is_empty(folder: Path) -> None:
    assert list(folder.glob("*.*")) == []


def generates(gateway: GatewayHere) -> int:
    """Gradio's number of the event that makes a video."""
    (number,) = [one["id"] for one in gateway.get("/config").json()["dependencies"] if one["api_name"] == "generate"]
    return int(number)


def events(gateway: GatewayHere, called: requests.Response) -> dict[str, Any]:
    """What an event ends with."""
    stream = gateway.get(f"{CALL}/{called.json()['event_id']}").text
    told: dict[str, Any] = json.loads(stream.rsplit("data: ", 1)[1])
    return told


def join(gateway: GatewayHere, number: int, data: list[Any], session: str = "s") -> requests.Response:
    """As the page calls an event."""
    return gateway.post("/gradio_api/queue/join", {"session_hash": session, "fn_index": number, "data": data})


def test_whole_job(start: Start, connect: Connect, worker: FakeWorker, tmp_path: Path) -> None:
    """As the document's program calls it. Nothing is left of the job but a copy, which can be had for an hour."""
    gateway = start(NAME)
    running = connect(gateway.url).submit(*INPUTS)
    job = taken(worker)
    meant = {"video_prompt": INPUTS[0], "audio_prompt": "", "duration": 15, "quality": "medium", "output_format": "mp4"}
    assert asked(job) == meant | {"api": NAME}
    worker.tell(job, 0.5)

    def shows_progress() -> None:
        told = [(unit.progress, unit.desc) for unit in running.status().progress_data or []]
        assert told == [(0.5, "Denoising, step 5 of 10, about 6 s left")]

    eventually(shows_progress)
    worker.finish(job)
    got = Path(running.result(PATIENCE))
    assert (got.suffix, got.read_bytes()) == (".mp4", VIDEO)
    eventually(lambda: is_empty(tmp_path / "gateway"))
    (copy,) = (tmp_path / "gateway" / "gradio").glob("*.mp4")
    part = gateway.get(f"/gradio_api/file={copy}", headers={"Range": "bytes=4-9"})
    assert (part.status_code, part.content) == (206, VIDEO[4:10])
    gateway.stop()
    assert not copy.exists()


@pytest.mark.needs_swift
def test_bucket(start: Start, connect: Connect, worker: FakeWorker, s3_port: int, tmp_path: Path) -> None:
    """The file is copied from there, and goes from there. If that fails, it is told as an error of the document."""
    store = new_bucket(s3_port)
    with FaultProxy(s3_port) as proxy:
        gateway = start(NAME, bucket=store.settings(tmp_path, bucket_endpoint_url=proxy.url))
        client = connect(gateway.url)

        def made() -> Job:
            running = client.submit(*INPUTS)
            job = taken(worker)
            put(store, job)
            worker.finish(job, "https://store.example/a-link-that-has-expired")
            return running

        proxy.fail_once(Fault(), Fault(status=503))  # the video is found there, and then cannot be read
        error = refused(made())
        assert (error.title, error.message) == ("DeliveryError", "The video's bytes cannot be had now.")
        assert Path(made().result(PATIENCE)).read_bytes() == VIDEO
        eventually(lambda: has_no_objects(store))


def has_no_objects(store: Store) -> None:
    assert store.keys() == []


if DOCUMENT.exists():

    def test_printed_program(gateway: GatewayHere, worker: FakeWorker, tmp_path: Path) -> None:
        program = next(re.finditer(r"^```python\n(.*?)^```$", DOCUMENT.read_text("utf-8"), re.DOTALL | re.MULTILINE))[1]
        assert "http://localhost:7860/" in program
        serving = threading.Thread(target=lambda: worker.finish(taken(worker)))
        serving.start()
        ended = subprocess.run(
            [sys.executable, "-c", program.replace("http://localhost:7860", gateway.url)],
            env=os.environ | {"GRADIO_TEMP_DIR": str(tmp_path / "got")},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        serving.join()
        assert ended.returncode == 0, ended.stderr
        printed = re.fullmatch(r"Generated video available at: (.*)", ended.stdout.splitlines()[-1])
        assert printed and Path(printed[1]).read_bytes() == VIDEO


def test_errors_of_a_job(gateway: GatewayHere, connect: Connect, worker: FakeWorker) -> None:
    """Those of the document, as a client has them."""
    client = connect(gateway.url)
    for code, name in [
        (Code.GPU_UNAVAILABLE, "GPUUnavailableError"),
        (Code.MODEL_NOT_LOADED, "ModelLoadError"),
        (Code.GENERATION_TIMEOUT, "GenerationTimeoutError"),
        (Code.OUTPUT_TOO_LARGE, "OutputTooLargeError"),
    ]:
        running = client.submit(*INPUTS)
        worker.fail(taken(worker), JobError(code, f"The words of {code}"))
        error = refused(running)
        assert (error.title, error.message) == (name, f"The words of {code}")


def test_invalid_inputs(gateway: GatewayHere, connect: Connect) -> None:
    """Refused with the document's errors, also those that Gradio knows of."""
    client = connect(gateway.url)
    for place, value, title, message in [
        (0, "", "InvalidPromptError", "Video prompt must be 1-500 characters"),
        (0, "x" * 501, "InvalidPromptError", "Video prompt must be 1-500 characters"),
        (1, "x" * 201, "InvalidPromptError", "Audio prompt must be 1-200 characters"),
        (2, 31, "InvalidParameterError", "Duration must be a number from 1 to 30"),
        (2, "long", "InvalidParameterError", "Duration must be a number from 1 to 30"),
        (3, "ultra", "InvalidParameterError", "quality: one of"),
        (4, "avi", "InvalidParameterError", "output_format: one of"),
    ]:
        inputs = [value if number == place else given for number, given in enumerate(INPUTS)]
        error = refused(client.submit(*inputs))
        assert (error.title, error.message[: len(message)]) == (title, message)


def test_no_endpoint(start: Start) -> None:
    gateway = start(NAME, endpoint_url="http://127.0.0.1:1/v2/none")
    told = events(gateway, gateway.post(CALL, {"data": INPUTS}))
    assert told["title"] == "ModelLoadError" and told["error"].startswith("Model not initialized yet.")


def test_fault(gateway: GatewayHere, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of what an exception says reaches a caller."""

    async def broken(*_: Any) -> None:
        raise OSError(5, "secret", "/a/path")

    monkeypatch.setattr("videoworker.gateway.service.Service.submit", broken)
    told = events(gateway, gateway.post(CALL, {"data": INPUTS}))
    assert (told["title"], told["error"]) == ("InternalServerError", "Internal server error")


def test_limit(start: Start) -> None:
    """20 at once. Then a lock, for whoever makes a video and nobody else. Events that make none are free."""
    gateway = start(NAME)
    fresh = gateway.head("/")
    assert (fresh.status_code, fresh.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    told = {name: fresh.headers[f"X-RateLimit-{name}"] for name in ("Limit", "Remaining", "Retry-After")}
    assert told == {"Limit": "10", "Remaining": "10", "Retry-After": "60"}
    number = generates(gateway)
    for count in range(20):
        answer = join(gateway, number, [*INPUTS, None]) if count % 2 else gateway.post(CALL, {"data": INPUTS})
        assert answer.status_code == 200
        assert answer.headers["X-RateLimit-Remaining"] == str(max(0, 9 - count))
    before = time.time()
    for refused_one in (join(gateway, number, [*INPUTS, None]), gateway.post(f"{CALL}/", {"data": INPUTS})):
        told = refused_one.json()
        assert (refused_one.status_code, told["error"], told["code"]) == (429, "RateLimitExceededError", 429)
        assert told["detail"] == told["message"]
        assert 0 < int(refused_one.headers["Retry-After"]) <= 60
        assert refused_one.headers["Retry-After"] == refused_one.headers["X-RateLimit-Retry-After"]
        assert before < int(refused_one.headers["X-RateLimit-Reset"]) < before + 70
    twisted = f'{{"session_hash": "s", "fn_index": -1, "fn_index": "{number}", "data": []}}'
    json_type = {"Content-Type": "application/json"}
    assert gateway.post("/gradio_api/queue/join", data=twisted, headers=json_type).status_code == 429
    assert gateway.post(CALL.replace("call", "call/v2"), {"video_prompt": "x"}).status_code == 429
    assert join(gateway, number + 1, [None, None]).status_code == 200
    page = gateway.head("/")
    assert (page.status_code, page.headers["X-RateLimit-Limit"], page.headers["X-RateLimit-Remaining"]) == (
        200,
        "10",
        "0",
    )


class Clock:
    """Stands for the module `time` in what counts."""

    now = 1_000_000.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for user in ("limits.aio.storage.memory", "videoworker.gateway.foley.rates"):
        monkeypatch.setattr(f"{user}.time", clock)
    return clock


def test_windows(clock: Clock) -> None:
    """Over time: 20 in two minutes, 100 in an hour, 60 seconds of cooldown that later requests do not prolong."""

    async def run() -> None:
        rates = Rates(burst=20)
        assert [await rates.admits("a") for _ in range(21)] == [True] * 20 + [False]
        assert await rates.admits("b")
        clock.now += 59
        assert not await rates.admits("a")
        assert await rates.standing("a") == Standing(0, 1_000_060, 1)
        clock.now += 1.5
        assert await rates.standing("a") == Standing(0, 1_000_120, None)  # the burst is used up for two minutes
        for minute in range(2, 10, 2):
            clock.now = 1_000_000 + 60.5 * minute
            assert [await rates.admits("a") for _ in range(20)] == [True] * 20
        clock.now = 1_000_000 + 700
        assert (await rates.standing("a")).remaining == 0
        assert not await rates.admits("a")
        clock.now = 1_000_000 + 3601
        assert (await rates.standing("a")).remaining == 10
        assert await rates.admits("a")

    asyncio.run(run())


def test_who_heeds_the_headers(clock: Clock) -> None:
    """Whoever asks only when some are left, and else waits until the reset, is never refused."""

    async def run() -> None:
        rates, admitted = Rates(burst=10), 0
        while clock.now < 1_000_000 + 2 * 3600:
            standing = await rates.standing("a")
            if standing.remaining:
                assert await rates.admits("a")
                admitted += 1
                clock.now += 0.5
            else:
                clock.now = standing.reset + 0.001
        assert admitted >= 200

    asyncio.run(run())


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/gradio_api/upload"),
        ("POST", "/gradio_api/run/generate"),
        ("POST", "/gradio_api/api/generate"),
        ("POST", "/gradio_api/component_server"),
        ("GET", "/gradio_api/proxy=https://x.hf.space/"),
        ("GET", "/gradio_api/file=http://127.0.0.1:1/"),
        ("GET", "/gradio_api/file=/http://127.0.0.1:1/"),
        ("GET", "/gradio_api/runs"),
        ("GET", "/monitoring"),
        ("GET", "/docs"),
    ],
)
def test_closed(gateway: GatewayHere, method: str, path: str) -> None:
    """What Gradio's server can do besides, and nobody needs here."""
    answer = requests.request(method, f"{gateway.url}{path}", timeout=PATIENCE)
    assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})


def test_foreign_files(gateway: GatewayHere) -> None:
    for path in ("/etc/passwd", "gateway.db", "pyproject.toml", "../gateway.db", ".gradio"):
        assert gateway.get(f"/gradio_api/file={path}").status_code in (403, 404)


def test_large_body(gateway: GatewayHere) -> None:
    answer = gateway.post(CALL, {"data": ["x" * 200_000]})
    assert answer.status_code == 413


@pytest.mark.parametrize("cancels", [True, False])
def test_caller_hangs_up(shared: Start, worker: FakeWorker, endpoint: FaultyEndpoint, cancels: bool) -> None:
    gateway = shared(NAME, burst=100, cancel_on_disconnect=cancels)
    event = gateway.post(CALL, {"data": INPUTS}).json()["event_id"]
    with gateway.get(f"{CALL}/{event}", stream=True):
        job = taken(worker)
    if cancels:
        eventually(lambda: is_cancelled(worker, job))
    else:
        worker.finish(job)
        assert endpoint.final(job["id"])["status"] == "COMPLETED"


def is_cancelled(worker: FakeWorker, job: dict[str, Any]) -> None:
    assert worker.stops() == [job["id"]]


def test_jobs_of_an_earlier_process(start: Start, worker: FakeWorker) -> None:
    """Nobody can get their videos any more."""
    gateway = start(NAME)
    gateway.post(CALL, {"data": INPUTS})
    job = taken(worker)
    gateway.stop()
    start(NAME)
    eventually(lambda: is_cancelled(worker, job))


def test_open_streams_end_with_the_gateway(start: Start) -> None:
    """Whole, so that the server does not wait for them."""
    gateway = start(NAME)
    with gateway.get("/gradio_api/heartbeat/s", stream=True) as stream:
        lines = stream.iter_lines()
        assert next(lines) == b"data: ALIVE"
        gateway.stop()
        assert b"".join(lines) == b""


def test_under_a_prefix(start: Start, connect: Connect, worker: FakeWorker) -> None:
    gateway = start(NAME, "hunyuanvideo")
    running = connect(f"{gateway.url}/{NAME}/").submit(*INPUTS)
    worker.finish(taken(worker))
    assert Path(running.result(PATIENCE)).read_bytes() == VIDEO


def test_import() -> None:
    """Gradio takes seconds to import, so other APIs do without."""
    program = "import sys, videoworker.gateway.apis; print('gradio' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "False"
