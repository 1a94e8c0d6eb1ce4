"""Changes that are committed together, and which process may use a database."""

import asyncio
import gc
import threading
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from videoworker.database.database import Database, DatabaseInUseError

PROMPT = "a-private-prompt"


def insert(number: int) -> Callable[[Connection], int]:
    return lambda connection: connection.execute(text("INSERT INTO t VALUES (:n)"), {"n": number}).rowcount


def numbers(connection: Connection) -> list[int]:
    return list(connection.scalars(text("SELECT n FROM t ORDER BY n")))


def test_group_commit(database_url: str) -> None:
    """Changes that wait together are committed together. One that fails harms no other."""
    database = Database(database_url, "endpoint")
    commits = 0
    blocked, go = threading.Event(), threading.Event()

    def hold(connection: Connection) -> None:
        blocked.set()
        go.wait()

    async def run() -> Sequence[object]:
        nonlocal commits
        await database.write(lambda connection: connection.execute(text("CREATE TABLE t (n INTEGER UNIQUE)")).close())
        holding = database.write(hold)
        await asyncio.to_thread(blocked.wait)
        waiting = [database.write(insert(number)) for number in (1, 2, 2, 3)]
        go.set()
        await holding
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert await database.read(numbers) == [1, 2, 3]
        blocked.clear()
        go.clear()
        holding = database.write(hold)
        await asyncio.to_thread(blocked.wait)
        before = commits
        together = [database.write(insert(number)) for number in range(10, 60)]
        go.set()
        await asyncio.gather(holding, *together)
        assert commits - before == 2  # the one that held them up, and theirs
        assert len(await database.read(numbers)) == 53
        return results

    @event.listens_for(database.engine, "commit")
    def count(connection: Connection) -> None:
        nonlocal commits
        commits += 1

    try:
        results = asyncio.run(run())
    finally:
        go.set()
        database.close()
    assert results[:2] == [1, 1] and results[3] == 1
    assert isinstance(results[2], SQLAlchemyError)


def test_fault_of_the_database(tmp_path: Path) -> None:
    """All changes that wait fail together, at once. The error holds nothing of what a statement was given."""
    database = Database(f"sqlite:///{tmp_path}/jobs.db", "endpoint")
    blocked, go = threading.Event(), threading.Event()
    tries = 0

    def hold(connection: Connection) -> None:
        blocked.set()
        go.wait()

    def refused(connection: Connection) -> None:
        nonlocal tries
        tries += 1
        connection.execute(text("INSERT INTO absent VALUES (:prompt)"), {"prompt": PROMPT})

    async def run() -> Sequence[object]:
        holding = database.write(hold)
        await asyncio.to_thread(blocked.wait)
        waiting = [database.write(refused) for _ in range(20)]
        go.set()
        await holding
        return await asyncio.gather(*waiting, return_exceptions=True)

    try:
        results = asyncio.run(run())
    finally:
        go.set()
        database.close()
    assert tries == 1 and len(results) == 20
    for result in results:
        assert isinstance(result, OperationalError) and "no such table: absent" in str(result)
        assert PROMPT not in "".join(traceback.format_exception(result))


def test_caller_that_is_gone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A change that fails after its caller has gone is no error of asyncio's."""
    database = Database(f"sqlite:///{tmp_path}/jobs.db", "endpoint")

    async def run() -> None:
        writing = database.write(lambda connection: connection.execute(text("SELECT * FROM absent")))
        await asyncio.wait([writing])

    asyncio.run(run())
    database.close()
    gc.collect()
    assert "never retrieved" not in caplog.text


def test_file_of_an_earlier_version(tmp_path: Path) -> None:
    """It becomes its user's alone."""
    file = tmp_path / "jobs.db"
    file.touch(mode=0o644)
    Database(f"sqlite:///{file}", "endpoint").close()
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.needs_postgresql
@pytest.mark.parametrize("new_database", ["postgresql"], indirect=True)
def test_two_services(database_url: str) -> None:
    """On PostgreSQL, an endpoint and a gateway may share a database."""
    endpoint = Database(database_url, "endpoint")
    Database(database_url, "gateway").close()
    endpoint.close()


def test_one_process_at_a_time(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Database(database_url, "endpoint")
    monkeypatch.setattr("videoworker.database.database._CLAIM_SECONDS", 0.0)
    with pytest.raises(DatabaseInUseError):
        Database(database_url, "endpoint")
    first.close()
    Database(database_url, "endpoint").close()
