"""The callers' side of RunPod's job API: /run, /runsync, /status, /stream, /cancel, /retry, /purge-queue, /health."""

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Query, Request, Response

from videoworker.endpoint import submission
from videoworker.endpoint.jobs import Job, Status
from videoworker.endpoint.queue import Queue
from videoworker.endpoint.settings import EndpointSettings
from videoworker.endpoint.shown import as_json, shown

JobId = Annotated[str, Path(pattern=r"^[A-Za-z0-9._-]{1,64}$")]

# Milliseconds that a /runsync waits: RunPod's documented range and default.
_Wait = Annotated[int, Query(ge=1_000, le=300_000)]
_DEFAULT_WAIT = 90_000


def routes(queue: Queue, settings: EndpointSettings) -> APIRouter:
    router = APIRouter(tags=["callers"])

    def answer(job: Job | None) -> Response:
        if job is None:
            raise HTTPException(404, "There is no such job, or it has expired.")
        running = queue.workers.running.get(job.id)
        return as_json(shown(job, running.progress if running else None))

    @router.post("/run")
    async def run(request: Request) -> Response:
        job = await submission.read(request, settings, is_sync=False)
        await queue.submit(job)
        return as_json({"id": f'"{job.id}"', "status": f'"{Status.IN_QUEUE}"'})

    @router.post("/runsync")
    async def run_sync(request: Request, wait: _Wait = _DEFAULT_WAIT) -> Response:
        job = await submission.read(request, settings, is_sync=True)
        await queue.submit(job)
        return answer(await queue.wait(job.id, wait / 1000))

    @router.get("/status/{job_id}")
    async def status(job_id: JobId) -> Response:
        return answer(await queue.find(job_id))

    @router.get("/stream/{job_id}")
    async def stream(job_id: JobId) -> Response:
        """The chunks that nobody has had yet."""
        state, chunks = await queue.take_chunks(job_id)
        if state is None:
            return answer(None)
        return as_json({"status": f'"{state}"', "stream": f"[{','.join(chunks)}]"})

    @router.post("/cancel/{job_id}")
    async def cancel(job_id: JobId) -> Response:
        return answer(await queue.cancel(job_id))

    @router.post("/retry/{job_id}")
    async def retry(job_id: JobId) -> Response:
        before = await queue.retry(job_id)
        if before is not None and before.status not in {Status.FAILED, Status.TIMED_OUT}:
            raise HTTPException(400, f"Only a job that is FAILED or TIMED_OUT can be retried; it is {before.status}.")
        return answer(await queue.find(job_id))

    @router.post("/purge-queue")
    async def purge_queue() -> dict[str, Any]:
        return {"removed": await queue.purge(), "status": "completed"}

    @router.get("/health")
    async def health() -> dict[str, Any]:
        """Jobs are counted while they are kept."""
        counts = await queue.counts()
        jobs = {
            "completed": counts.get(Status.COMPLETED, 0),
            "failed": counts.get(Status.FAILED, 0) + counts.get(Status.TIMED_OUT, 0),
            "inProgress": counts.get(Status.IN_PROGRESS, 0),
            "inQueue": counts.get(Status.IN_QUEUE, 0),
            "retried": counts["retries"],
        }
        return {"jobs": jobs, "workers": queue.workers.counts()}

    return router
