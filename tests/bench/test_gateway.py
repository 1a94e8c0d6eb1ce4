"""A small run of what the gateway costs."""

import re
import subprocess
import sys

import pytest

from tests.handler_process import ROOT, environment

OPTIONS = "--requests 10 --loads 1 --jobs 10 --seconds 3"


@pytest.mark.needs_chromium_headless_shell
def test_it_measures_every_part() -> None:
    """No result is lost, or it would fail."""
    command = [sys.executable, "-m", "bench.gateway", *OPTIONS.split()]
    ran = subprocess.run(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True)
    assert ran.returncode == 0
    rows = re.findall(r"^\| ([^|]+) \| [\d.-]", ran.stdout, re.MULTILINE)
    assert rows == ["submit", "status", "here", "slow 4G", "without webhooks", "with webhooks"]
    (own,) = re.findall(r"own files have (\d+) bytes", ran.stdout)
    assert int(own) < 30_000
