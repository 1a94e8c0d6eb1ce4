"""Tasks that wait for something to do, woken one at a time, in the order in which they came.

One turn of a task that waits:

1. It enters `waiter()` and so joins the end of the queue.
2. It looks for something to do. If it finds something, it leaves.
3. It calls `wait` and sleeps until it is woken or its time is over. Once woken, it leaves and begins again at 1.

It joins before it looks, so it also hears of what arrives in between.

Whoever adds something to do calls `notify`. That wakes the first task of the queue and removes it from the queue. The
task may leave before `wait` tells it, because it was cancelled or had already found something else. Then it does not
look for the new thing, so the next task of the queue is woken in its place.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class Waiter:
    """One task's place in the queue, for one turn."""

    def __init__(self) -> None:
        self._woken = asyncio.get_running_loop().create_future()
        self.was_told = False

    async def wait(self, until: float) -> bool:
        """Whether it was woken before the event loop's clock shows `until`."""
        try:
            async with asyncio.timeout_at(until):
                await asyncio.shield(self._woken)
        except TimeoutError:
            return False
        self.was_told = True
        return True

    def wake(self) -> None:
        self._woken.set_result(None)

    @property
    def is_woken(self) -> bool:
        return self._woken.done()


class WaitQueue:
    """Belongs to one event loop, on whose thread all of it is called."""

    def __init__(self) -> None:
        self._waiters: deque[Waiter] = deque()

    @contextmanager
    def waiter(self) -> Iterator[Waiter]:
        """Joins the queue for one turn."""
        waiter = Waiter()
        self._waiters.append(waiter)
        try:
            yield waiter
        finally:
            if not waiter.is_woken:
                self._waiters.remove(waiter)
            elif not waiter.was_told:
                self.notify()

    def notify(self) -> None:
        """Wakes the task that has waited longest, if any waits."""
        if self._waiters:
            self._waiters.popleft().wake()

    def notify_all(self) -> None:
        while self._waiters:
            self.notify()

    @property
    def is_empty(self) -> bool:
        return not self._waiters
