"""Endpoints and gateways over them, which end with the test or with the file."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.running_gateway import FakeWorker, FaultyEndpoint, GatewayHere
from videoworker.endpoint.settings import EndpointSettings
from videoworker.gateway.settings import GatewaySettings
from videoworker.settings import Settings

Start = Callable[..., GatewayHere]


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[FaultyEndpoint]:
    settings = EndpointSettings(database_url=f"sqlite:///{tmp_path}/jobs.db")
    with FaultyEndpoint(settings, tmp_path / "files") as running:
        yield running


@pytest.fixture
def worker(endpoint: FaultyEndpoint) -> FakeWorker:
    return FakeWorker(endpoint, "w1")


@pytest.fixture
def start(endpoint: FaultyEndpoint, tmp_path: Path) -> Iterator[Start]:
    """Starts a gateway over the endpoint, with these APIs and settings."""
    with ExitStack() as stack:

        def start_one(*names: str, bucket: Settings | None = None, **settings: Any) -> GatewayHere:
            given: dict[str, Any] = {
                "endpoint_url": endpoint.url,
                "gateway_database_url": f"sqlite:///{tmp_path}/gateway.db",
                "gateway_folder": tmp_path / "gateway",
                "probe_seconds": 0,
            }
            return stack.enter_context(GatewayHere(GatewaySettings(**given | settings), names, bucket))

        yield start_one
