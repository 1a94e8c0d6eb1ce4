"""What is known of the endpoint and the workers behind it, asked at most every few seconds.

How many workers there are, the endpoint says. What a worker is, only a worker knows. So one is asked by a probe: a job
that makes nothing. It is sent only if a worker is idle, so it never starts one. It is sent seldom, so it keeps none
awake. What it said stays known until the next one, with the time at which it was true.
"""

import asyncio
import time
from dataclasses import dataclass

from pydantic import BaseModel, Field, ValidationError

from videoworker.gateway.endpoint import Endpoint, EndpointAwayError, RefusedError, ThrottledError, Workers

PROBE = {"probe": True}

_SECONDS = 2.0  # how old the endpoint's answer may be
_PROBE_WAIT_SECONDS = 3.0


class Room(BaseModel):
    """Bytes of memory."""

    total_bytes: int = Field(gt=0)
    free_bytes: int

    @property
    def used(self) -> str:
        """Such as "30%"."""
        return f"{1 - self.free_bytes / self.total_bytes:.0%}"


class Gpu(Room):
    """A GPU and its memory."""

    name: str


class Facts(BaseModel):
    """What a worker says of itself. `model` is the one that is loaded, None if there is none. `models` are those that
    jobs can have, None if it does not say. `gpu` is None without a GPU."""

    model: str | None
    models: tuple[str, ...] | None = None
    gpu: Gpu | None
    cpu_percent: float
    memory: Room


@dataclass(frozen=True)
class Health:
    """`workers`: how many there are in each state; None if the endpoint does not answer. `facts`: what a worker last
    said of itself, in Unix seconds at `facts_at`; None if none was asked yet. `is_stale`: whether that is older than it
    should be, because no worker was idle since."""

    workers: Workers | None
    facts: Facts | None
    facts_at: float | None
    is_stale: bool

    @property
    def is_reachable(self) -> bool:
        return self.workers is not None

    @property
    def is_loaded(self) -> bool:
        """Whether a worker is past its start. It loads its model before it takes jobs."""
        return self.workers is not None and self.workers.idle + self.workers.running + self.workers.ready > 0


class HealthWatch:
    """Belongs to one event loop. `probe_seconds`: how old facts may be before a probe is sent; 0: none is sent."""

    def __init__(self, endpoint: Endpoint, probe_seconds: float) -> None:
        self._endpoint, self._probe_seconds = endpoint, probe_seconds
        self._workers: Workers | None = None
        self._asked_at = self._probed_at = 0.0
        self._facts: Facts | None = None
        self._facts_at: float | None = None
        self._asking = asyncio.Lock()
        self._probing: asyncio.Task[None] | None = None

    async def now(self) -> Health:
        async with self._asking:
            if time.time() - self._asked_at > _SECONDS:
                await self._ask()
        await self._look_closer()
        is_stale = self._facts_at is not None and time.time() - self._facts_at > 2 * self._probe_seconds
        return Health(self._workers, self._facts, self._facts_at, is_stale)

    async def close(self) -> None:
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)

    async def _ask(self) -> None:
        try:
            self._workers = await self._endpoint.workers()
        except ThrottledError:
            pass  # what was known is as good as nothing
        except (EndpointAwayError, RefusedError):
            self._workers = None
        self._asked_at = time.time()

    async def _look_closer(self) -> None:
        """Sends a probe if it is time. Its answer is waited for only if nothing is known yet."""
        is_idle = self._workers is not None and self._workers.idle > 0
        is_time = self._probe_seconds and time.time() - self._probed_at > self._probe_seconds
        if is_idle and is_time:
            self._probed_at = time.time()
            self._probing = asyncio.create_task(self._probe())
        if self._facts is None and self._probing is not None:
            await asyncio.wait({self._probing})

    async def _probe(self) -> None:
        try:
            state = await self._endpoint.run_sync(PROBE, _PROBE_WAIT_SECONDS)
            if state.status == "COMPLETED":
                self._facts, self._facts_at = Facts.model_validate(state.output), time.time()
            elif state.status in ("IN_QUEUE", "IN_PROGRESS"):
                await self._endpoint.cancel(state.id)
        except (EndpointAwayError, ThrottledError, RefusedError, ValidationError):
            pass  # the endpoint's own state says more, and another program's worker knows no probe
