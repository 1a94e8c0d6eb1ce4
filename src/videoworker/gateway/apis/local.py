"""The `local` API over HTTP: one request makes a video, and its answer says where the file is.

Document: local-video-service.md. Its clients put the base URL before `video_url`, so that is a path. They read
`success` of every answer, so errors have it too. Its example sends a form that is not multipart, so both are read.
"""

import re
import time
import unicodedata
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, Response

from videoworker.apis.common_fields import timestamp
from videoworker.apis.local import API, backend_of
from videoworker.database.faults import DATABASE_ERRORS
from videoworker.errors import Code, JobError
from videoworker.gateway.apis.described import NO_MODEL, OF_A_BODY, VIDEO, Responses, as_form, body
from videoworker.gateway.apis.form import HttpForm, Refusal, form_body, get_and_head, json_app, not_found
from videoworker.gateway.apis.long_answer import LongAnswer
from videoworker.gateway.health import Health
from videoworker.gateway.jobs import Job, Query, State
from videoworker.gateway.pictures import carried
from videoworker.gateway.service import AWAITED, Service, Wish
from videoworker.http.disconnect import while_connected
from videoworker.models import MODELS

_STATUSES = (400, 403, 404, 500, 503)  # that the document has
_NO_FILE = "Video file not found"

_SYSTEM = (
    "cuda_available",
    "device_name",
    "total_vram_gb",
    "free_vram_gb",
    "used_vram_gb",
    "cpu_percent",
    "ram_available_gb",
    "ram_total_gb",
    "checked_at",
)

_WORD = re.compile(r"[a-z0-9]+")
_ARTICLES = ("a", "an", "the")
_LONGEST_WORD = 40

_IMAGE = {"type": "string", "format": "binary", "description": "Reference image (JPEG, PNG)"}

_FAILURES: Responses = {
    403: {"description": "Lawful use consent is not given"},
    500: {"description": "The video could not be made"},
}
_404: Responses = {404: {"description": "There is no such file"}}


def _app(service: Service) -> FastAPI:
    app = json_app(service, "Local Video Generation Service", _error)

    @app.post("/generate", openapi_extra=_described_form(), responses=OF_A_BODY | NO_MODEL | _FAILURES)
    async def generate(request: Request) -> Response:
        job_input = await _read(request)
        job = await service.submit(job_input, Wish(_file_name(job_input["prompt"], time.time()), AWAITED))
        return LongAnswer(_answer(service, request, job))

    @get_and_head(app, "/outputs/{filename}", response_class=Response, responses=VIDEO | _404)
    async def video(filename: str, request: Request) -> Response:
        job = await service.find_named(filename)
        if job is None or job.state is not State.COMPLETED:
            raise not_found(_NO_FILE)
        return await service.video(job, request)

    @get_and_head(app, "/health")
    async def health() -> dict[str, Any]:
        behind = await service.health()
        backend = await _backend(service, behind)
        if not behind.is_reachable:
            status, message = "unhealthy", "The endpoint behind this service cannot be reached"
        elif behind.is_loaded:
            status, message = "healthy", f"Service operational{f' with {backend} backend' if backend else ''}"
        else:
            status, message = "degraded", "No worker has its model loaded; one starts when there is a job"
        cuda = None if behind.facts is None else behind.facts.gpu is not None
        return {"status": status, "backend": backend, "cuda_available": cuda, "message": message}

    @get_and_head(app, "/system-info")
    async def system_info() -> dict[str, Any]:
        """Of a worker, as it was at `checked_at`; null if none was asked yet."""
        behind = await service.health()
        return _system(behind) | {"backend": await _backend(service, behind)}

    return app


async def _backend(service: Service, behind: Health) -> str | None:
    """The video model that a worker has loaded, else what made the last video; None if neither is known."""
    if behind.facts is not None and behind.facts.model is not None:
        model = behind.facts.model.partition(" ")[0]  # without its variant
        if model in MODELS:
            return backend_of(model)
    last = await service.page(Query(frozenset({State.COMPLETED}), limit=1))
    return next((backend_of(job.video.model) for job in last.jobs if job.video), None)


def _system(behind: Health) -> dict[str, Any]:
    facts = behind.facts
    if facts is None:
        return dict.fromkeys(_SYSTEM) | {"stale": behind.is_stale}
    gpu = facts.gpu
    name, total, free = (gpu.name, gpu.total_bytes, gpu.free_bytes) if gpu else (None, 0, 0)
    told = (
        gpu is not None,
        name,
        _gigabytes(total),
        _gigabytes(free),
        _gigabytes(total - free),
        facts.cpu_percent,
        _gigabytes(facts.memory.free_bytes),
        _gigabytes(facts.memory.total_bytes),
        timestamp(behind.facts_at or 0.0),
    )
    return dict(zip(_SYSTEM, told, strict=True)) | {"stale": behind.is_stale}


def _gigabytes(count: int) -> float:
    return round(count / 2**30, 1)


async def _read(request: Request) -> dict[str, Any]:
    """The form as a job's input. Its texts are checked before its picture."""
    async with form_body(request) as form:
        picture = form.pop("image", "")
        job_input = API.read_form(form)
        if picture:
            asked = API.parse(job_input)
            job_input["image"] = await carried(picture, "image", (asked.width or 0, asked.height or 0))
    return job_input


async def _answer(service: Service, request: Request, job: Job) -> JSONResponse | None:
    """None if the caller is gone."""
    try:
        ended = await while_connected(request, service.result(job.id))
    except JobError as error:
        return _failed(error)
    except DATABASE_ERRORS as error:
        service.tell(error)
        return _failed(JobError(Code.DELIVERY_FAILED, "The service cannot reach its jobs now."))
    if ended is None:
        return None
    if ended.state is State.COMPLETED:
        path = f"/outputs/{ended.name}"
        return JSONResponse(service.answer(ended, path) | {"mp4_path": path[1:]})
    assert ended.error is not None
    return _failed(ended.error)


def _failed(error: JobError) -> JSONResponse:
    return JSONResponse(API.error(error, ""), error.status if error.status in _STATUSES else 500)


def _file_name(prompt: str, now: float) -> str:
    """The time, in UTC, and the prompt's first two words, such as `20250127_143022_serene_lake.mp4`."""
    plain = unicodedata.normalize("NFKD", prompt.lower())
    words = [word[:_LONGEST_WORD] for word in _WORD.findall(plain) if word not in _ARTICLES]
    return f"{'_'.join([time.strftime('%Y%m%d_%H%M%S', time.gmtime(now)), *(words[:2] or ['video'])])}.mp4"


def _described_form() -> dict[str, Any]:
    schema = as_form(API.schema, image=_IMAGE)
    return body({"multipart/form-data": schema, "application/x-www-form-urlencoded": schema})


def _error(refusal: Refusal) -> dict[str, Any]:
    if refusal.error is not None:
        return API.error(refusal.error, "")
    return {"success": False, "video_url": None, "error": refusal.message}


FORM = HttpForm(API, 8000, _app)
