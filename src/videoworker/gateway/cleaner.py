"""Removes again and again what a worker may still deliver for jobs that have ended: see `leftovers`."""

import asyncio
import time
from functools import partial

from videoworker.database.database import Database
from videoworker.database.faults import DATABASE_ERRORS, FaultLog
from videoworker.gateway import leftovers
from videoworker.gateway.pace import pause_after_fault
from videoworker.gateway.videos import VideoAwayError, Videos

_SECONDS = 2.0  # how late a turn may come
_AT_ONCE = 100


class Cleaner:
    """Belongs to one event loop. Tells `faults` of the database's faults."""

    def __init__(self, database: Database, videos: Videos, faults: FaultLog) -> None:
        self._database, self._videos, self._faults = database, videos, faults

    async def run(self) -> None:
        """Until it is cancelled."""
        faults = 0
        while True:
            try:
                await self._remove_due()
                faults = 0
            except VideoAwayError:
                faults += 1  # the bucket has said why
            except DATABASE_ERRORS as error:
                faults += 1
                self._faults.tell(error)
            await asyncio.sleep(pause_after_fault(faults) if faults else _SECONDS)

    async def _remove_due(self) -> None:
        for leftover in await self._database.read(partial(leftovers.due, most=_AT_ONCE, now=time.time())):
            await self._videos.remove(leftover.job_id)
            await self._database.write(partial(leftovers.removed, leftover=leftover, now=time.time()))
