"""How often a caller may ask for a video.

Document: 10 requests per minute, 100 per hour, a burst of 20, and a cooldown of 60 seconds. All four hold if moving
windows of 20 in 2 minutes and of 100 in an hour decide, and whoever is refused is refused for 60 seconds. What headers
tell comes from a window of 10 per minute too. So whoever heeds them is never refused.
"""

import math
import time
from dataclasses import dataclass

from limits import RateLimitItemPerHour, RateLimitItemPerMinute, RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter

PER_MINUTE, PER_HOUR, COOLDOWN_SECONDS = 10, 100, 60
MOST_BURST = PER_HOUR


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
    """`burst`: how many requests may come at once. PER_MINUTE is the narrowest reading of the document. Belongs to one
    event loop."""

    def __init__(self, burst: int) -> None:
        self._windows = MovingWindowRateLimiter(MemoryStorage())
        self._minute, self._hour = RateLimitItemPerMinute(PER_MINUTE), RateLimitItemPerHour(PER_HOUR)
        self._burst = RateLimitItemPerSecond(burst, burst * 60 // PER_MINUTE, namespace="burst")
        self._cooldown = RateLimitItemPerSecond(1, COOLDOWN_SECONDS, namespace="cooldown")

    async def admits(self, caller: str) -> bool:
        """Counts a request. False if it is refused."""
        if not await self._windows.test(self._cooldown, caller):
            return False
        if await self._windows.hit(self._burst, caller) and await self._windows.hit(self._hour, caller):
            await self._windows.hit(self._minute, caller)
            return True
        await self._windows.hit(self._cooldown, caller)
        return False

    async def standing(self, caller: str) -> Standing:
        cooldown = await self._windows.get_window_stats(self._cooldown, caller)
        if not cooldown.remaining:
            return Standing(0, math.ceil(cooldown.reset_time), max(1, math.ceil(cooldown.reset_time - time.time())))
        windows = [
            await self._windows.get_window_stats(window, caller) for window in (self._minute, self._burst, self._hour)
        ]
        remaining = min(window.remaining for window in windows)
        reset = max(window.reset_time for window in windows if window.remaining == remaining)
        return Standing(remaining, math.ceil(reset), None)
