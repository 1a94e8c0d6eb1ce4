"""How many bytes may still be queued before the jobs that wait must be counted again.

Counting takes longer the more jobs wait, so it is not done for each. The room only shrinks until the next count, though
jobs leave the queue meanwhile. While a count is under way there is none, so what comes then is counted too.
"""

from collections.abc import Awaitable


class QueueRoom:
    """Belongs to one event loop."""

    def __init__(self) -> None:
        self._bytes = self._counts = 0

    def reserve(self, size: int) -> bool:
        """Whether there is room for so many bytes. They are taken from it."""
        is_room = size <= self._bytes
        if is_room:
            self._bytes -= size
        return is_room

    async def recount(self, counting: Awaitable[int | None]) -> int | None:
        """What `counting` gives: the room that is left, None if there was too little."""
        self._bytes, left = 0, None
        self._counts += 1
        try:
            left = await counting
        finally:
            self._counts -= 1
            if not self._counts:
                self._bytes = left or 0
        return left
