"""The two databases, and endpoints on each. Every test runs on both unless it is marked `on_sqlite`."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from bench.servers.postgresql import postgresql
from tests.endpoint.running_endpoint import EndpointHere
from videoworker.endpoint.settings import EndpointSettings

Start = Callable[..., EndpointHere]
NewDatabase = Callable[[], str]

# For tests whose behaviour does not depend on the database.
on_sqlite = pytest.mark.parametrize("new_database", ["sqlite"], indirect=True)

_numbers = itertools.count()


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    with postgresql("fsync=off") as url:
        yield url


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs_postgresql)])
def new_database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> NewDatabase:
    """Makes an empty database and gives its URL."""

    def sqlite() -> str:
        return f"sqlite:///{tmp_path_factory.mktemp('database')}/jobs.db"

    def on_server() -> str:
        server: str = request.getfixturevalue("postgresql_url")
        name = f"test{next(_numbers)}"
        engine = create_engine(server, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        return make_url(server).set(database=name).render_as_string(hide_password=False)

    return sqlite if request.param == "sqlite" else on_server


@pytest.fixture
def database_url(new_database: NewDatabase) -> str:
    return new_database()


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
