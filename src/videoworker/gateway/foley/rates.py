"""How often a caller may ask for a video.

Document: 10 requests per minute, 100 per hour, a burst of 20, and a cooldown of 60 seconds. All four hold if moving
windows of 20 in 2 minutes and of 100 in an hour decide, and whoever is refused is refused for 60 seconds. What headers
tell comes from a window of 10 per minute too. So whoever heeds them is never refused.

The counts are in memory, or in Redis, where they outlive this process and other gateways see them. Each window takes a
request or refuses it in one step there, so no two gateways together let more through than one would.
"""

import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import structlog
from limits import RateLimitItemPerHour, RateLimitItemPerMinute, RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from limits.errors import StorageError

PER_MINUTE, PER_HOUR, COOLDOWN_SECONDS = 10, 100, 60
MOST_BURST = PER_HOUR

_REDIS_SECONDS = 1.0  # for it to answer; every answer to a caller waits for it

Value = TypeVar("Value")

_log = structlog.get_logger()


@dataclass(frozen=True)
class Standing:
    """`remaining`: how many requests a caller has left. `reset`: until when, in Unix seconds. `cooldown`: for how many
    seconds more it is refused; None if it is not."""

    remaining: int
    reset: int
    cooldown: int | None

    @property
    def headers(self) -> dict[str, str]:
        """The document's. `X-RateLimit-Retry-After` is of every answer, as in its sample."""
        return {
            "X-RateLimit-Limit": str(PER_MINUTE),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset),
            "X-RateLimit-Retry-After": str(self.cooldown or COOLDOWN_SECONDS),
        }


class Rates:
    """`burst`: how many requests may come at once. PER_MINUTE is the narrowest reading of the document. `redis`: the
    URL of the server that counts; None: this process does. It does so too while that server cannot be reached. Belongs
    to one event loop."""

    def __init__(self, burst: int, redis: str | None = None) -> None:
        self._here = MovingWindowRateLimiter(MemoryStorage())
        self._shared = None if redis is None else MovingWindowRateLimiter(_storage(redis))
        self._is_away = False
        self._minute, self._hour = RateLimitItemPerMinute(PER_MINUTE), RateLimitItemPerHour(PER_HOUR)
        self._burst = RateLimitItemPerSecond(burst, burst * 60 // PER_MINUTE, namespace="burst")
        self._cooldown = RateLimitItemPerSecond(1, COOLDOWN_SECONDS, namespace="cooldown")

    async def admits(self, caller: str) -> bool:
        """Counts a request. False if it is refused."""
        return await self._counted(partial(self._admits, caller=caller))

    async def standing(self, caller: str) -> Standing:
        return await self._counted(partial(self._standing, caller=caller))

    async def _counted(self, ask: Callable[[MovingWindowRateLimiter], Awaitable[Value]]) -> Value:
        if self._shared is None:
            return await ask(self._here)
        try:
            answer, is_away = await ask(self._shared), False
        except StorageError:
            answer, is_away = await ask(self._here), True
        if is_away != self._is_away:
            self._is_away = is_away
            _log.warning("RATE_LIMIT_STORAGE cannot be reached" if is_away else "RATE_LIMIT_STORAGE is there again")
        return answer

    async def _admits(self, windows: MovingWindowRateLimiter, caller: str) -> bool:
        if not await windows.test(self._cooldown, caller):
            return False
        if await windows.hit(self._burst, caller) and await windows.hit(self._hour, caller):
            await windows.hit(self._minute, caller)
            return True
        await windows.hit(self._cooldown, caller)
        return False

    async def _standing(self, windows: MovingWindowRateLimiter, caller: str) -> Standing:
        cooldown = await windows.get_window_stats(self._cooldown, caller)
        if not cooldown.remaining:
            return Standing(0, math.ceil(cooldown.reset_time), max(1, math.ceil(cooldown.reset_time - time.time())))
        all_stats = [await windows.get_window_stats(item, caller) for item in (self._minute, self._burst, self._hour)]
        remaining = min(stats.remaining for stats in all_stats)
        reset = max(stats.reset_time for stats in all_stats if stats.remaining == remaining)
        return Standing(remaining, math.ceil(reset), None)


def _storage(url: str) -> RedisStorage:
    return RedisStorage(
        url,
        wrap_exceptions=True,
        implementation="redispy",
        key_prefix="videoworker",
        socket_timeout=_REDIS_SECONDS,
        socket_connect_timeout=_REDIS_SECONDS,
    )
