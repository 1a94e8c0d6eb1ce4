"""The workers' side of RunPod's job API, as the SDK calls it: polls for jobs and for stops, results, heartbeats."""

import asyncio
import json
from collections.abc import Coroutine
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, HTTPException, Path, Query, Request, Response

from videoworker.endpoint.callers import JobId
from videoworker.endpoint.jobs import Result, Taken
from videoworker.endpoint.queue import Queue
from videoworker.endpoint.shown import as_text, milliseconds
from videoworker.endpoint.submission import limited_body, parse_json

WorkerId = Annotated[str, Path(pattern=r"^[A-Za-z0-9._-]{1,255}$")]

# Seconds that a poll is held where there is nothing. The SDK gives up after 90; the shorter, the sooner a worker that
# is told to end has no poll open.
HOLD_SECONDS = 20.0
MAX_RESULT_BYTES = 20_000_000  # RunPod's documented limit
MAX_CHUNK_BYTES = 1_000_000  # likewise

_NOTHING = Response(status_code=204)

Answer = TypeVar("Answer")


def routes(queue: Queue) -> APIRouter:
    router = APIRouter(tags=["workers"])

    @router.get("/job-take/{worker_id}")
    async def take(request: Request, worker_id: WorkerId, job_in_progress: str = "1") -> Response:
        work = queue.take(worker_id, 1, job_in_progress == "0", HOLD_SECONDS)
        taken = await _while_connected(request, work)
        return Response(_for_worker(taken[0]), media_type="application/json") if taken else _NOTHING

    @router.get("/job-take-batch/{worker_id}")
    async def take_batch(
        request: Request,
        worker_id: WorkerId,
        batch_size: Annotated[int, Query(ge=1, le=1000)],
        job_in_progress: str = "1",
    ) -> Response:
        work = queue.take(worker_id, batch_size, job_in_progress == "0", HOLD_SECONDS)
        if not (taken := await _while_connected(request, work)):
            return _NOTHING
        return Response(f"[{','.join(map(_for_worker, taken))}]", media_type="application/json")

    @router.get("/job-stop/{worker_id}")
    async def stop(request: Request, worker_id: WorkerId) -> Response:
        stops = await _while_connected(request, queue.workers.stops(worker_id, HOLD_SECONDS))
        text = json.dumps({"jobsToStop": stops})
        return Response(text, media_type="application/json") if stops else _NOTHING

    @router.post("/job-done/{worker_id}/{job_id}")
    async def done(request: Request, worker_id: WorkerId, job_id: JobId) -> Response:
        queue.workers.heard_of(worker_id)
        try:
            body = parse_json(await limited_body(request, MAX_RESULT_BYTES))
        except HTTPException as problem:
            # the worker would not try again: the job is over, and its caller learns why
            body = {"error": f"The worker's result cannot be taken. {problem.detail}"}
        if not isinstance(body, dict):
            body = {"error": "The worker's result is not a JSON object."}
        if body.get("status") == "IN_PROGRESS":
            is_taken = queue.progress(worker_id, job_id, json.dumps(body.get("output")))
        else:
            is_taken = await queue.finish(worker_id, job_id, _result(body))
            if body.get("stopPod"):
                queue.leave(worker_id)
        return _accepted(is_taken)

    @router.post("/job-stream/{worker_id}/{job_id}")
    async def stream(request: Request, worker_id: WorkerId, job_id: JobId) -> Response:
        queue.workers.heard_of(worker_id)
        body = parse_json(await limited_body(request, MAX_CHUNK_BYTES))
        return _accepted(await queue.add_chunk(worker_id, job_id, json.dumps(body)))

    @router.get("/ping/{worker_id}")
    async def ping(worker_id: WorkerId, job_id: str = "", status: str = "", reason: str = "") -> Response:
        queue.workers.heartbeat(worker_id, filter(None, job_id.split(",")))
        if status == "unhealthy":
            queue.workers.unhealthy(worker_id, reason)
        return Response()

    return router


def _for_worker(job: Taken) -> str:
    ours = {"id": json.dumps(job.id), "delayTime": milliseconds(job.waited)}
    return as_text(ours)[:-1] + "," + job.body[1:]


def _result(body: dict[str, Any]) -> Result:
    return Result(
        output=json.dumps(body["output"]) if "output" in body else None,
        error=json.dumps(body["error"]) if body.get("error") else None,
    )


def _accepted(is_taken: bool) -> Response:
    if not is_taken:
        raise HTTPException(409, "The job is not this worker's any more.")
    return Response()


async def _while_connected(request: Request, work: Coroutine[Any, Any, list[Answer]]) -> list[Answer]:
    """What `work` gives. Cancels it when the worker hangs up: what it was given would be lost."""
    task, hung_up = asyncio.create_task(work), asyncio.create_task(_hung_up(request))
    try:
        await asyncio.wait({task, hung_up}, return_when=asyncio.FIRST_COMPLETED)
        return await task if task.done() else []
    finally:
        hung_up.cancel()
        task.cancel()
        await asyncio.wait({task, hung_up})


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
