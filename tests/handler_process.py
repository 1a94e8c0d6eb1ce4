"""The real entry point under the real SDK, in a process of its own: what it printed, read back."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.servers.processes import ROOT as ROOT
from bench.servers.processes import environment as environment

PATIENCE = 900.0  # seconds for one job on the slowest machine


def run_job(folder: Path, job_input: Any, **settings: str) -> subprocess.CompletedProcess[str]:
    """Runs `handler.py --test_input` on one job, in `folder`."""
    command = [sys.executable, str(ROOT / "handler.py"), "--test_input", json.dumps({"input": job_input})]
    return subprocess.run(
        command, cwd=folder, env=environment(**settings), capture_output=True, text=True, timeout=PATIENCE
    )


def output_of(stdout: str) -> dict[str, Any]:
    """The answer that the SDK prints."""
    (printed,) = re.findall(r"Job result: (.*)", stdout)
    result: dict[str, Any] = ast.literal_eval(printed)
    assert set(result) == {"output"}
    output: dict[str, Any] = result["output"]
    return output


def error_of(stdout: str) -> dict[str, Any]:
    """The error object that the SDK prints."""
    (printed,) = re.findall(r"failed with error: (.*)", stdout)
    error: dict[str, Any] = json.loads(printed)
    return error
