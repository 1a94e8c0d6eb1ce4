"""Endpoints, and gateways over them.

The tests of a file share one endpoint. Those that take `shared` share gateways too: one for each choice of APIs and
settings. Neither knows a job or a fault of an earlier test. A gateway still knows how long its last jobs took, and what
it last heard of the workers. So a test that asks for these takes `start`, and has a gateway of its own.
"""

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from bench.servers.store import swift
from bench.servers.worker import FakeWorker
from tests.gateway.running_gateway import FaultyEndpoint, GatewayHere
from videoworker.endpoint.settings import EndpointSettings
from videoworker.gateway.settings import GatewaySettings
from videoworker.settings import Settings

Start = Callable[..., GatewayHere]

_numbers = itertools.count()


class Running:
    """What the tests of a file share."""

    def __init__(self, endpoint: FaultyEndpoint, folder: Path, stack: ExitStack) -> None:
        self.endpoint, self._folder, self._stack = endpoint, folder, stack
        self._gateways: dict[str, GatewayHere] = {}

    def gateway(self, *names: str, **settings: Any) -> GatewayHere:
        """One with these APIs and settings."""
        key = repr((names, sorted(settings.items())))
        if key not in self._gateways:
            folder = self._folder / f"gateway{len(self._gateways)}"
            folder.mkdir()
            gateway = GatewayHere(_settings(self.endpoint, folder, settings), names)
            self._gateways[key] = self._stack.enter_context(gateway)
        return self._gateways[key]

    def clear(self) -> None:
        """Leaves no job and no fault."""
        self.endpoint.faults.clear()
        for gateway in self._gateways.values():
            gateway.clear()
        self.endpoint.clear()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("running")
    settings = EndpointSettings(database_url=f"sqlite:///{folder}/jobs.db")
    with FaultyEndpoint(settings, folder / "files") as endpoint, ExitStack() as stack:
        yield Running(endpoint, folder, stack)


@pytest.fixture(scope="module")
def s3_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with swift(tmp_path_factory.mktemp("swift")) as port:
        yield port


@pytest.fixture
def endpoint(running: Running) -> Iterator[FaultyEndpoint]:
    yield running.endpoint
    running.clear()


@pytest.fixture
def worker(endpoint: FaultyEndpoint) -> Iterator[FakeWorker]:
    worker = FakeWorker(endpoint, f"w{next(_numbers)}")
    yield worker
    endpoint.end_worker(worker.id)


@pytest.fixture
def shared(running: Running, endpoint: FaultyEndpoint) -> Start:
    """A gateway over the endpoint, with these APIs and settings."""
    return running.gateway


@pytest.fixture
def start(endpoint: FaultyEndpoint, tmp_path: Path) -> Iterator[Start]:
    """Starts a gateway over the endpoint, with these APIs and settings. It ends with the test. The next one of the test
    has its database."""
    with ExitStack() as stack:

        def start_one(*names: str, bucket: Settings | None = None, **settings: Any) -> GatewayHere:
            return stack.enter_context(GatewayHere(_settings(endpoint, tmp_path, settings), names, bucket))

        yield start_one


def _settings(endpoint: FaultyEndpoint, folder: Path, changed: dict[str, Any]) -> GatewaySettings:
    ours: dict[str, Any] = {
        "endpoint_url": endpoint.url,
        "gateway_database_url": f"sqlite:///{folder}/gateway.db",
        "gateway_folder": folder / "gateway",
        "probe_seconds": 0,
    }
    return GatewaySettings(**ours | changed)
