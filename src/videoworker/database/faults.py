"""Faults of the database, and their lines in the log: one short line each, without the values that a statement had.

While a fault lasts, every request meets it. So it is told again only after a pause.
"""

import sqlite3
import time
from collections.abc import Callable

import structlog
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError


class DatabaseReplacedError(Exception):
    """SQLite's files are no longer those that were opened."""

    def __init__(self) -> None:
        super().__init__("The jobs' database was deleted or replaced. This service must be started again.")


# What a change or a query raises if it cannot be done. What is asked of SQLite alone raises the driver's own errors.
DATABASE_ERRORS = (DBAPIError, sqlite3.Error, DatabaseReplacedError)

# The database itself is at fault, not what a statement says. The driver's words then name no values.
FAULTS = (OperationalError, InterfaceError, DatabaseReplacedError)

_TOLD_IN_WORDS = (*FAULTS, sqlite3.OperationalError)
_PAUSE_SECONDS = 10.0
_MAX_WORDS = 200

_log = structlog.get_logger()


def why_not_opened(error: Exception) -> str:
    """In one line, in the driver's own words."""
    return str(getattr(error, "orig", error)).splitlines()[0]


class FaultLog:
    """Belongs to one thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._told_at = clock, dict[str, float]()

    def tell(self, error: Exception) -> None:
        """Logs one of `DATABASE_ERRORS`, unless one of its kind was logged a short time ago."""
        cause = error.orig if isinstance(error, DBAPIError) else error
        kind, now = _kind(cause), self._clock()
        if now - self._told_at.get(kind, -_PAUSE_SECONDS) >= _PAUSE_SECONDS:
            self._told_at[kind] = now
            words = {"words": str(cause).partition("\n")[0][:_MAX_WORDS]} if isinstance(error, _TOLD_IN_WORDS) else {}
            _log.error("database fault", kind=kind, **words)


def _kind(cause: BaseException | None) -> str:
    """The name of the driver's error, and the database's own code if there is one."""
    code = getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None)
    return f"{type(cause).__name__} {code}" if code else type(cause).__name__
