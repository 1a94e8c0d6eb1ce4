"""A job as callers see it: the fields of RunPod's `/status`, written around JSON that is kept as text."""

import json

from fastapi import Response

from videoworker.endpoint.jobs import Job, Status


def shown(job: Job, progress: str | None) -> dict[str, str]:
    """JSON texts by field. `progress`: the worker's latest word on a job in progress, which stands as its output."""
    is_final = Status(job.status).is_final
    fields = {"id": json.dumps(job.id), "status": json.dumps(job.status)}
    if job.started_at is not None:
        fields["delayTime"] = milliseconds(job.started_at - job.created_at)
        if is_final:
            fields["executionTime"] = milliseconds(job.finished_at - job.started_at)
    if job.worker is not None:
        fields["workerId"] = json.dumps(job.worker)
    output = job.output if is_final else progress
    if output is not None:
        fields["output"] = output
    if job.error is not None:
        fields["error"] = job.error
    return fields


def as_text(fields: dict[str, str]) -> str:
    return "{" + ",".join(f'"{name}":{value}' for name, value in fields.items()) + "}"


def as_json(fields: dict[str, str]) -> Response:
    return Response(as_text(fields), media_type="application/json")


def milliseconds(seconds: float) -> str:
    return str(max(0, round(seconds * 1000)))
