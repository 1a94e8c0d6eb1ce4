"""The two databases. Every test that takes one runs on both unless it is marked `on_sqlite`."""

import itertools
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import create_engine, make_url, text

from bench.servers.postgresql import postgresql

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
