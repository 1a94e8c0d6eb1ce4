"""Changes that are committed together, and which endpoint may use a database."""

import asyncio
import threading
from collections.abc import Callable, Sequence

import pytest
import structlog
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import SQLAlchemyError

from videoworker.endpoint.database import Database, DatabaseInUseError


def insert(number: int) -> Callable[[Connection], int]:
    return lambda connection: connection.execute(text("INSERT INTO t VALUES (:n)"), {"n": number}).rowcount


def numbers(connection: Connection) -> list[int]:
    return list(connection.scalars(text("SELECT n FROM t ORDER BY n")))


def test_group_commit(database_url: str) -> None:
    """Changes that wait together are committed together. One that fails harms no other."""
    database = Database(database_url)
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
        with structlog.testing.capture_logs() as log:
            results = asyncio.run(run())
    finally:
        go.set()
        database.close()
    assert results[:2] == [1, 1] and results[3] == 1
    assert isinstance(results[2], SQLAlchemyError)
    assert [entry["event"] for entry in log] == ["database refused a change"]


def test_one_endpoint_at_a_time(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Database(database_url)
    monkeypatch.setattr("videoworker.endpoint.database._CLAIM_SECONDS", 0.0)
    with pytest.raises(DatabaseInUseError):
        Database(database_url)
    first.close()
    Database(database_url).close()
