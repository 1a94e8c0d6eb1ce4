"""The fault campaign with faults that are the same each time; `python -m bench.faults` draws others."""

import re
import subprocess
import sys

import pytest

from bench.faults import SCHEDULE
from tests.handler_process import ROOT, environment

JOBS = 24
SEED = 26092  # the workers are up when the first of them ends, and between two such faults jobs are made


@pytest.mark.needs_swift
def test_every_job_ends_once_and_nothing_is_left() -> None:
    command = [sys.executable, "-m", "bench.faults", "--jobs", str(JOBS), "--seed", str(SEED)]
    campaign = subprocess.run(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True)
    assert campaign.returncode == 0, campaign.stdout
    (jobs,) = re.findall(r"^(\d+) jobs, 0 problems", campaign.stdout, re.MULTILINE)
    assert int(jobs) > JOBS  # faults bring jobs of their own
    assert "jobs: COMPLETED" in campaign.stdout
    assert all(f" times: {fault}" in campaign.stdout for fault in SCHEDULE)
