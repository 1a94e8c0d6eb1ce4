"""The JSON that callers get for a job: the fields of RunPod's `/status`.

Outputs and errors are kept as JSON text, so an answer is put together as text.
"""

import json

from fastapi import Response

from videoworker.endpoint.jobs import Job


def job_fields(job: Job, progress: str | None) -> dict[str, str]:
    """The JSON text of each field.

    `progress`: the worker's latest progress as JSON text. It is the output of a job that is not final.
    """
    fields = {"id": json.dumps(job.id), "status": json.dumps(job.status)}
    if job.started_at is not None:
        fields["delayTime"] = milliseconds(job.started_at - job.created_at)
        if job.finished_at is not None:
            fields["executionTime"] = milliseconds(job.finished_at - job.started_at)
    if job.worker is not None:
        fields["workerId"] = json.dumps(job.worker)
    output = job.output if job.status.is_final else progress
    if output is not None:
        fields["output"] = output
    if job.error is not None:
        fields["error"] = job.error
    return fields


def json_object(fields: dict[str, str]) -> str:
    """The JSON object of `fields`, whose values are JSON texts."""
    return "{" + ",".join(f'"{name}":{value}' for name, value in fields.items()) + "}"


def json_response(text: str) -> Response:
    return Response(text, media_type="application/json")


def milliseconds(seconds: float) -> str:
    """Whole milliseconds as JSON text, never below 0: the clock may have been set back."""
    return str(max(0, round(seconds * 1000)))
