"""Work for a caller, for as long as the caller is there."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import Request
from starlette.types import Receive

Value = TypeVar("Value")


async def while_connected(request: Request, work: Coroutine[Any, Any, Value]) -> Value | None:
    """What `work` returns. None if the caller disconnects first, who would never get it: then `work` is cancelled.

    The request's body must have been read."""
    task, gone = asyncio.create_task(work), asyncio.create_task(disconnected(request.receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        return await task if task.done() else None
    finally:
        gone.cancel()
        task.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def disconnected(receive: Receive) -> None:
    """Returns once the caller is gone. The request's body must have been read, or it is lost."""
    while (await receive())["type"] != "http.disconnect":
        pass
