"""The check that every request of a service passes before anything else reads it, whatever route it is for."""

from collections.abc import Awaitable, Callable

from fastapi import HTTPException, Request
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

Check = Callable[[Request], Awaitable[None]]


class Guard:
    """ASGI middleware. `check` raises `HTTPException` for a request that is refused. `exempt` are what paths begin with
    that it does not look at. All else behind it needs no check of its own, so none can be forgotten: routes, folders of
    files, documents."""

    def __init__(self, app: ASGIApp, check: Check, exempt: tuple[str, ...] = ()) -> None:
        self._app, self._check, self._exempt = app, check, exempt

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # The path by which routes are found. That of `Request.url` depends on the Host header.
        if scope["type"] == "http" and not scope["path"].startswith(self._exempt):
            try:
                await self._check(Request(scope))
            except HTTPException as error:
                refusal = JSONResponse({"error": error.detail}, error.status_code, error.headers)
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)
