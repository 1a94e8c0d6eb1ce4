"""What callers and the log learn when the database fails while the endpoint runs."""

import itertools
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import structlog
from sqlalchemy.exc import DataError, OperationalError

from tests.databases import on_sqlite
from tests.endpoint.conftest import Start
from videoworker.database.faults import FaultLog

SECRET = "hunter2"


def lose_the_table(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("DROP TABLE jobs")


def overwrite(file: Path) -> None:
    for path in (file, Path(f"{file}-wal"), Path(f"{file}-shm")):
        with path.open("r+b") as opened:
            opened.write(b"no database" * 1_000)


@on_sqlite
@pytest.mark.parametrize(
    ("fault", "kind"),
    [(lose_the_table, "OperationalError SQLITE_ERROR"), (overwrite, "DatabaseError SQLITE_")],
)
def test_fault(
    start: Start, database_url: str, capfd: pytest.CaptureFixture[str], fault: Callable[[Path], None], kind: str
) -> None:
    """Callers that call together are told together. The log has one short line, without what they sent."""
    endpoint = start()
    fault(Path(database_url.removeprefix("sqlite:///")))
    with structlog.testing.capture_logs() as log, ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: endpoint.post("run", {"input": SECRET}), range(20)))
    assert {answer.status_code for answer in answers} == {503}
    assert {answer.text for answer in answers} == {'{"error":"The jobs\' database cannot be used now."}'}
    told = [entry["kind"] for entry in log if entry["event"] == "database fault"]
    assert len(told) == len(set(told)) and all(one.startswith(kind) for one in told)
    assert SECRET not in f"{log}{capfd.readouterr()}"


def test_lines() -> None:
    """Each kind is told again after a pause. A message that may hold values is left out."""
    clock = itertools.count(0, 4)
    faults = FaultLog(lambda: next(clock))
    full = OperationalError("INSERT", {"body": SECRET}, sqlite3.OperationalError("database or disk is full\nmore"))
    wrong = DataError("INSERT", {"body": SECRET}, sqlite3.DataError(f"not a number: {SECRET}"))
    with structlog.testing.capture_logs() as log:
        for error in (full, full, full, full, wrong, wrong):  # at 0, 4, 8, 12, 16 and 20 seconds
            faults.tell(error)
    told = {"event": "database fault", "log_level": "error", "kind": "OperationalError"}
    full_told = told | {"words": "database or disk is full"}
    assert log == [full_told, full_told, told | {"kind": "DataError"}]
