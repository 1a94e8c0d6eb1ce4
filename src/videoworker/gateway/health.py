"""What is known of the endpoint and the workers behind it, asked at most every few seconds."""

import asyncio
import time
from dataclasses import dataclass

from videoworker.gateway.endpoint import Endpoint, EndpointAwayError, RefusedError, ThrottledError, Workers

_SECONDS = 2.0  # how old an answer may be


@dataclass(frozen=True)
class Health:
    """`workers`: how many there are in each state; None if the endpoint does not answer. `checked_at`: when it was
    asked, in Unix seconds."""

    workers: Workers | None
    checked_at: float

    @property
    def is_reachable(self) -> bool:
        return self.workers is not None

    @property
    def is_loaded(self) -> bool:
        """Whether a worker is past its start. It loads its model before it takes jobs."""
        return self.workers is not None and self.workers.idle + self.workers.running + self.workers.ready > 0


class HealthWatch:
    """Belongs to one event loop."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._last: Health | None = None
        self._asking = asyncio.Lock()

    async def now(self) -> Health:
        async with self._asking:
            if self._last is None or time.time() - self._last.checked_at > _SECONDS:
                self._last = await self._ask()
            return self._last

    async def _ask(self) -> Health:
        try:
            workers = await self._endpoint.workers()
        except ThrottledError:
            return Health(self._last.workers if self._last else None, time.time())
        except (EndpointAwayError, RefusedError):
            return Health(None, time.time())
        return Health(workers, time.time())
