"""How much memory the bodies of all callers together may take while they arrive.

Without such a limit, callers who send all but the end of a large body take as much as they like.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fastapi import HTTPException

_SMALL_BYTES = 64 * 1024  # what every body has: less than its connection may buffer anyway


class Room:
    """Of one service, on one event loop. `max_bytes`: of all bodies, beyond what is small of each."""

    def __init__(self, max_bytes: int) -> None:
        self._left = max_bytes

    @contextmanager
    def taken(self) -> Iterator[Callable[[int], None]]:
        """A function that is told how many bytes of a body have arrived, as often as more do. They are given back with
        the block. It raises `HTTPException` 503 if there is no room for them."""
        held = 0

        def take(arrived: int) -> None:
            nonlocal held
            more = max(0, arrived - _SMALL_BYTES) - held
            if more > self._left:
                raise HTTPException(503, "Too many large requests arrive at once. Please try again later.")
            self._left -= more
            held += more

        try:
            yield take
        finally:
            self._left += held
