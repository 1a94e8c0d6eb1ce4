"""The worker's metrics for Prometheus: how jobs end, how long their stages take, how much memory the GPU has in use."""

from collections.abc import Mapping
from typing import Any

import torch
from prometheus_client import Counter, Gauge, Histogram, start_http_server

from videoworker.errors import Code, JobError
from videoworker.request import Result

# From a small clip's stages to a large one's. Each is about three times the one before.
_SECONDS = (0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000)

_jobs = Counter("videoworker_jobs", "Jobs that ended, by outcome: completed, failed, cancelled", ["outcome"])
_failures = Counter("videoworker_failures", "Jobs that failed, by the error's code", ["code"])
_stages = Histogram("videoworker_stage_seconds", "Seconds by stage, of completed jobs", ["stage"], buckets=_SECONDS)
_wait = Histogram("videoworker_queue_wait_seconds", "Seconds from submission to this worker", buckets=_SECONDS)
_gpu_memory = Gauge("videoworker_gpu_memory_bytes", "GPU memory: allocated, reserved, peak", ["kind"])


def serve(host: str, port: int) -> None:
    """Serves them on a thread of its own, on the address `host`. Raises `OSError` if it cannot listen there."""
    for code in Code:
        _failures.labels(code)
    for outcome in ("completed", "failed", "cancelled"):
        _jobs.labels(outcome)
    if torch.cuda.is_available():
        _gpu_memory.labels("allocated").set_function(torch.cuda.memory_allocated)
        _gpu_memory.labels("reserved").set_function(torch.cuda.memory_reserved)
        _gpu_memory.labels("peak").set_function(torch.cuda.max_memory_allocated)
    start_http_server(port, host)


def taken(job: Mapping[str, Any]) -> None:
    """Counts the queue wait if the job has it: `delayTime` in milliseconds, as in RunPod's `/status`."""
    match job.get("delayTime"):
        case int() | float() as milliseconds:
            _wait.observe(milliseconds / 1000)


def completed(result: Result) -> None:
    _jobs.labels("completed").inc()
    for stage, seconds in result.timings.items():
        _stages.labels(stage).observe(seconds)


def failed(error: JobError) -> None:
    _jobs.labels("failed").inc()
    _failures.labels(error.code).inc()


def cancelled() -> None:
    _jobs.labels("cancelled").inc()
