"""Who still listens. Gradio tells a session of its events by a stream; when that has ended, nobody hears the result.

Gradio notices late or never that a caller is gone, and its streams never end by themselves. So they run here.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from videoworker.http.disconnect import disconnected

_PATIENCE_SECONDS = 60.0  # in which a session must have begun to listen

_CALL = re.compile(r"/gradio_api/call/(?:v2/)?[^/]+/([^/]+)/?")
_HEARTBEAT = "/gradio_api/heartbeat/"


class Sessions:
    """Belongs to one event loop."""

    def __init__(self) -> None:
        self._streams: Counter[str] = Counter()
        self._waiting: set[asyncio.Event] = set()

    @contextmanager
    def listening(self, session: str) -> Iterator[None]:
        """While a stream is open."""
        self._streams[session] += 1
        self._tell()
        try:
            yield
        finally:
            self._streams[session] -= 1
            self._streams += Counter()  # drops those that are zero
            self._tell()

    async def left(self, session: str) -> None:
        """Returns once nobody listens any more, or nobody has begun to."""
        changed, was_there = asyncio.Event(), False
        patience = asyncio.get_running_loop().time() + _PATIENCE_SECONDS
        self._waiting.add(changed)
        try:
            while (is_there := session in self._streams) or not was_there:
                was_there = is_there
                changed.clear()
                async with asyncio.timeout_at(None if was_there else patience):
                    await changed.wait()
        except TimeoutError:
            pass
        finally:
            self._waiting.discard(changed)

    def _tell(self) -> None:
        for changed in self._waiting:
            changed.set()


class Streams:
    """ASGI middleware: ends a stream when its caller leaves, or when `ending` is set."""

    def __init__(self, app: ASGIApp, sessions: Sessions, ending: asyncio.Event) -> None:
        self._app, self._sessions, self._ending = app, sessions, ending

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix(scope.get("root_path", "")) if scope["type"] == "http" else ""
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
        elif (session := _session(path, scope["query_string"])) is not None:
            with self._sessions.listening(session):
                await self._run(scope, receive, send)
        elif path.startswith(_HEARTBEAT):
            await self._run(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_open = False  # whether an answer has begun and not ended

        async def noted(message: Message) -> None:
            nonlocal is_open
            is_open = message["type"] == "http.response.start" or bool(message.get("more_body"))
            await send(message)

        stream = asyncio.create_task(_work(self._app(scope, receive, noted)))
        ends = [asyncio.create_task(disconnected(receive)), asyncio.create_task(_work(self._ending.wait()))]
        try:
            await asyncio.wait([stream, *ends], return_when=asyncio.FIRST_COMPLETED)
        finally:
            was_cut = stream.cancel()
            for end in ends:
                end.cancel()
            results = await asyncio.gather(stream, *ends, return_exceptions=True)
        if is_open:
            await send({"type": "http.response.body", "body": b""})
        if not was_cut and isinstance(results[0], Exception):
            raise results[0]


def _session(path: str, query: bytes) -> str | None:
    """Whose events the stream at `path` tells; None if it is no such stream."""
    if path.rstrip("/") == "/gradio_api/queue/data":
        return parse_qs(query.decode("latin-1")).get("session_hash", [None])[0]
    call = _CALL.fullmatch(path)
    return call[1] if call else None


async def _work(work: Awaitable[object]) -> None:
    await work
