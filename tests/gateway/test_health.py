"""What `/health` says of the worker behind the gateway, and what it costs."""

import threading
from typing import Any

from bench.servers.endpoint import eventually
from bench.servers.worker import FakeWorker
from tests.gateway.conftest import Start
from tests.gateway.running_gateway import FaultyEndpoint, GatewayHere

API = "hunyuanvideo-1.5"
FACTS = {
    "model": "sketch",
    "gpu": {"name": "A GPU", "total_bytes": 24 * 2**30, "free_bytes": 37 * 2**29},
    "cpu_percent": 10.0,
    "memory": {"total_bytes": 2**30, "free_bytes": 2**29},
}


def health(gateway: GatewayHere) -> dict[str, Any]:
    told: dict[str, Any] = gateway.get("/health").json()
    return told


def test_probe(start: Start, endpoint: FaultyEndpoint, worker: FakeWorker) -> None:
    """An idle worker is asked once. What it said is told from then on."""
    gateway = start(API, probe_seconds=1000)
    assert health(gateway)["vram_free"] is None
    taken: list[dict[str, Any]] = []

    def work() -> None:
        job = worker.take()
        taken.append(job)
        worker.done(job["id"], {"output": FACTS})

    working = threading.Thread(target=work)
    working.start()

    def is_told() -> None:
        told = health(gateway)
        assert (told["gpu_available"], told["vram_free"], told["model_loaded"]) == (True, "18.5 GB", True)
        assert told["checked_at"] and told["stale"] is False

    eventually(is_told)
    working.join()
    assert [job["input"] for job in taken] == [{"probe": True}]
    is_told()
    assert endpoint.faults.count("POST runsync") == 1


def test_stale(start: Start, endpoint: FaultyEndpoint, worker: FakeWorker) -> None:
    """What was told long ago is told as such, with its time."""
    gateway = start(API, probe_seconds=0.5)
    working = threading.Thread(target=lambda: worker.done(worker.take()["id"], {"output": FACTS}))
    working.start()

    def is_told(stale: bool) -> dict[str, Any]:
        told = health(gateway)
        assert (told["vram_free"], told["stale"]) == ("18.5 GB", stale)
        return told

    told = eventually(lambda: is_told(False))
    working.join()
    endpoint.end_worker(worker.id)
    assert eventually(lambda: is_told(True))["checked_at"] == told["checked_at"]


def test_no_worker(start: Start, endpoint: FaultyEndpoint) -> None:
    """A probe never starts a worker."""
    gateway = start(API, probe_seconds=1000)
    told = health(gateway)
    assert (told["status"], told["model_loaded"], told["gpu_available"]) == ("healthy", False, None)
    assert endpoint.faults.count("POST runsync") == 0


def test_worker_of_another_program(start: Start, endpoint: FaultyEndpoint, worker: FakeWorker) -> None:
    """It knows no probe."""
    gateway = start(API, probe_seconds=1000)
    working = threading.Thread(target=lambda: worker.done(worker.take()["id"], {"error": "no such field"}))
    working.start()
    eventually(lambda: was_probed(gateway, endpoint))
    working.join()
    assert health(gateway)["gpu_available"] is None


def was_probed(gateway: GatewayHere, endpoint: FaultyEndpoint) -> None:
    health(gateway)
    assert endpoint.faults.count("POST runsync") == 1
