"""How much room the jobs take, what is read of them, and what becomes of a database that is deleted or replaced."""

import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, event, make_url, text

from bench.servers.endpoint import eventually
from bench.servers.worker import Worker
from tests.databases import on_sqlite
from tests.endpoint.conftest import Start

# As the jobs' table was when it held the bodies.
JOBS_WITH_BODIES = """CREATE TABLE jobs (
    number INTEGER PRIMARY KEY, id VARCHAR(64) NOT NULL UNIQUE, status VARCHAR(16) NOT NULL, worker VARCHAR(255),
    attempts INTEGER NOT NULL, retries INTEGER NOT NULL, execution_timeout FLOAT NOT NULL, retention FLOAT NOT NULL,
    created_at FLOAT NOT NULL, expires_at FLOAT NOT NULL, started_at FLOAT, finished_at FLOAT, due_at FLOAT NOT NULL,
    webhook TEXT, webhook_pending BOOLEAN NOT NULL, body TEXT NOT NULL, output TEXT, error TEXT)"""


@pytest.mark.parametrize("make_room", ["cancel", "take", "purge"])
def test_queued_bytes(start: Start, make_room: str) -> None:
    """Jobs are refused while those that wait hold too much."""
    endpoint = start(max_queued_bytes=100_000)
    worker = Worker(endpoint, "w1")
    first = endpoint.run("x" * 60_000)
    for path in ("run", "runsync"):
        refused = endpoint.post(path, {"input": "x" * 60_000})
        assert refused.status_code == 429
        assert "100000" in refused.json()["error"] and "MAX_QUEUED_BYTES" in refused.json()["error"]
    endpoint.run("x" * 30_000)
    if make_room == "cancel":
        endpoint.post(f"cancel/{first}")
    elif make_room == "take":
        assert worker.take()["id"] == first
    else:
        endpoint.post("purge-queue")
    endpoint.run("x" * 60_000)


@on_sqlite
def test_queued_bytes_of_many_callers(start: Start) -> None:
    """Exactly as many are accepted as there is room for."""
    endpoint = start(max_queued_bytes=100_000)
    body = {"input": "x" * 9_900}
    with ThreadPoolExecutor(16) as callers:
        answers = list(callers.map(lambda _: endpoint.post("run", body).status_code, range(40)))
    assert sorted(answers) == [200] * 10 + [429] * 30


@on_sqlite
@pytest.mark.parametrize("path", ["status/{}", "stream/{}", "cancel/{}"])
def test_body_is_not_read(start: Start, path: str) -> None:
    """What a caller asks about a job does not read its body. It may have 10 MB."""
    endpoint = start()
    job_id = endpoint.run(1)
    statements: list[str] = []

    @event.listens_for(Engine, "before_cursor_execute")
    def note(connection: object, cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    try:
        answer = endpoint.post(path.format(job_id)) if "cancel" in path else endpoint.get(path.format(job_id))
        assert answer.status_code == 200
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    of_this = [statement for statement in statements if "due_at <=" not in statement]  # without those of the clock
    assert of_this and not any("body" in statement or "bodies" in statement for statement in of_this)


@on_sqlite
def test_file_shrinks(start: Start, database_url: str) -> None:
    """SQLite's files become small again when the jobs are gone, those of an earlier version among them."""
    path = Path(make_url(database_url).database or "")
    with create_engine(database_url).begin() as connection:
        connection.execute(text("CREATE TABLE t (n INTEGER)"))
    endpoint = start()
    for _ in range(4):
        endpoint.run("x" * 9_000_000)
    endpoint.post("purge-queue")

    def are_small() -> None:
        """They shrink by a piece with each sweep, and the log once a change is written after it was taken over."""
        endpoint.advance(0)
        endpoint.run(1)
        assert sum(file.stat().st_size for file in path.parent.glob("jobs.db*")) < 15_000_000

    eventually(are_small)


def test_jobs_with_bodies(start: Start, database_url: str) -> None:
    """Jobs that an earlier version has left are run."""
    engine, now = create_engine(database_url), time.time()
    with engine.begin() as connection:
        connection.execute(text(JOBS_WITH_BODIES))
        connection.execute(text("CREATE INDEX jobs_by_status ON jobs (status, number)"))
        connection.execute(
            text(
                "INSERT INTO jobs (number, id, status, attempts, retries, execution_timeout, retention, created_at,"
                " expires_at, due_at, webhook_pending, body)"
                " VALUES (1, 'old', 'IN_QUEUE', 0, 0, 600, 600, :now, :later, :later, false, :body)"
            ),
            {"now": now, "later": now + 3600, "body": '{"input":"kept"}'},
        )
    engine.dispose()
    endpoint = start(max_queued_bytes=20)
    assert endpoint.post("run", {"input": 1}).status_code == 429  # the old job's bytes count
    job = Worker(endpoint, "w1").take()
    assert (job["id"], job["input"]) == ("old", "kept")


def delete(path: Path) -> None:
    path.unlink()


def delete_log(path: Path) -> None:
    path.with_name(f"{path.name}-wal").unlink()


def replace(path: Path) -> None:
    copy = path.with_name("copy")
    shutil.copy(path, copy)
    copy.rename(path)


@on_sqlite
@pytest.mark.parametrize("harm", [delete, delete_log, replace])
def test_database_is_gone(start: Start, database_url: str, harm: Callable[[Path], None]) -> None:
    """Nothing is accepted or answered that the next start would not know of. The endpoint goes on."""
    endpoint = start()
    worker = Worker(endpoint, "w1")
    job_id = endpoint.run(1)
    worker.take()
    harm(Path(make_url(database_url).database or ""))
    for answer in (
        endpoint.post("run", {"input": 2}),
        endpoint.post("runsync", {"input": 2}),
        endpoint.post(f"cancel/{job_id}"),
        endpoint.get(f"status/{job_id}"),
        endpoint.get("health"),
        worker.poll(runs_nothing=False),
    ):
        assert answer.status_code == 503
        assert "deleted or replaced" in answer.json()["error"]
    assert worker.done(job_id, {"output": 1}) == 503
    endpoint.end_worker("w1")


@on_sqlite
@pytest.mark.parametrize("days", [-2, 2])
def test_wall_clock_is_set(start: Start, monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    """No job expires, times out or stays for longer because the clock is set anew."""
    endpoint = start()
    worker = Worker(endpoint, "w1")
    running, waiting = endpoint.run(1), endpoint.run(2)
    worker.take()
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() + days * 86_400)
    late = endpoint.run(3)
    endpoint.advance(0)
    assert [endpoint.status(job_id)["status"] for job_id in (running, waiting, late)] == [
        "IN_PROGRESS",
        "IN_QUEUE",
        "IN_QUEUE",
    ]
    worker.done(running, {"output": 1})
    assert 0 <= endpoint.status(running)["executionTime"] < 3_600_000
    endpoint.advance(86_401)
    assert endpoint.get(f"status/{late}").status_code == 404


@on_sqlite
def test_invented_workers(start: Start) -> None:
    """A worker counts once it has asked for a job."""
    endpoint = start()
    worker = Worker(endpoint, "w1")
    worker.ping()
    worker.done("none", {"output": 1})
    assert not any(endpoint.get("health").json()["workers"].values())
    job_id = endpoint.run(1)
    worker.take()
    worker.done(job_id, {"output": 1})
    counts = endpoint.get("health").json()["workers"]
    assert (counts["idle"], counts["ready"]) == (1, 1)
