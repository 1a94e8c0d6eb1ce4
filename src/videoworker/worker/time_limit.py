"""How long a job may take: the operator's limit, or the job's own if that is shorter."""

from collections.abc import Mapping
from typing import Any

from videoworker.settings import Settings


def time_limit(job: Mapping[str, Any], settings: Settings) -> float:
    """Seconds. The job's own limit is RunPod's `policy.executionTimeout`: milliseconds, checked by the platform."""
    match job.get("policy"):
        case {"executionTimeout": int() | float() as milliseconds}:
            return min(settings.job_timeout_seconds, milliseconds / 1000)
    return settings.job_timeout_seconds
