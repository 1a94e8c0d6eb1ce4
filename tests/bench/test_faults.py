"""The fault campaign, as its users run it, with faults of its own each time."""

import subprocess
import sys

import pytest

from tests.handler_process import ROOT, environment

JOBS = 100


@pytest.mark.needs_swift
def test_whatever_breaks_every_job_ends_once_and_nothing_is_left() -> None:
    command = [sys.executable, "-m", "bench.faults", "--jobs", str(JOBS)]
    campaign = subprocess.run(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True)
    assert campaign.returncode == 0, campaign.stdout
    assert f"{JOBS} jobs, 0 problems" in campaign.stdout
    assert "jobs: COMPLETED" in campaign.stdout
