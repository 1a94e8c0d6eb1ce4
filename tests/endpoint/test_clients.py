"""RunPod's clients for JavaScript and Go on the endpoint. `test_sdk.py` has the one for Python."""

import json
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from bench.servers.worker import Worker
from tests.databases import on_sqlite
from tests.endpoint.conftest import Start
from tests.endpoint.running_endpoint import EndpointHere

pytestmark = on_sqlite

ROOT = Path(__file__).resolve().parents[2]
SDK = ROOT / "builder" / "npm" / "node_modules" / "runpod-sdk" / "dist" / "src" / "index.js"


def answers(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """What the client prints from now on until its end, by name."""
    assert process.stdout is not None
    lines = [json.loads(line) for line in process.stdout if line.startswith("{")]
    return {line["name"]: line["answer"] for line in lines}


@pytest.mark.needs_runpod_sdk
def test_javascript(start: Start) -> None:
    """Every call of the unmodified client, with a /runsync whose job outlasts its wait."""
    endpoint = start(api_keys="key")
    endpoint.headers = {"Authorization": "Bearer key"}
    worker = Worker(endpoint, "w1")
    streamed = endpoint.run(0)
    worker.take()
    for number in range(2):
        worker.chunk(streamed, number)
    worker.done(streamed, {"output": []})
    command = ["node", str(ROOT / "tests/endpoint/client.mjs"), str(SDK), endpoint.url.removesuffix("/local"), streamed]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        job_id = worker.take()["id"]
        assert process.stdout is not None
        assert process.stdout.readline() == f"{job_id}: IN_PROGRESS\n"  # of its /status-sync
        worker.done(job_id, {"output": {"made": 1}})
        told = answers(process)
    assert process.returncode == 0
    assert told["runSync"] | {"delayTime": 0, "executionTime": 0} == {
        "id": job_id,
        "status": "COMPLETED",
        "output": {"made": 1},
        "workerId": "w1",
        "delayTime": 0,
        "executionTime": 0,
        "started": True,
        "completed": True,
        "succeeded": True,
    }
    assert (told["status"]["status"], told["status"]["completed"]) == ("IN_QUEUE", False)
    assert told["cancel"]["status"] == "CANCELLED"
    assert told["stream"] == [{"output": 0}, {"output": 1}]
    assert told["health"]["jobs"]["inQueue"] == 1
    assert told["purgeQueue"] == {"removed": 1, "status": "completed"}
    assert (told["wrong id"], told["wrong key"]) == (404, 401)


@pytest.mark.parametrize("method", ["get", "post"])
def test_reads(endpoint: EndpointHere, method: str) -> None:
    """The client for Go reads with POST, and names a wait where the one for Python names none."""
    worker = Worker(endpoint, "w1")
    read = getattr(endpoint, method)
    job_id = endpoint.run(1)
    worker.take()
    worker.chunk(job_id, "first")
    assert read(f"stream/{job_id}?wait=90000").json() == {"status": "IN_PROGRESS", "stream": [{"output": "first"}]}
    assert read(f"status-sync/{job_id}?wait=1000").json()["status"] == "IN_PROGRESS"
    worker.done(job_id, {"output": 1})
    for operation in ("status", "status-sync"):
        assert read(f"{operation}/{job_id}").json()["output"] == 1
        assert read(f"{operation}/none").status_code == 404
    assert read(f"stream/{job_id}").json() == {"status": "COMPLETED", "stream": []}
    assert read(f"status-sync/{job_id}?wait=999").status_code == 400


@pytest.mark.parametrize("endpoint_id", ["mine", "LOCAL"])
def test_pod_of_the_hub(start: Start, endpoint_id: str) -> None:
    """It is called under the id LOCAL, whatever the endpoint's own is."""
    endpoint = start(endpoint_id=endpoint_id)
    own, url = endpoint.url, urlsplit(endpoint.url)
    endpoint.url = f"{url.scheme}://{url.netloc}/v2/LOCAL"
    job_id = endpoint.run(1)
    endpoint.url = own
    assert endpoint.status(job_id)["status"] == "IN_QUEUE"
