"""What the page asks for: to submit a job, how far it is, its video, and what a video would take.

It is not for other programs: theirs are the documents' paths. Pages of other sites may not call.
"""

import json
import time
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from starlette.responses import Response

from videoworker.apis.common_fields import code_and_fields
from videoworker.gateway.apis.form import HttpForm, json_body
from videoworker.gateway.jobs import Job, State
from videoworker.gateway.page.estimate import estimate
from videoworker.gateway.service import Service
from videoworker.http.own_site import refuse_other_sites

_MOST_ASKED = 30  # jobs in one question: as many as a browser remembers


async def _own_page(request: Request) -> None:
    refuse_other_sites(request)


def routes(form: HttpForm, service: Service) -> APIRouter:
    router = APIRouter(dependencies=[Depends(_own_page)])

    async def found(job_id: str) -> Job:
        job = await service.find(job_id)
        if job is None:
            raise HTTPException(404, "There is no such video. It may have been deleted.")
        return job

    @router.post("/estimate")
    async def what_it_takes(request: Request) -> dict[str, Any]:
        return asdict(await estimate(service, service.api.parse(await json_body(request))))

    @router.post("/jobs", status_code=201)
    async def submit(request: Request) -> dict[str, Any]:
        if form.check is not None:
            await form.check(service, request)
        job = await service.submit(await json_body(request), form.wish(service))
        return await _told(service, job)

    @router.get("/jobs")
    async def several(id: Annotated[list[str], Query(max_length=_MOST_ASKED)]) -> list[dict[str, Any]]:
        """Those of the jobs that there are."""
        jobs = [await service.find(job_id) for job_id in id]
        return [await _told(service, job) for job in jobs if job is not None]

    @router.get("/jobs/{job_id}")
    async def one(job_id: str) -> dict[str, Any]:
        return await _told(service, await found(job_id))

    @router.post("/jobs/{job_id}/cancel", status_code=204)
    async def cancel(job_id: str) -> None:
        await service.cancel((await found(job_id)).id)

    @router.delete("/jobs/{job_id}", status_code=204)
    async def delete(job_id: str) -> None:
        await service.delete((await found(job_id)).id)

    @router.api_route("/jobs/{job_id}/video", methods=["GET", "HEAD"])
    async def video(job_id: str, request: Request, download: bool = False) -> Response:
        job = await found(job_id)
        if job.state is not State.COMPLETED:
            raise HTTPException(404, "The video is not finished.")
        return await service.video(job, request, as_attachment=download)

    return router


async def _told(service: Service, job: Job) -> dict[str, Any]:
    """The job for the page. `request` has each field's JSON text. `ahead`: how many jobs wait before it. Times are
    seconds: of a day, `elapsed` and `remaining` as they are now."""
    now = time.time()
    told: dict[str, Any] = {
        "id": job.id,
        "name": job.name,
        "state": job.state,
        "request": {name: json.dumps(value, ensure_ascii=False) for name, value in job.request.items()},
        "ahead": await service.ahead(job) if job.state is State.QUEUED else None,
        "elapsed": max(0.0, (job.finished_at or now) - job.created_at),
        "progress": None,
        "video": None,
        "error": None,
    }
    if job.progress is not None:
        progress = asdict(job.progress)
        if job.progress.remaining is not None:
            progress["remaining"] = max(0.0, job.progress.remaining - (now - job.progress.reported_at))
        told["progress"] = progress
    if job.state is State.COMPLETED and job.video is not None and job.timings is not None:
        told["video"] = asdict(job.video) | {"seed": str(job.video.seed), "seconds": job.timings.get("total")}
        del told["video"]["url"]  # it may be signed; the page has its own
    if job.error is not None:
        told["error"] = code_and_fields(job.error)
    return told
