"""The `cogvideox` API over HTTP: a request is answered with the video itself.

Document: cogvideox.md. Only `/generate` needs a token: the document's other examples send none. It does not say how
errors are answered. A service of its kind answers as FastAPI does, so this one does.

Nothing may precede an mp4, so the caller waits until the video is made.
"""

from functools import cache
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.security import HTTPBearer
from starlette.responses import Response

from videoworker.apis.cogvideox import API, CogVideoXInput
from videoworker.apis.common_fields import timestamp
from videoworker.errors import JobError
from videoworker.gateway.apis.described import NO_MODEL, OF_A_BODY, VIDEO, Responses, as_json, body
from videoworker.gateway.apis.form import HttpForm, fastapi_error, get_and_head, json_app, json_body
from videoworker.gateway.jobs import State
from videoworker.gateway.service import AWAITED, Service, Wish
from videoworker.gateway.settings import GatewaySettings
from videoworker.gateway.tokens import Tokens
from videoworker.http.disconnect import while_connected

_CALLER_GONE = 499  # nginx's; nobody reads it
_STATUSES = (400, 408, 413, 503)  # of a job that failed; any other is 500

_bearer = HTTPBearer(auto_error=False, description="One of the operator's tokens")

_ANSWERS: Responses = {
    200: VIDEO[200],
    401: {"description": "The token is missing or wrong"},
    422: {"description": "The request is not valid"},
    500: {"description": "The video could not be made"},
}


def _app(service: Service) -> FastAPI:
    app = json_app(service, "Video Generation API", fastapi_error, invalid=422)
    _tokens(service.settings)  # a wrong setting is told at the start

    async def check(request: Request, sent: Annotated[Any, Depends(_bearer)]) -> None:
        await _check(service, request)

    @app.post(
        "/generate",
        dependencies=[Depends(check)],
        response_class=Response,
        openapi_extra=body({"application/json": as_json(API.schema)}),
        responses=OF_A_BODY | NO_MODEL | _ANSWERS,
    )
    async def generate(request: Request) -> Response:
        job = await service.submit(await json_body(request), Wish(extra=AWAITED))
        ended = await while_connected(request, service.result(job.id))
        if ended is None:
            return Response(status_code=_CALLER_GONE)
        if ended.state is not State.COMPLETED:
            assert ended.error is not None
            raise HTTPException(_status(ended.error), ended.error.message)
        return await service.video(ended, request)

    @get_and_head(app, "/health")
    async def health() -> dict[str, Any]:
        return {"status": "healthy" if (await service.health()).is_reachable else "unhealthy"}

    @get_and_head(app, "/info")
    async def info() -> dict[str, Any]:
        """What is used is of a worker, as it was at `checked_at`; null if none was asked yet."""
        behind = await service.health()
        facts = behind.facts
        gpu = facts.gpu if facts else None
        return {
            "model": API.name,
            "is_loaded": behind.is_loaded,
            "error": None if behind.is_reachable else "The endpoint behind this service cannot be reached",
            "config": _config(),
            "system_info": {
                "cpu_usage": f"{facts.cpu_percent:.0f}%" if facts else None,
                "memory_usage": facts.memory.used if facts else None,
                "gpu_usage": gpu.used if gpu else None,
            },
            "checked_at": None if behind.facts_at is None else timestamp(behind.facts_at),
            "stale": behind.is_stale,
        }

    return app


@cache
def _tokens(settings: GatewaySettings) -> Tokens:
    return Tokens.of(settings)


async def _check(service: Service, request: Request) -> None:
    sent = await _bearer(request)
    if sent is None:
        raise HTTPException(401, "Not authenticated", {"WWW-Authenticate": "Bearer"})
    if not _tokens(service.settings).knows(sent.credentials):
        raise HTTPException(401, "Invalid token", {"WWW-Authenticate": 'Bearer error="invalid_token"'})


def _config() -> dict[str, Any]:
    fields = CogVideoXInput.model_json_schema()["properties"]
    return {
        "default_steps": fields["num_inference_steps"]["default"],
        "default_guidance": fields["guidance_scale"]["default"],
        "min_frames": fields["num_frames"]["minimum"],
        "max_frames": fields["num_frames"]["maximum"],
        "default_fps": fields["fps"]["default"],
    }


def _status(error: JobError) -> int:
    return error.status if error.status in _STATUSES else 500


FORM = HttpForm(API, 9000, _app, check=_check)
