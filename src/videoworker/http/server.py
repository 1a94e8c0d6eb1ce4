"""The HTTP server of our services: uvicorn, within limits on what any caller may take."""

import asyncio
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from videoworker.http.admission import Admission
from videoworker.http.connection import Connection
from videoworker.http.limits import Limits, allowed_connections
from videoworker.http.log_limit import OnePerKind

# How many connections asyncio accepts in a row. It does so a few times before the first of them is counted. If the
# process has no descriptor left, asyncio logs so many errors at once.
_ACCEPTED_AT_ONCE = 20
_QUEUE = 1000  # how many wait in the kernel to be accepted
_LAST_ANSWERS_SECONDS = 5

_lines = OnePerKind()


class Server(uvicorn.Server):
    """Serves `app` over HTTP/1.1. WebSockets are not spoken.

    `proxies`: addresses, separated by commas, whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
    Signals are left to whoever runs it. It ends when `should_exit` is set.
    """

    def __init__(self, app: FastAPI, limits: Limits, proxies: str = "") -> None:
        config = uvicorn.Config(
            app,
            http=Connection,
            ws="none",
            proxy_headers=bool(proxies),
            forwarded_allow_ips=proxies,
            log_config=None,
            access_log=False,
            backlog=_ACCEPTED_AT_ONCE,
            timeout_keep_alive=limits.idle_seconds,
            timeout_graceful_shutdown=_LAST_ANSWERS_SECONDS,
        )
        super().__init__(config)
        self._admission = Admission(limits)
        self.server_state = self._admission

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._admission.most = allowed_connections(self._admission.limits.connections)
        for name in ("uvicorn.error", "asyncio"):
            logging.getLogger(name).addFilter(_lines)
        await super().startup(sockets)
        for sock in sockets or ():
            sock.listen(_QUEUE)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def on_tick(self, counter: int) -> bool:
        """uvicorn calls it ten times a second."""
        now = asyncio.get_running_loop().time()
        for connection in self._admission:
            connection.check(now)
        return await super().on_tick(counter)
