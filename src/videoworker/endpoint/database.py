"""The database: who may use it, and how changes are committed.

Ownership: one thread writes. It takes every change that is waiting, runs them in one transaction, and reports each only
after the commit is on the disk; many callers so share one flush. Reads run beside it on a few threads of their own.
A database belongs to one endpoint at a time.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from filelock import FileLock, Timeout
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

Result = TypeVar("Result")

_GROUP = 256  # changes in one transaction at most: bounds how long the first of them waits for the others
_READERS = 2
_CLAIM_SECONDS = 10.0  # PostgreSQL may notice only after a moment that an endpoint that was killed is gone
_CLAIM_KEY = 0x766964656F  # of the advisory lock: "video"

_log = structlog.get_logger()


class DatabaseInUseError(Exception):
    """Another endpoint already serves from this database."""


@dataclass(frozen=True)
class _Waiting:
    change: Callable[[Connection], Any]
    future: asyncio.Future[Any]

    def settle(self, result: Any, error: Exception | None) -> None:
        """Called on the writing thread."""
        self.future.get_loop().call_soon_threadsafe(self._settle, result, error)

    def _settle(self, result: Any, error: Exception | None) -> None:
        if self.future.cancelled():
            return
        if error is None:
            self.future.set_result(result)
        else:
            self.future.set_exception(error)


class Database:
    """Changes and queries are functions of a `Connection`. The database's errors reach who awaits."""

    def __init__(self, url: str) -> None:
        """Raises `DatabaseInUseError`; SQLAlchemy's errors where the database cannot be reached."""
        parsed = make_url(url)
        self._release = _claim(parsed)
        self.engine, self._reader = _engine(parsed, "BEGIN IMMEDIATE"), _engine(parsed, "BEGIN")
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="database-read")
        self._waiting: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write_all, name="database-write", daemon=True)
        self._thread.start()

    def write(self, change: Callable[[Connection], Result]) -> asyncio.Future[Result]:
        """What `change` returned, once it is committed; changes are committed in the order of these calls. A change may
        be run again, where another one of its transaction failed: all that it does, it does to the connection.
        Cancelling the future undoes nothing."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.put(_Waiting(change, future))
        return future

    async def read(self, query: Callable[[Connection], Result]) -> Result:
        """What `query` returned; it sees every change whose `write` has returned."""

        def run() -> Result:
            with self._reader.connect() as connection:
                return query(connection)

        return await asyncio.get_running_loop().run_in_executor(self._readers, run)

    def close(self) -> None:
        """Commits what is waiting, then lets another endpoint have the database."""
        self._waiting.put(None)
        self._thread.join()
        self._readers.shutdown()
        self.engine.dispose()
        self._reader.dispose()
        self._release()

    def _write_all(self) -> None:
        while (first := self._waiting.get()) is not None:
            group = [first]
            while len(group) < _GROUP and not self._waiting.empty():
                following = self._waiting.get()
                if following is None:
                    self._waiting.put(None)  # the end comes after what came before it
                    break
                group.append(following)
            self._commit(group)

    def _commit(self, group: list[_Waiting]) -> None:
        try:
            with self.engine.begin() as connection:
                results = [waiting.change(connection) for waiting in group]
        except Exception as error:
            if len(group) == 1:
                _log.error("database refused a change", exc_info=error)
                group[0].settle(None, error)
                return
            for waiting in group:
                self._commit([waiting])
            return
        for waiting, result in zip(group, results, strict=True):
            waiting.settle(result, None)


def _engine(url: URL, begin: str) -> Engine:
    """`begin` is for SQLite: a transaction that will write says so first, else it could find the file changed."""
    engine = create_engine(url)
    if url.get_backend_name() == "sqlite":

        @event.listens_for(engine, "connect")
        def _set_up(connection: Any, _: Any) -> None:
            connection.isolation_level = None  # Python's driver leaves transactions to us
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")  # a commit is on the disk before it is reported

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            connection.exec_driver_sql(begin)

    return engine


def _claim(url: URL) -> Callable[[], None]:
    """Takes the database for this process until the returned function is called or the process ends."""
    if url.get_backend_name() == "sqlite":
        lock = FileLock(f"{url.database}.lock", timeout=0, thread_local=False)
        try:
            lock.acquire()
        except Timeout as error:
            raise DatabaseInUseError("Another endpoint serves from this DATABASE_URL.") from error
        return lock.release

    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    connection = engine.connect()

    @retry(
        retry=retry_if_exception_type(DatabaseInUseError),
        stop=stop_after_delay(_CLAIM_SECONDS),
        wait=wait_fixed(0.2),
        reraise=True,
    )
    def lock_it() -> None:
        if not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": _CLAIM_KEY}):
            raise DatabaseInUseError("Another endpoint serves from this DATABASE_URL.")

    def release() -> None:
        connection.close()
        engine.dispose()

    lock_it()
    return release
