"""The `hunyuanvideo-1.5` API over HTTP: tasks, their status and their videos.

Document: hunyuanvideo-1.5.md. Its clients fetch `video_url` as it is, so that is an absolute URL. Its table has the
statuses 400, 404, 500 and 503. They read `status` of every answer, so errors have one too.
"""

import time
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response

from videoworker.apis.common_fields import timestamp
from videoworker.apis.hunyuanvideo_1_5 import API
from videoworker.gateway.apis.described import OF_A_BODY, VIDEO, Responses, as_json, body
from videoworker.gateway.apis.form import HttpForm, Refusal, get_and_head, json_app, json_body, not_found
from videoworker.gateway.jobs import OPEN, State
from videoworker.gateway.links import absolute_url
from videoworker.gateway.service import Service, Wish
from videoworker.request import VideoRequest

_VERSION = "1.5.0"  # in the document's answer of /health

_NO_TASK = "Task ID not found"
_CODES = {404: "TASK_NOT_FOUND", 500: "INTERNAL_ERROR", 503: "QUEUE_FULL"}  # the second and third are ours

# The middle of the document's table of performance: seconds by lines and seconds of video.
_SECONDS = {(720, 5): 25, (720, 10): 50, (1080, 5): 38, (1080, 10): 75}

_404: Responses = {404: {"description": "There is no such task"}}
_503: Responses = {503: {"description": "No model is there, or the queue is full"}}


def _app(service: Service) -> FastAPI:
    app = json_app(service, "HunyuanVideo API", _error)

    @app.post(
        "/generate",
        status_code=202,
        openapi_extra=body({"application/json": as_json(API.schema)}),
        responses=OF_A_BODY | _503,
    )
    async def generate(request: Request) -> dict[str, Any]:
        job = await service.submit(await json_body(request), _wish(service))
        asked = service.request(job)
        seconds = await service.estimate(asked) or _estimate(asked)
        return {"task_id": job.id, "status": "processing", "estimated_time": round(seconds)}

    @get_and_head(app, "/status/{task_id}", responses=_404)
    async def status(task_id: str, request: Request) -> dict[str, Any]:
        job = await service.find(task_id)
        if job is None:
            raise not_found(_NO_TASK)
        if job.state in OPEN:
            return service.progress(job) | {"elapsed_time": int(max(0.0, time.time() - job.created_at))}
        if job.state is State.COMPLETED:
            return service.answer(job, absolute_url(request, f"/videos/{job.name}", service.settings))
        return service.error(job)

    @get_and_head(app, "/videos/{task_id}.mp4", response_class=Response, responses=VIDEO | _404)
    async def video(task_id: str, request: Request) -> Response:
        job = await service.find_named(f"{task_id}.mp4")
        if job is None or job.state is not State.COMPLETED:
            raise not_found(_NO_TASK)
        return await service.video(job, request)

    @get_and_head(app, "/health")
    async def health() -> dict[str, Any]:
        """What a worker said of its GPU is as it was at `checked_at`; null if none was asked yet."""
        behind = await service.health()
        gpu = behind.facts.gpu if behind.facts else None
        return {
            "status": "healthy" if behind.is_reachable else "unhealthy",
            "model_loaded": behind.is_loaded,
            "gpu_available": gpu is not None if behind.facts else None,
            "vram_free": None if gpu is None else f"{gpu.free_bytes / 2**30:.1f} GB",
            "version": _VERSION,
            "checked_at": None if behind.facts_at is None else timestamp(behind.facts_at),
            "stale": behind.is_stale,
        }

    return app


def _wish(service: Service) -> Wish:
    return Wish(most_queued=service.settings.hunyuan_max_queue_size)


def _estimate(asked: VideoRequest) -> float:
    """Seconds, by the document's table; between its rows by the length."""
    lines = asked.height or 1080
    shortest, longest = _SECONDS[lines, 5], _SECONDS[lines, 10]
    return shortest + (longest - shortest) * ((asked.duration or 10) - 5) / 5


def _error(refusal: Refusal) -> dict[str, Any]:
    if refusal.error is not None:
        return API.error(refusal.error, "") | {"task_id": None}
    return {
        "task_id": None,
        "status": "failed",
        "error": refusal.message,
        "error_code": _CODES.get(refusal.status, "INVALID_REQUEST"),
    }


FORM = HttpForm(API, 8000, _app, _wish)
