"""Who is woken, and who instead if that one leaves."""

import asyncio

from videoworker.endpoint.wait_queue import WaitQueue


async def until(queue: WaitQueue, seconds: float) -> bool:
    """One turn that finds nothing. Whether it was woken within `seconds`."""
    with queue.waiter() as waiter:
        return await waiter.wait(asyncio.get_running_loop().time() + seconds)


def test_order() -> None:
    """The task that has waited longest is woken, and it alone."""

    async def run() -> None:
        queue = WaitQueue()
        tasks = [asyncio.create_task(until(queue, 60)) for _ in range(3)]
        await asyncio.sleep(0)
        queue.notify()
        assert await tasks[0]
        assert not tasks[1].done() and not tasks[2].done()
        queue.notify_all()
        assert await asyncio.gather(*tasks[1:]) == [True, True]
        assert queue.is_empty

    asyncio.run(run())


def test_notified_while_looking() -> None:
    """What arrives after a task has joined and before it waits is not missed."""

    async def run() -> None:
        queue = WaitQueue()
        with queue.waiter() as waiter:
            queue.notify()
            assert await waiter.wait(asyncio.get_running_loop().time() + 60)

    asyncio.run(run())


def test_time_over() -> None:
    async def run() -> None:
        queue = WaitQueue()
        assert not await until(queue, 0)
        assert queue.is_empty

    asyncio.run(run())


def test_cancelled_after_waking() -> None:
    """A task is woken but cancelled before it hears of it: the next one is woken."""

    async def run() -> None:
        queue = WaitQueue()
        cancelled, following = (asyncio.create_task(until(queue, 60)) for _ in range(2))
        await asyncio.sleep(0)
        queue.notify()
        cancelled.cancel()
        assert await following
        assert cancelled.cancelled()

    asyncio.run(run())


def test_found_something_else() -> None:
    """A task is woken after it has found something else: the next one is woken."""

    async def run() -> None:
        queue = WaitQueue()
        with queue.waiter():
            following = asyncio.create_task(until(queue, 60))
            await asyncio.sleep(0)
            queue.notify()
        assert await following

    asyncio.run(run())


def test_leaving_unwoken() -> None:
    """A task that leaves without having been woken wakes nobody."""

    async def run() -> None:
        queue = WaitQueue()
        with queue.waiter():
            following = asyncio.create_task(until(queue, 60))
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not following.done()
        queue.notify()
        assert await following

    asyncio.run(run())
