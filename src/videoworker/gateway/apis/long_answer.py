"""An answer in JSON that may take long. Spaces go before it, so that nobody on the way takes the connection for dead.

JSON may begin with spaces. Node's `fetch` gives up if no headers come for 300 seconds, and proxies if nothing comes for
60 to 100.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

SPACE_SECONDS = 15.0

# nginx would keep the spaces back.
_HEADERS = [(b"content-type", b"application/json"), (b"x-accel-buffering", b"no")]


class LongAnswer(Response):
    """The answer that `work` returns; nothing if that is None, because the caller is gone. If the answer is there
    before the first space, it has its own status. After that the status is 200."""

    def __init__(self, work: Coroutine[Any, Any, JSONResponse | None]) -> None:
        super().__init__()
        self._work = work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        task = asyncio.create_task(self._work)
        try:
            if (await asyncio.wait({task}, timeout=SPACE_SECONDS))[0]:
                if (answer := task.result()) is not None:
                    await answer(scope, receive, send)
                return
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            while not task.done():
                await send({"type": "http.response.body", "body": b" ", "more_body": True})
                await asyncio.wait({task}, timeout=SPACE_SECONDS)
            if (answer := task.result()) is not None:
                await send({"type": "http.response.body", "body": answer.body})
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
