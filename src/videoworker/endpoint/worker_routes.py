"""The workers' side of RunPod's job API, as the SDK calls it: jobs to run, jobs to stop, results, heartbeats.

What comes from a worker that no longer has the job is discarded. That is no error of the worker, which could not know
it, so the answer is as for any other.
"""

import json
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, HTTPException, Path, Query, Request, Response

from videoworker.endpoint.answers import json_object, json_response, milliseconds
from videoworker.endpoint.caller_routes import JobId
from videoworker.endpoint.jobs import AssignedJob, JobResult
from videoworker.endpoint.queue import Queue
from videoworker.http.body import limited_body, parse_json
from videoworker.http.disconnect import while_connected

WorkerId = Annotated[str, Path(pattern=r"^[A-Za-z0-9._-]{1,255}$")]

# How long a request for jobs waits if there are none. It must be below 90, when the SDK gives up. A worker that is told
# to end first waits for its open request, so a short time is better.
POLL_SECONDS = 20.0

# RunPod's documented limits.
MAX_RESULT_BYTES = 20_000_000
MAX_CHUNK_BYTES = 1_000_000

# What the paths begin with that this file answers. All of them go on with the worker's id.
OPERATIONS = ("job-take", "job-take-batch", "job-stop", "job-done", "job-stream", "ping")

_NO_CONTENT = Response(status_code=204)

_log = structlog.get_logger()


def routes(queue: Queue) -> APIRouter:
    router = APIRouter(tags=["workers"])

    @router.get("/job-take/{worker_id}")
    async def take(request: Request, worker_id: WorkerId, job_in_progress: str = "1") -> Response:
        work = queue.take(worker_id, 1, job_in_progress == "0", POLL_SECONDS)
        taken = await while_connected(request, work)
        return json_response(_job_object(taken[0])) if taken else _NO_CONTENT

    @router.get("/job-take-batch/{worker_id}")
    async def take_batch(
        request: Request,
        worker_id: WorkerId,
        batch_size: Annotated[int, Query(ge=1, le=1000)],
        job_in_progress: str = "1",
    ) -> Response:
        work = queue.take(worker_id, batch_size, job_in_progress == "0", POLL_SECONDS)
        if not (taken := await while_connected(request, work)):
            return _NO_CONTENT
        return json_response(f"[{','.join(map(_job_object, taken))}]")

    @router.get("/job-stop/{worker_id}")
    async def stop(request: Request, worker_id: WorkerId) -> Response:
        job_ids = await while_connected(request, queue.workers.jobs_to_stop(worker_id, POLL_SECONDS))
        return json_response(json.dumps({"jobsToStop": job_ids})) if job_ids else _NO_CONTENT

    @router.post("/job-done/{worker_id}/{job_id}")
    async def done(request: Request, worker_id: WorkerId, job_id: JobId) -> Response:
        queue.workers.heard_from(worker_id)
        try:
            body = parse_json(await limited_body(request, MAX_RESULT_BYTES))
        except HTTPException as problem:
            # The worker does not try again, so the job fails and its caller learns why.
            body = {"error": f"The worker's result cannot be taken. {problem.detail}"}
        if not isinstance(body, dict):
            body = {"error": "The worker's result is not a JSON object."}
        if body.get("status") == "IN_PROGRESS":
            queue.progress(worker_id, job_id, json.dumps(body.get("output")))
        else:
            is_kept = await queue.finish(worker_id, job_id, _result(body))
            if body.get("stopPod"):
                queue.request_replacement(worker_id)
            if not is_kept:
                _log.warning("late result discarded", job_id=job_id, worker=worker_id)
        return Response()

    @router.post("/job-stream/{worker_id}/{job_id}")
    async def stream(request: Request, worker_id: WorkerId, job_id: JobId) -> Response:
        queue.workers.heard_from(worker_id)
        body = parse_json(await limited_body(request, MAX_CHUNK_BYTES))
        await queue.add_chunk(worker_id, job_id, json.dumps(body))
        return Response()

    @router.get("/ping/{worker_id}")
    async def ping(worker_id: WorkerId, job_id: str = "", status: str = "", reason: str = "") -> Response:
        queue.workers.heartbeat(worker_id, filter(None, job_id.split(",")))
        if status == "unhealthy":
            queue.workers.unhealthy(worker_id, reason)
        return Response()

    return router


def _job_object(job: AssignedJob) -> str:
    """The JSON object that the worker gets. `job.body` is a JSON object too: its fields follow the first two."""
    first = json_object({"id": json.dumps(job.id), "delayTime": milliseconds(job.waited)})
    return first[:-1] + "," + job.body[1:]


def _result(body: dict[str, Any]) -> JobResult:
    return JobResult(
        output=json.dumps(body["output"]) if "output" in body else None,
        error=json.dumps(body["error"]) if body.get("error") else None,
    )
