"""Wakes those who wait for something to do: one of them for each thing there is, whoever has waited longest first."""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class Ear:
    """One who waits. Was it woken and left without looking, the next one is woken instead."""

    def __init__(self) -> None:
        self._woken = asyncio.get_running_loop().create_future()
        self.has_looked = False

    async def wait(self, until: float) -> bool:
        """Whether the bell rang before the loop's clock shows `until`."""
        try:
            async with asyncio.timeout_at(until):
                await asyncio.shield(self._woken)
        except TimeoutError:
            return False
        self.has_looked = True
        return True

    def wake(self) -> None:
        self._woken.set_result(None)

    @property
    def is_woken(self) -> bool:
        return self._woken.done()


class Bell:
    """Belongs to one event loop."""

    def __init__(self) -> None:
        self._ears: deque[Ear] = deque()

    @contextmanager
    def listening(self) -> Iterator[Ear]:
        """Listen first, then look for something to do, then `wait`: so nothing that comes in between is missed."""
        ear = Ear()
        self._ears.append(ear)
        try:
            yield ear
        finally:
            if not ear.is_woken:
                self._ears.remove(ear)
            elif not ear.has_looked:
                self.ring()

    def ring(self) -> None:
        if self._ears:
            self._ears.popleft().wake()

    def ring_all(self) -> None:
        while self._ears:
            self.ring()

    @property
    def is_idle(self) -> bool:
        return not self._ears
