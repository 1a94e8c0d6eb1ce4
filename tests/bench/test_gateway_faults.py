"""The fault campaign of the gateway with faults that are the same each time. `python -m bench.gateway_faults` draws
others."""

import re
import subprocess
import sys

import pytest

from bench.gateway_faults import SCHEDULE
from tests.handler_process import ROOT, environment

JOBS = 16
SEED = 3


@pytest.mark.needs_swift
def test_every_accepted_job_ends_in_its_documents_words() -> None:
    command = [sys.executable, "-m", "bench.gateway_faults", "--jobs", str(JOBS), "--seed", str(SEED)]
    campaign = subprocess.run(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True)
    assert campaign.returncode == 0, campaign.stdout
    (jobs,) = re.findall(r"^(\d+) jobs, 0 problems", campaign.stdout, re.MULTILINE)
    assert int(jobs) > JOBS / 2  # what is asked while the gateway is dead is no job
    assert all(f" times: {fault}" in campaign.stdout for fault in SCHEDULE)
