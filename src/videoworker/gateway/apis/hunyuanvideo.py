"""The `hunyuanvideo` API over HTTP: jobs, their status, their videos, lists, and deletion.

Document: hunyuanvideo.md. It does not say how an invalid request is answered. The server that it describes answers 422
with FastAPI's `detail`, so this one does. Every other error is `{"detail": <text>}`.

Its clients put the base URL before `video_url`, so that is a path.
"""

import math
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Request
from starlette.responses import Response

from videoworker import __version__
from videoworker.apis.common_fields import timestamp
from videoworker.apis.hunyuanvideo import API, HunyuanVideoInput
from videoworker.gateway import jobs
from videoworker.gateway.apis.described import NO_MODEL, OF_A_BODY, VIDEO, Responses, as_json, body
from videoworker.gateway.apis.form import HttpForm, fastapi_error, get_and_head, json_app, json_body, not_found
from videoworker.gateway.jobs import OPEN, Job, State
from videoworker.gateway.service import Service
from videoworker.request import VideoRequest

_STATUS = {
    State.QUEUED: "queued",
    State.RUNNING: "processing",
    State.COMPLETED: "completed",
    State.FAILED: "failed",
    State.CANCELLED: "failed",
}
_SECONDS_PER_STEP = 20  # the document's example: 600 seconds for 30 steps
_MAX_LISTED = 100

_NO_JOB, _NO_VIDEO = "Job not found", "Video not found"

_ENDPOINTS = {
    "generate": "POST /api/generate",
    "status": "GET /api/status/{job_id}",
    "videos": "GET /api/videos/{filename}",
    "jobs": "GET /api/jobs",
    "delete": "DELETE /api/jobs/{job_id}",
    "info": "GET /api/info",
    "health": "GET /health",
    "docs": "GET /docs",
}

_404: Responses = {404: {"description": "There is no such job or video"}}


def _app(service: Service) -> FastAPI:
    app = json_app(service, "HunyuanVideo REST API", fastapi_error, invalid=422)

    async def status_of(job: Job) -> dict[str, Any]:
        common = {
            "status": _STATUS[job.state],
            "created_at": timestamp(job.created_at),
            "updated_at": timestamp(job.updated_at),
        }
        if job.state is State.COMPLETED:
            return service.answer(job, f"/api/videos/{job.name}") | common
        told = service.progress(job) if job.state in OPEN else service.error(job)
        seconds = told["estimated_time"] or await _estimate(service, service.request(job))
        return told | common | {"estimated_time": seconds}

    @get_and_head(app, "/")
    async def root() -> dict[str, Any]:
        return {
            "name": "HunyuanVideo REST API",
            "version": "1.0.0",
            "status": "running",
            "description": "Makes videos from text",
            "endpoints": _ENDPOINTS,
        }

    @get_and_head(app, "/health")
    async def health() -> dict[str, Any]:
        counts, behind = await service.counts(), await service.health()
        is_starting = behind.workers is not None and behind.workers.initializing > 0
        unloaded = "initializing" if is_starting else "healthy"
        return {
            "status": "unhealthy" if not behind.is_reachable else "healthy" if behind.is_loaded else unloaded,
            "model_loaded": behind.is_loaded,
            "active_jobs": sum(counts.get(state, 0) for state in OPEN),
            "total_jobs": sum(counts.values()),
        }

    @get_and_head(app, "/api/info")
    async def info() -> dict[str, Any]:
        return _info()

    @app.post(
        "/api/generate",
        openapi_extra=body({"application/json": as_json(API.schema)}),
        responses={422: {"description": "The request is not valid"}, **OF_A_BODY, **NO_MODEL},
    )
    async def generate(request: Request) -> dict[str, Any]:
        job = await service.submit(await json_body(request))
        return {
            "job_id": job.id,
            "status": "queued",
            "message": "Video generation job submitted successfully",
            "check_status_url": f"/api/status/{job.id}",
        }

    @get_and_head(app, "/api/status/{job_id}", responses=_404)
    async def status(job_id: str) -> dict[str, Any]:
        job = await service.find(job_id)
        if job is None:
            raise not_found(_NO_JOB)
        return await status_of(job)

    @get_and_head(app, "/api/videos/{filename}", response_class=Response, responses=VIDEO | _404)
    async def video(filename: str, request: Request) -> Response:
        job = await service.find_named(filename)
        if job is None or job.state is not State.COMPLETED:
            raise not_found(_NO_VIDEO)
        return await service.video(job, request, as_attachment=True)

    @get_and_head(app, "/api/jobs")
    async def listed(
        status: str | None = None, limit: Annotated[int, Query(ge=1, le=_MAX_LISTED)] = 50
    ) -> dict[str, Any]:
        """The newest first. `total` is how many are listed."""
        states = frozenset(state for state, name in _STATUS.items() if name == status)
        page = await service.page(jobs.Query(None if status is None else states, limit))
        return {"total": len(page.jobs), "jobs": [await status_of(job) for job in page.jobs]}

    @app.delete("/api/jobs/{job_id}", responses={400: {"description": "The job is being processed"}, **_404})
    async def delete(job_id: str) -> dict[str, Any]:
        deleted = await service.delete(job_id, frozenset(State) - {State.RUNNING})
        if deleted is None:
            raise not_found(_NO_JOB)
        if deleted.state is State.RUNNING:
            raise HTTPException(400, "Cannot delete job that is currently processing")
        return {"message": "Job deleted successfully", "job_id": job_id}

    return app


async def _estimate(service: Service, request: VideoRequest) -> int:
    """Seconds of the whole job."""
    steps = request.num_inference_steps or 0
    return math.ceil(await service.estimate(request) or steps * _SECONDS_PER_STEP)


def _info() -> dict[str, Any]:
    fields = HunyuanVideoInput.model_json_schema()["properties"]

    def span(name: str) -> dict[str, Any]:
        return {"min": fields[name]["minimum"], "max": fields[name]["maximum"], "default": fields[name]["default"]}

    length = span("video_length")
    return {
        "model": "HunyuanVideo",
        "deployment": f"videoworker {__version__}",
        "supported_resolutions": ["480x360", "640x480", "720x480", "960x544"],
        "video_length": {"min_frames": length["min"], "max_frames": length["max"], "default": length["default"]},
        "fps_options": span("fps"),
        "inference_steps": span("num_inference_steps"),
        "estimated_generation_time": f"{_SECONDS_PER_STEP} seconds for each step, until jobs show how long they take",
    }


FORM = HttpForm(API, 10000, _app)
