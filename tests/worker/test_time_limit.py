"""The shorter of the operator's limit and the job's own."""

from typing import Any

import pytest

from videoworker.settings import Settings
from videoworker.worker.time_limit import time_limit


@pytest.mark.parametrize(
    ("job", "seconds"),
    [
        ({}, 600.0),
        ({"policy": {"executionTimeout": 5000}}, 5.0),
        ({"policy": {"executionTimeout": 900_000}}, 600.0),
        ({"policy": {"executionTimeout": None, "ttl": 10_000}}, 600.0),
        ({"policy": None}, 600.0),
        ({"policy": "short"}, 600.0),
    ],
)
def test_the_shorter_limit_counts(settings: Settings, job: dict[str, Any], seconds: float) -> None:
    assert time_limit(job, settings) == seconds
