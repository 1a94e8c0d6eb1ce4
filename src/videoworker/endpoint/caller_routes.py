"""The callers' side of RunPod's job API, as its documents and its clients for Python, JavaScript and Go call it.

`/status-sync` is in no document. The JavaScript and the Go client call it when a `/runsync` ends before its job does.
The Go client reads with POST.
"""

import json
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Query, Request, Response

from videoworker.endpoint import submission
from videoworker.endpoint.answers import job_fields, json_object, json_response
from videoworker.endpoint.jobs import Job, Status
from videoworker.endpoint.queue import Queue
from videoworker.endpoint.settings import EndpointSettings

JobId = Annotated[str, Path(pattern=r"^[A-Za-z0-9._-]{1,64}$")]

# How many milliseconds a /runsync waits: RunPod's documented range and default.
_Wait = Annotated[int, Query(ge=1_000, le=300_000)]
_DEFAULT_WAIT = 90_000
# How many milliseconds a /stream waits for a chunk. The JavaScript and the Go client ask again at once.
_DEFAULT_STREAM_WAIT = 1_000

_READ = ["GET", "POST"]


def routes(queue: Queue, settings: EndpointSettings) -> APIRouter:
    router = APIRouter(tags=["callers"])

    def answer(job: Job | None) -> Response:
        if job is None:
            raise HTTPException(404, "There is no such job, or it has expired.")
        attempt = queue.workers.attempts.get(job.id)
        return json_response(json_object(job_fields(job, attempt.progress if attempt else None)))

    @router.post("/run")
    async def run(request: Request) -> Response:
        job = await submission.read(request, settings, is_sync=False)
        await queue.submit(job)
        return json_response(json_object({"id": json.dumps(job.id), "status": json.dumps(Status.IN_QUEUE)}))

    @router.post("/runsync")
    async def run_sync(request: Request, wait: _Wait = _DEFAULT_WAIT) -> Response:
        job = await submission.read(request, settings, is_sync=True)
        await queue.submit(job)
        return answer(await queue.wait(job.id, wait / 1000))

    @router.api_route("/status/{job_id}", methods=_READ)
    async def status(job_id: JobId) -> Response:
        return answer(await queue.find(job_id))

    @router.api_route("/status-sync/{job_id}", methods=_READ)
    async def status_sync(job_id: JobId, wait: _Wait = _DEFAULT_WAIT) -> Response:
        """The job once it is final, or as it is when the wait ends."""
        return answer(await queue.wait(job_id, wait / 1000))

    @router.api_route("/stream/{job_id}", methods=_READ)
    async def stream(job_id: JobId, wait: _Wait = _DEFAULT_STREAM_WAIT) -> Response:
        """The chunks that nobody has taken yet. Waits for one while the job is not final."""
        taken = await queue.wait_for_chunks(job_id, wait / 1000)
        if taken is None:
            return answer(None)
        stream = {"status": json.dumps(taken.status), "stream": f"[{','.join(taken.chunks)}]"}
        return json_response(json_object(stream))

    @router.post("/cancel/{job_id}")
    async def cancel(job_id: JobId) -> Response:
        return answer(await queue.cancel(job_id))

    @router.post("/retry/{job_id}")
    async def retry(job_id: JobId) -> Response:
        before = await queue.retry(job_id)
        if before is not None and not before.status.can_be_retried:
            raise HTTPException(400, f"Only a job that is FAILED or TIMED_OUT can be retried; it is {before.status}.")
        return answer(await queue.find(job_id))

    @router.post("/purge-queue")
    async def purge_queue() -> dict[str, Any]:
        return {"removed": await queue.purge(), "status": "completed"}

    @router.get("/health")
    async def health() -> dict[str, Any]:
        """Counts the jobs that are kept, and the workers."""
        counts = await queue.counts()
        by_status = counts.by_status
        jobs = {
            "completed": by_status.get(Status.COMPLETED, 0),
            "failed": by_status.get(Status.FAILED, 0) + by_status.get(Status.TIMED_OUT, 0),
            "inProgress": by_status.get(Status.IN_PROGRESS, 0),
            "inQueue": by_status.get(Status.IN_QUEUE, 0),
            "retried": counts.retries,
        }
        return {"jobs": jobs, "workers": queue.workers.counts()}

    return router
