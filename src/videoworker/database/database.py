"""The database: which service may use it, and how changes are committed.

Ownership: one thread writes. It takes all changes that are waiting and runs them in one transaction. It reports each
change only after the commit is on the disk, so many callers share one flush. Reads run on a few threads of their own.
A service's tables belong to one process at a time. On PostgreSQL, the endpoint and the gateway may share a database.

If the database itself is at fault, all changes that wait together fail together, so none waits for the timeouts of the
others. Nothing is logged here: whoever awaits a change tells of its error.

SQLite's files can be deleted or replaced by others while they are open. What is written then is lost with this process.
So the files are looked at with each change and each query.
"""

import asyncio
import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from filelock import FileLock, Timeout
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from videoworker.database.faults import FAULTS, DatabaseReplacedError

Value = TypeVar("Value")
Service = Literal["endpoint", "gateway"]

_MAX_GROUP = 256  # changes in one transaction: limits how long the first of them waits for the others
_READERS = 2
_OWNER_ONLY = 0o600
_BUSY_SECONDS = 30.0  # how long another program's lock on SQLite's file is waited for
_KEPT_FREE_BYTES = 1 << 22  # free room in SQLite's file, and in its write-ahead log, that is left for the next jobs
_SHRINK_BYTES = 1 << 24  # by how much the file shrinks at once, which keeps changes waiting
_CLAIM_SECONDS = 10.0  # PostgreSQL may take a moment to notice that a process was killed
_INCREMENTAL = 2  # SQLite's number of the mode in which its file shrinks when it is told to
_VARIABLES: dict[Service, str] = {"endpoint": "DATABASE_URL", "gateway": "GATEWAY_DATABASE_URL"}
# The keys of PostgreSQL's advisory locks: "video" and "gateway".
_CLAIM_KEYS: dict[Service, int] = {"endpoint": 0x766964656F, "gateway": 0x67617465776179}


class DatabaseInUseError(Exception):
    """Another process of this service already serves from this database."""

    def __init__(self, service: Service) -> None:
        super().__init__(f"Another {service} serves from this {_VARIABLES[service]}.")


@dataclass(frozen=True)
class _PendingChange:
    """A change that is not committed yet, and the future that its caller awaits."""

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
            self.future.exception()  # its caller may be gone: then asyncio would log the error as one that nobody saw


class Database:
    """A change or a query is a function of a `Connection`. Its errors are raised where it is awaited. So is
    `DatabaseReplacedError`."""

    def __init__(self, url: str, service: Service) -> None:
        """Raises `DatabaseInUseError`, `OSError`, and SQLAlchemy's errors if the database cannot be reached."""
        parsed = make_url(url)
        self._release = _claim(parsed, service)
        self.engine, self._reader = _engine(parsed, "BEGIN IMMEDIATE"), _engine(parsed, "BEGIN")
        self._files = _SqliteFiles(self.engine) if parsed.get_backend_name() == "sqlite" else None
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="database-read")
        self._pending: queue.SimpleQueue[_PendingChange | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write_all, name="database-write", daemon=True)
        self._thread.start()

    def write(self, change: Callable[[Connection], Value]) -> asyncio.Future[Value]:
        """A future for what `change` returns. It is done once the change is committed.

        Changes are committed in the order of these calls. A change is run again if another change in its transaction
        fails, so it must do nothing but use the connection. Cancelling the future undoes nothing."""
        future: asyncio.Future[Value] = asyncio.get_running_loop().create_future()
        self._pending.put(_PendingChange(change, future))
        return future

    async def read(self, query: Callable[[Connection], Value]) -> Value:
        """What `query` returns. The query sees every change whose future is done."""

        def run() -> Value:
            with self._reader.connect() as connection:
                result = query(connection)
            self._check_files()
            return result

        return await asyncio.get_running_loop().run_in_executor(self._readers, run)

    async def shrink(self) -> None:
        """Gives the room of jobs that are gone to the disk, some of it at a time. PostgreSQL sees to that itself."""
        if self._files is not None:
            await asyncio.get_running_loop().run_in_executor(self._readers, self._files.shrink)

    def _check_files(self) -> None:
        if self._files is not None:
            self._files.check()

    def close(self) -> None:
        """Commits the changes that are waiting. After that another process can claim the database."""
        self._pending.put(None)
        self._thread.join()
        self._readers.shutdown()
        self.engine.dispose()
        self._reader.dispose()
        self._release()

    def _write_all(self) -> None:
        while (first := self._pending.get()) is not None:
            group = [first]
            while len(group) < _MAX_GROUP and not self._pending.empty():
                following = self._pending.get()
                if following is None:
                    self._pending.put(None)  # read again once this group is committed
                    break
                group.append(following)
            self._commit(group)

    def _commit(self, group: list[_PendingChange]) -> None:
        try:
            with self.engine.begin() as connection:
                results = [pending.change(connection) for pending in group]
            self._check_files()  # else it is committed to files that nobody will find
        except Exception as error:
            if len(group) > 1 and not isinstance(error, FAULTS):
                for pending in group:
                    self._commit([pending])
                return
            for pending in group:
                pending.settle(None, error)
            return
        for pending, result in zip(group, results, strict=True):
            pending.settle(result, None)


class _SqliteFiles:
    """The files of an open SQLite database in WAL mode. `engine` keeps it open."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        with engine.begin() as connection:  # makes them
            connection.execute(text("SELECT 1"))
            self._names = [f"{engine.url.database}{suffix}" for suffix in ("", "-wal", "-shm")]
            self._at_first = self._identities()

    def check(self) -> None:
        """Raises `DatabaseReplacedError`."""
        if self._identities() != self._at_first:
            raise DatabaseReplacedError

    def _identities(self) -> list[tuple[int, int] | None]:
        """Of each file, None if it is gone."""
        identities: list[tuple[int, int] | None] = []
        for name in self._names:
            try:
                found = os.stat(name)
                identities.append((found.st_dev, found.st_ino))
            except FileNotFoundError:
                identities.append(None)
        return identities

    def shrink(self) -> None:
        """Gives free room to the disk, at most `_SHRINK_BYTES`."""
        with closing(self._engine.raw_connection()) as connection:
            cursor = connection.cursor()
            (page_bytes,) = cursor.execute("PRAGMA page_size").fetchone()
            (free,) = cursor.execute("PRAGMA freelist_count").fetchone()
            pages = min(free - _KEPT_FREE_BYTES // page_bytes, _SHRINK_BYTES // page_bytes)
            if pages > 0:
                # `execute` would end after the first page. The file is cut when the write-ahead log is written back.
                cursor.executescript(f"PRAGMA incremental_vacuum({pages}); PRAGMA wal_checkpoint(PASSIVE)")


def _engine(url: URL, begin: str) -> Engine:
    """`begin` is the statement with which a transaction begins on SQLite.

    A transaction that writes must begin as one: if it only turns into one later, SQLite may refuse it because the file
    has changed since it began."""
    is_sqlite = url.get_backend_name() == "sqlite"
    connect_args = {"timeout": _BUSY_SECONDS} if is_sqlite else {}
    engine = create_engine(url, connect_args=connect_args, hide_parameters=True)
    if is_sqlite:

        @event.listens_for(engine, "connect")
        def _set_up(connection: Any, _: Any) -> None:
            connection.isolation_level = None  # Python's driver begins no transactions itself
            if connection.execute("PRAGMA auto_vacuum").fetchone() != (_INCREMENTAL,):
                connection.execute(f"PRAGMA auto_vacuum={_INCREMENTAL}")
                connection.execute("VACUUM")  # a file that has tables changes only with this
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(f"PRAGMA journal_size_limit={_KEPT_FREE_BYTES}")
            connection.execute("PRAGMA synchronous=FULL")  # a commit returns only once it is on the disk

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            connection.exec_driver_sql(begin)

    return engine


def _keep_private(path: str) -> None:
    """Lets only this user read SQLite's file at `path`, which holds prompts and secrets. SQLite gives the files that it
    makes beside it the same mode."""
    Path(path).touch(mode=_OWNER_ONLY)
    for file in (Path(path), Path(f"{path}-wal"), Path(f"{path}-shm")):
        if file.exists():
            file.chmod(_OWNER_ONLY)


def _claim(url: URL, service: Service) -> Callable[[], None]:
    """Claims the database for this process. The claim ends when the returned function is called or the process ends.

    Raises `DatabaseInUseError` if another process has claimed it."""
    if url.get_backend_name() == "sqlite":
        lock = FileLock(f"{url.database}.lock", timeout=0, mode=_OWNER_ONLY, thread_local=False)
        try:
            lock.acquire()
        except Timeout as error:
            raise DatabaseInUseError(service) from error
        _keep_private(str(url.database))
        return lock.release

    engine = create_engine(url, isolation_level="AUTOCOMMIT", hide_parameters=True)
    connection = engine.connect()

    @retry(
        retry=retry_if_exception_type(DatabaseInUseError),
        stop=stop_after_delay(_CLAIM_SECONDS),
        wait=wait_fixed(0.2),
        reraise=True,
    )
    def take_lock() -> None:
        if not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": _CLAIM_KEYS[service]}):
            raise DatabaseInUseError(service)

    def release() -> None:
        connection.close()
        engine.dispose()

    take_lock()
    return release
