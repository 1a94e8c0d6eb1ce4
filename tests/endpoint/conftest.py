"""Endpoints on each of the two databases."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.databases import NewDatabase
from tests.endpoint.running_endpoint import EndpointHere
from videoworker.endpoint.settings import EndpointSettings

Start = Callable[..., EndpointHere]


@pytest.fixture
def start(database_url: str, tmp_path: Path) -> Iterator[Start]:
    """Starts an endpoint with the settings given; it ends with the test."""
    with ExitStack() as stack:

        def start_one(**settings: object) -> EndpointHere:
            known = EndpointSettings(**{"database_url": database_url} | settings)  # type: ignore[arg-type]
            return stack.enter_context(EndpointHere(known, tmp_path / "files"))

        yield start_one


@pytest.fixture(scope="module")
def shared(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EndpointHere]:
    settings = EndpointSettings(database_url=new_database())
    with EndpointHere(settings, tmp_path_factory.mktemp("files")) as endpoint:
        yield endpoint


@pytest.fixture
def endpoint(shared: EndpointHere) -> EndpointHere:
    """It has the default settings, and no jobs or workers: what an earlier test left has expired."""
    month = 30 * 24 * 3600
    shared.advance(month)
    shared.advance(month)
    assert not any(shared.get("health").json()["jobs"].values())
    return shared
