"""The `cogvideox` API over HTTP: every answer of its document."""

import hashlib
import json
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from bench.servers.endpoint import PATIENCE, eventually
from bench.servers.worker import VIDEO, FakeWorker, asked
from tests.gateway.conftest import Start
from tests.gateway.running_gateway import FaultyEndpoint, GatewayHere
from videoworker.errors import Code, JobError
from videoworker.gateway.settings import GatewaySettings
from videoworker.gateway.tokens import Tokens
from videoworker.http.listening import CannotStartError

REQUEST: dict[str, Any] = {"prompt": "A serene sunset over the ocean", "num_frames": 49, "guidance_scale": 7.5}
TOKENS = ["first-token", "second-token", "third-token"]


def hashed(token: str) -> str:
    return f"sha256:{hashlib.sha256(token.encode()).hexdigest()}"


@pytest.fixture(scope="module")
def tokens_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("tokens") / "tokens"
    file.write_text(f"# of a customer\n\n{hashed(TOKENS[2])}\n")
    return file


@pytest.fixture
def gateway(shared: Start, tokens_file: Path) -> GatewayHere:
    """It knows its tokens from both settings, in both forms."""
    tokens = f"{TOKENS[0]}, {hashed(TOKENS[1])}"
    return shared("cogvideox", cogvideox_tokens=tokens, cogvideox_tokens_file=tokens_file)


@pytest.fixture
def aside() -> Iterator[ThreadPoolExecutor]:
    """For callers, which wait while the test is the worker."""
    threads = ThreadPoolExecutor()
    yield threads
    threads.shutdown(wait=False)


def sent(authorization: str | None) -> dict[str, str]:
    return {} if authorization is None else {"Authorization": authorization}


def generate(gateway: GatewayHere, token: str = TOKENS[0], **fields: Any) -> requests.Response:
    return gateway.post("/generate", REQUEST | fields, headers=sent(f"Bearer {token}"))


@pytest.mark.needs_curl
def test_curl(gateway: GatewayHere, worker: FakeWorker, aside: ThreadPoolExecutor, tmp_path: Path) -> None:
    """The answer is the file."""
    headers = ["-H", f"Authorization: bearer {TOKENS[1]}", "-H", "Content-Type: application/json"]
    target = [f"{gateway.url}/generate", "-o", str(tmp_path / "made.mp4")]
    command = ["curl", "-sS", *headers, "-d", '{"prompt": "A sunset", "num_frames": 49, "fps": 24}', *target]
    call = aside.submit(subprocess.run, command, check=True, timeout=PATIENCE)
    job = worker.take()
    assert asked(job) == {"api": "cogvideox", "prompt": "A sunset", "num_frames": 49, "fps": 24}
    worker.finish(job)
    call.result(PATIENCE)
    assert (tmp_path / "made.mp4").read_bytes() == VIDEO


def test_ranges(gateway: GatewayHere, worker: FakeWorker, aside: ThreadPoolExecutor) -> None:
    """A POST is answered whole, whatever its headers say."""
    headers = sent(f"Bearer {TOKENS[2]}") | {"Range": "bytes=0-1", "If-None-Match": "*"}
    call = aside.submit(gateway.post, "/generate", REQUEST, headers=headers)
    worker.finish(worker.take())
    answer = call.result(PATIENCE)
    assert (answer.status_code, answer.headers["Content-Type"], answer.content) == (200, "video/mp4", VIDEO)


def test_no_token(gateway: GatewayHere, endpoint: FaultyEndpoint) -> None:
    """Only `/generate` needs one. Who has none learns nothing of what he sent."""
    for authorization in (None, "Basic x", "Bearer", "Bearer ", TOKENS[0]):
        answer = gateway.post("/generate", data="{", headers=sent(authorization))
        assert (answer.status_code, answer.json()) == (401, {"detail": "Not authenticated"})
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    for token in ("x", hashed(TOKENS[0]), f"{TOKENS[0]}, {hashed(TOKENS[1])}", TOKENS[0][:-1], "\xff"):
        answer = gateway.post("/generate", data="{", headers={"Authorization": f"Bearer {token}".encode("latin-1")})
        assert (answer.status_code, answer.json()) == (401, {"detail": "Invalid token"})
        assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert endpoint.faults.count("POST run") == 0
    assert gateway.get("/health").json() == {"status": "healthy"}


def test_gateway_without_tokens(start: Start) -> None:
    """It makes no videos, for nobody."""
    for tokens in (None, " , "):
        gateway = start("cogvideox", cogvideox_tokens=tokens)
        assert generate(gateway, "").status_code == generate(gateway).status_code == 401
        gateway.stop()


@pytest.mark.parametrize("text", ["secret", "sha256:12", "sha256:" + "g" * 64, "\xff"])
def test_wrong_tokens(tmp_path: Path, text: str) -> None:
    """A file holds hashes. A secret in it is not repeated."""
    file = tmp_path / "tokens"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(CannotStartError, match="COGVIDEOX_TOKENS_FILE") as raised:
        Tokens.of(GatewaySettings(cogvideox_tokens_file=file))
    assert text not in str(raised.value)
    with pytest.raises(CannotStartError, match="COGVIDEOX_TOKENS_FILE: No such file"):
        Tokens.of(GatewaySettings(cogvideox_tokens_file=tmp_path / "none"))


def test_invalid_request(gateway: GatewayHere, endpoint: FaultyEndpoint) -> None:
    answer = generate(gateway, num_frames=101, fps="24", colour="red")
    assert answer.status_code == 422
    assert {problem["loc"][-1] for problem in answer.json()["detail"]} == {"num_frames", "fps", "colour"}
    refused = gateway.post("/generate", data="{", headers=sent(f"Bearer {TOKENS[0]}"))
    assert (refused.status_code, refused.json()) == (400, {"detail": "The body is not JSON."})
    assert endpoint.faults.count("POST run") == 0


@pytest.mark.parametrize(("code", "status"), [(Code.OUT_OF_MEMORY, 503), (Code.CANCELLED, 500)])
def test_failure(gateway: GatewayHere, worker: FakeWorker, aside: ThreadPoolExecutor, code: Code, status: int) -> None:
    call = aside.submit(generate, gateway)
    worker.fail(worker.take(), JobError(code, "It went wrong."))
    answer = call.result(PATIENCE)
    assert (answer.status_code, answer.json()) == (status, {"detail": "It went wrong."})


def test_caller_hangs_up(gateway: GatewayHere, worker: FakeWorker, endpoint: FaultyEndpoint) -> None:
    body = json.dumps(REQUEST).encode()
    fields = ["Host: x", f"Authorization: Bearer {TOKENS[0]}", f"Content-Length: {len(body)}"]
    head = "\r\n".join(["POST /generate HTTP/1.1", *fields, "", ""])
    address = urlsplit(gateway.url)
    with socket.create_connection((address.hostname, address.port)) as caller:
        caller.sendall(head.encode() + body)
        job = worker.take()
    assert endpoint.final(job["id"])["status"] == "CANCELLED"


def test_information(start: Start, worker: FakeWorker, aside: ThreadPoolExecutor) -> None:
    gateway = start("cogvideox", probe_seconds=1000)
    unknown = gateway.get("/info").json()
    assert unknown == {
        "model": "cogvideox",
        "is_loaded": False,
        "error": None,
        "config": {
            "default_steps": 50,
            "default_guidance": 6.0,
            "min_frames": 8,
            "max_frames": 100,
            "default_fps": 24,
        },
        "system_info": {"cpu_usage": None, "memory_usage": None, "gpu_usage": None},
        "checked_at": None,
        "stale": False,
    }
    room = {"total_bytes": 1000, "free_bytes": 700}
    facts = {
        "model": "cogvideox",
        "gpu": room | {"name": "A GPU", "free_bytes": 500},
        "cpu_percent": 9.6,
        "memory": room,
    }
    probed = aside.submit(lambda: worker.done(worker.take()["id"], {"output": facts}))

    def is_told() -> None:
        told = gateway.get("/info").json()
        assert told["system_info"] == {"cpu_usage": "10%", "memory_usage": "30%", "gpu_usage": "50%"}
        assert told["is_loaded"] and told["checked_at"] and told["stale"] is False

    eventually(is_told)
    probed.result(PATIENCE)


def test_no_endpoint(start: Start) -> None:
    gateway = start("cogvideox", endpoint_url="http://127.0.0.1:1/v2/none", cogvideox_tokens=TOKENS[0])
    assert generate(gateway).status_code == 503
    assert gateway.get("/health").json() == {"status": "unhealthy"}
    assert gateway.get("/info").json()["error"]
