"""The protocol of the `openai` client's `videos`, over any model. Several servers of video models speak it.

Its paths, objects and errors are those that the client has types for. A video lasts until it is deleted, or until
its `expires_at`.
"""

from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query, Request
from starlette.responses import JSONResponse, Response

from videoworker.apis import native
from videoworker.apis.model_names import MODEL_NAMES
from videoworker.apis.quoting import quoted
from videoworker.apis.validation import as_object
from videoworker.errors import Code, FieldProblem, JobError
from videoworker.gateway import jobs
from videoworker.gateway.apis.described import NO_MODEL, OF_A_BODY, VIDEO, Responses, as_form, as_json, body
from videoworker.gateway.apis.form import HttpForm, Refusal, get_and_head, json_app, json_body, not_found
from videoworker.gateway.apis.openai_request import job_input, size_and_seconds
from videoworker.gateway.jobs import Job, State
from videoworker.gateway.service import Service, Wish

# Its jobs are listed apart from those of `native`, and are done as those.
API = replace(native.API, name="openai", worker_name=native.API.name)

_PORT = 8000
_POLL = {"openai-poll-after-ms": "2000"}  # when the client asks again
_NO_VIDEO, _NO_MODEL = "No such video", "No such model"
_PICTURES = ("image", "last_image")
_UNSUPPORTED = ("edits", "extensions", "characters")  # the client has methods for them

_STATUS = {
    State.QUEUED: "queued",
    State.RUNNING: "in_progress",
    State.COMPLETED: "completed",
    State.FAILED: "failed",
    State.CANCELLED: "failed",
}

_400: Responses = {400: {"description": "The request is not valid"}}
_404: Responses = {404: {"description": "There is none"}}

# Beside those of `native`.
_FIELDS: dict[str, dict[str, Any]] = {
    "seconds": {"type": "string", "description": "Length in seconds; num_frames goes before it"},
    "size": {"type": "string", "description": "Width and height in pixels, such as 1280x720"},
    "input_reference": {"type": "string", "format": "binary", "description": "First frame: a JPEG or PNG file"},
    "image_reference": {"type": "string", "description": "First frame: a URL, a data URI, or base64"},
    "reference_url": {"type": "string", "description": "First frame: a URL, a data URI, or base64"},
    "generate_sound": {"type": "boolean", "description": "Whether the video gets sound"},
    "user": {"type": "string", "description": "Whom the caller calls for; it changes nothing"},
    "extra_body": {"type": "object", "description": "More fields, as if they stood beside it"},
}
_REMIX = {
    "type": "object",
    "properties": {"prompt": {"type": "string"}},
    "required": ["prompt"],
    "additionalProperties": False,
}


def _app(service: Service) -> FastAPI:
    app = json_app(service, "Videos, in the protocol of the openai client", _error)

    async def found(video_id: str) -> Job:
        job = await service.find(video_id)
        if job is None:
            raise not_found(_NO_VIDEO)
        return job

    def told(job: Job) -> JSONResponse:
        return JSONResponse(_video(service, job), headers=_POLL)

    @app.post("/v1/videos", openapi_extra=_described(), responses=OF_A_BODY | NO_MODEL)
    async def create(request: Request) -> Response:
        asked = await job_input(request)
        return told(await service.submit(asked, Wish(extra=_kept(asked))))

    @get_and_head(app, "/v1/videos", responses=_400)
    async def listed(
        after: str | None = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        order: Literal["asc", "desc"] = "desc",
    ) -> dict[str, Any]:
        page = await service.page(jobs.Query(None, limit, after, oldest_first=order == "asc"))
        videos = [_video(service, job) for job in page.jobs]
        ends = {"first_id": videos[0]["id"], "last_id": videos[-1]["id"]} if videos else {}
        nothing = {"first_id": None, "last_id": None}
        return {"object": "list", "data": videos, "has_more": page.has_more} | nothing | ends

    @get_and_head(app, "/v1/videos/{video_id}", responses=_404)
    async def retrieve(video_id: str) -> Response:
        return told(await found(video_id))

    @app.delete("/v1/videos/{video_id}", responses=_404)
    async def delete(video_id: str) -> dict[str, Any]:
        if await service.delete(video_id) is None:
            raise not_found(_NO_VIDEO)
        return {"id": video_id, "deleted": True, "object": "video.deleted"}

    @get_and_head(
        app,
        "/v1/videos/{video_id}/content",
        response_class=Response,
        responses=VIDEO | _400 | _404,
    )
    async def content(video_id: str, request: Request, variant: Literal["video"] = "video") -> Response:
        job = await found(video_id)
        if job.state is not State.COMPLETED:
            raise not_found(f"The video is not there: its status is {_STATUS[job.state]}")
        return await service.video(job, request)

    @app.post(
        "/v1/videos/{video_id}/remix",
        openapi_extra=body({"application/json": _REMIX}),
        responses=OF_A_BODY | NO_MODEL | _404,
    )
    async def remix(video_id: str, request: Request) -> Response:
        """The same settings and the same seed with another prompt."""
        given = as_object(await json_body(request))
        if unknown := [name for name in given if name != "prompt"]:
            raise _refused(str(quoted(unknown[0])), given[unknown[0]], "no such field; a remix has a prompt alone")
        base = await found(video_id)
        if base.state is not State.COMPLETED or base.video is None:
            raise _refused("video_id", video_id, "a completed video")
        if gone := [name for name in base.extra["pictures"] if name not in base.request]:
            raise _refused(gone[0], None, "a picture that is kept; that of this video was too large")
        asked = base.request | {"prompt": given.get("prompt"), "seed": base.video.seed}
        return told(await service.submit(asked, Wish(extra=_kept(asked) | {"remixed_from": base.id})))

    async def unsupported(request: Request) -> Response:
        raise not_found(f"{request.url.path.removeprefix('/v1/')} is not supported")

    for action in _UNSUPPORTED:
        app.add_api_route(f"/v1/videos/{action}", unsupported, methods=["POST"], include_in_schema=False)

    @get_and_head(app, "/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [_model(name) for name in await _models(service)]}

    @get_and_head(app, "/v1/models/{name}", responses=_404)
    async def model(name: str) -> dict[str, Any]:
        if name not in await _models(service):
            raise not_found(_NO_MODEL)
        return _model(name)

    return app


def _kept(asked: dict[str, Any]) -> dict[str, Any]:
    """With a job: which pictures it had."""
    return {"pictures": [name for name in _PICTURES if name in asked]}


def _video(service: Service, job: Job) -> dict[str, Any]:
    """The protocol's object, and of a finished video its seed and the seconds that it took."""
    asked, made = service.request(job), job.video
    size, seconds = size_and_seconds(asked)
    told = {
        "id": job.id,
        "object": "video",
        "model": asked.model,
        "status": _STATUS[job.state],
        "progress": _percent(job),
        "created_at": int(job.created_at),
        "completed_at": int(job.finished_at) if job.state is State.COMPLETED and job.finished_at else None,
        "expires_at": _expiry(service, job),
        "seconds": f"{seconds:g}",
        "size": size,
        "prompt": asked.prompt,
        "error": None if job.error is None else {"code": job.error.code.lower(), "message": job.error.message},
        "remixed_from_video_id": job.extra.get("remixed_from"),
    }
    if job.state is State.COMPLETED and made is not None:
        told |= {"size": f"{made.width}x{made.height}", "seconds": f"{made.duration:g}", "model": made.model}
        told |= {"seed": made.seed, "inference_time_s": (job.timings or {}).get("total")}
    return told


def _expiry(service: Service, job: Job) -> int | None:
    kept = service.settings.keep_seconds
    return None if kept is None or job.finished_at is None else int(job.finished_at + kept)


def _percent(job: Job) -> int:
    """Whole, and below 100 until the video is there."""
    if job.state is State.COMPLETED:
        return 100
    return min(int(job.progress.fraction * 100), 99) if job.progress else 0


async def _models(service: Service) -> tuple[str, ...]:
    """Those that the workers have; if that is not known, all that there are."""
    return await service.models() or MODEL_NAMES


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "videoworker"}


def _described() -> dict[str, Any]:
    kinds = {"multipart/form-data": as_form, "application/json": as_json}
    return body({kind: schema(API.schema, **_FIELDS) for kind, schema in kinds.items()})


def _refused(field: str, given: Any, allowed: str) -> JobError:
    problem = FieldProblem(field, quoted(given), allowed)
    return JobError(Code.INVALID_FIELD, str(problem), (problem,))


def _error(refusal: Refusal) -> dict[str, Any]:
    error = refusal.error
    return {
        "error": {
            "message": refusal.message,
            "type": "server_error" if refusal.status >= 500 else "invalid_request_error",
            "param": error.fields[0].field if error and error.fields else None,
            "code": error.code.lower() if error else None,
        }
    }


FORM = HttpForm(API, _PORT, _app)
