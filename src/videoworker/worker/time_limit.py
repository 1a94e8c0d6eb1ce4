"""How long a job may take: the operator's limit, or the job's own if that is shorter."""

import math
from collections.abc import Mapping
from typing import Any

from videoworker.settings import Settings


def time_limit(job: Mapping[str, Any], settings: Settings) -> float:
    """Seconds; infinite if nobody has set a limit.

    The job's own limit is RunPod's `policy.executionTimeout`: milliseconds, checked by the platform. The endpoint's
    execution timeout is not told to a worker. The platform itself ends a job at it, and the worker hears a cancel.
    """
    limit = math.inf if settings.job_timeout_seconds is None else settings.job_timeout_seconds
    match job.get("policy"):
        case {"executionTimeout": int() | float() as milliseconds}:
            return min(limit, milliseconds / 1000)
    return limit
