"""ASGI middleware before Gradio: which calls pass, which count as a request for a video, and what every answer tells.

Gradio's server can do more than this page needs: take files, fetch other servers' files, run history. None of that is
reachable. Events of the page that make no video are free, whatever path they come by.
"""

import json
import re

from fastapi import HTTPException, Request
from fastapi.responses import JSONResponse
from gradio.data_classes import PredictBody
from pydantic import ValidationError
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from videoworker.gateway.foley.page import GENERATE
from videoworker.gateway.foley.rates import Rates, Standing
from videoworker.http.admission import network
from videoworker.http.body import limited_body

_MAX_BODY_BYTES = 100_000  # 700 characters, written as JSON at the longest, take less than a tenth

_OPEN = re.compile(
    r"/(config/?|theme\.css|robots\.txt|favicon\.ico|manifest\.json|pwa_icon(/\d+)?|(svelte|static|assets)/.+"
    r"|gradio_api/(info/?|openapi\.json|theme\.css|app_id/?|startup-events|queue/(join|data)/?|call/.+|cancel|reset/?"
    r"|heartbeat/[^/]+|file=(?!/*https?:).+))?",
    re.IGNORECASE,
)
_JOIN = re.compile(r"/gradio_api/queue/join/?")
_CALL = re.compile(rf"/gradio_api/call/(v2/)?{GENERATE}/?")


class Gate:
    """`number`: Gradio's of the event that makes a video."""

    def __init__(self, app: ASGIApp, rates: Rates, number: int) -> None:
        self._app, self._rates, self._number = app, rates, number

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        caller = network(scope["client"][0]) if scope["client"] else ""
        path = scope["path"].removeprefix(scope.get("root_path", ""))

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update((await self._rates.standing(caller)).headers)
            await send(message)

        if not _OPEN.fullmatch(path):
            await JSONResponse({"detail": "Not Found"}, 404)(scope, receive, told)
        elif scope["method"] != "POST":
            await self._app(scope, receive, told)
        else:
            try:
                body = await limited_body(Request(scope, receive), _MAX_BODY_BYTES)
            except HTTPException as error:
                await JSONResponse({"detail": error.detail}, error.status_code)(scope, receive, told)
                return
            if self._makes_a_video(path, body) and not await self._rates.admits(caller):
                await _refusal(await self._rates.standing(caller))(scope, receive, told)
            else:
                await self._app(scope, _again(body, receive), told)

    def _makes_a_video(self, path: str, body: bytes) -> bool:
        if _CALL.fullmatch(path):
            return True
        if not _JOIN.fullmatch(path):
            return False
        try:  # as Gradio reads it, so that both mean the same event
            return PredictBody.model_validate(json.loads(body)).fn_index == self._number
        except (ValueError, RecursionError, ValidationError):
            return False


def _refusal(standing: Standing) -> JSONResponse:
    """In the document's form of an error. Gradio's page shows `detail`."""
    message = f"Too many requests. Please try again in {standing.cooldown} seconds."
    told = {"error": "RateLimitExceededError", "message": message, "code": 429, "detail": message}
    return JSONResponse(told, 429, {"Retry-After": str(standing.cooldown)})


def _again(body: bytes, receive: Receive) -> Receive:
    """Gives the body that has been read."""
    is_given = False

    async def given() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return given
