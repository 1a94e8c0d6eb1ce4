"""Which models `GET /v1/models` lists."""

import threading
from typing import Any

import pytest

from bench.servers.endpoint import eventually
from bench.servers.worker import FakeWorker
from tests.gateway.conftest import Start
from tests.gateway.running_gateway import GatewayHere
from tests.gateway.test_health import FACTS
from videoworker.apis.model_names import MODEL_NAMES
from videoworker.settings import Settings


def listed(gateway: GatewayHere) -> list[str]:
    return [model["id"] for model in gateway.get("/v1/models").json()["data"]]


def test_served_model(start: Start) -> None:
    gateway = start("openai", bucket=Settings(model="sketch"))
    assert listed(gateway) == ["sketch"]
    assert [gateway.get(f"/v1/models/{name}").status_code for name in ("sketch", "mochi")] == [200, 404]


@pytest.mark.parametrize(("told", "names"), [({"models": ["ltx", "sketch"]}, ["ltx", "sketch"]), ({}, [*MODEL_NAMES])])
def test_worker(start: Start, worker: FakeWorker, told: dict[str, Any], names: list[str]) -> None:
    """What a worker has is known once it was asked. Until then all are listed, and so they are if it does not say."""
    gateway = start("openai", probe_seconds=1000)
    assert listed(gateway) == [*MODEL_NAMES]

    def answer() -> None:
        job = worker.take()
        worker.done(job["id"], {"output": FACTS | told})

    working = threading.Thread(target=answer)
    working.start()

    def is_told() -> None:
        assert listed(gateway) == names and not working.is_alive()

    eventually(is_told)
