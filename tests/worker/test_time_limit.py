"""The shorter of the operator's limit and the job's own."""

import math
from typing import Any

import pytest

from videoworker.settings import Settings
from videoworker.worker.time_limit import time_limit


@pytest.mark.parametrize(
    ("operators", "job", "seconds"),
    [
        (None, {}, math.inf),
        (None, {"policy": {"executionTimeout": 7_200_000}}, 7200.0),
        (None, {"policy": {"executionTimeout": None, "ttl": 10_000}}, math.inf),
        (600.0, {}, 600.0),
        (600.0, {"policy": {"executionTimeout": 5000}}, 5.0),
        (600.0, {"policy": {"executionTimeout": 900_000}}, 600.0),
        (600.0, {"policy": None}, 600.0),
        (600.0, {"policy": "short"}, 600.0),
    ],
)
def test_shorter_limit(settings: Settings, operators: float | None, job: dict[str, Any], seconds: float) -> None:
    assert time_limit(job, settings.model_copy(update={"job_timeout_seconds": operators})) == seconds
